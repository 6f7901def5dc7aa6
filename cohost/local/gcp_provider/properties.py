"""The types served, whose property names stand in `properties.json`.

`python -m cohost.local.gcp_provider.properties` writes that anew from the installed pulumi_gcp package.
"""

from __future__ import annotations

from typing import Final

from cohost.local.bridge import properties

TOKENS: Final = (
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
    "gcp:projects/iAMCustomRole:IAMCustomRole",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:projects/service:Service",
    "gcp:projects/serviceIdentity:ServiceIdentity",
    "gcp:serviceaccount/account:Account",
    "gcp:serviceaccount/iAMMember:IAMMember",
    "gcp:storage/bucket:Bucket",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:vertex/aiEndpoint:AiEndpoint",
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember",
)


if __name__ == "__main__":
    properties.write("gcp", TOKENS)
