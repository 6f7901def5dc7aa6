from __future__ import annotations

from cohost.urns import name_of, short_type


def test_names_are_short() -> None:
    assert name_of("urn:pulumi:dev::shop::cohost:aws:ArtifactStore$aws:s3/bucket:Bucket::models") == "models"
    assert short_type("aws:s3/bucket:Bucket") == "aws:s3:Bucket"
    assert short_type("cohost:index:ArtifactSet") == "cohost:index:ArtifactSet"
