from __future__ import annotations

import pytest

from cohost import tokens
from rules import types
from tests.stacks import Case, assert_breaks, set_to, statement, together, with_resource, without

KEY = "projects/keys/locations/europe-west4/keyRings/ring/cryptoKeys/key"
OTHER = KEY.replace("/ring/", "/other/")
ENCRYPTION = "rules.0.applyServerSideEncryptionByDefault"

CASES = [
    Case(
        "store-encrypted",
        "aws",
        set_to(types.AWS_BUCKET_ENCRYPTION, f"{ENCRYPTION}.sseAlgorithm", "AES256"),
        ["sseAlgorithm is AES256, not aws:kms"],
    ),
    Case(
        "store-encrypted",
        "aws",
        set_to(types.AWS_BUCKET_ENCRYPTION, f"{ENCRYPTION}.kmsMasterKeyId", None),
        ["kmsMasterKeyId is not set, so the key is one that the account cannot restrict"],
    ),
    Case(
        "store-encrypted",
        "aws",
        set_to(types.AWS_KEY, "enableKeyRotation", False),
        ["enableKeyRotation is false, not true"],
    ),
    Case(
        "customer-key-everywhere",
        "gcp",
        set_to(types.GCP_BUCKET, "encryption.defaultKmsKeyName", KEY),
        [
            f"kmsKey is not set, and others of the stack have {KEY}",
            f"encryptionSpec.kmsKeyName is not set, and others of the stack have {KEY}",
        ],
    ),
    Case(
        "customer-key-everywhere",
        "gcp-production",
        set_to(tokens.VERTEX_MODEL, "kmsKey", OTHER),
        [f"has different keys: {OTHER}, {KEY}"],
    ),
    Case(
        "customer-key-in-production",
        "gcp-production",
        together(
            set_to(types.GCP_BUCKET, "encryption", None),
            set_to(types.GCP_ENDPOINT, "encryptionSpec", None),
            set_to(tokens.VERTEX_MODEL, "kmsKey", None),
        ),
        ["encryption.defaultKmsKeyName is not set", "kmsKey is not set", "encryptionSpec.kmsKeyName is not set"],
    ),
    Case(
        "store-private",
        "aws",
        set_to(types.AWS_BUCKET_PUBLIC_ACCESS_BLOCK, "blockPublicPolicy", False),
        ["blockPublicPolicy is false, not true"],
    ),
    Case(
        "store-private",
        "aws",
        set_to(types.AWS_BUCKET_OWNERSHIP, "rule.objectOwnership", "ObjectWriter"),
        ["objectOwnership is ObjectWriter, not BucketOwnerEnforced"],
    ),
    Case("store-private", "aws", set_to(types.AWS_BUCKET, "acl", "public-read"), ["acl is public-read"]),
    Case(
        "store-private",
        "gcp",
        together(
            set_to(types.GCP_BUCKET, "publicAccessPrevention", "inherited"),
            set_to(types.GCP_BUCKET, "uniformBucketLevelAccess", None),
        ),
        [
            "publicAccessPrevention is inherited, not enforced",
            "uniformBucketLevelAccess is not set, not true",
        ],
    ),
    Case(
        "tls-only",
        "aws",
        set_to(types.AWS_BUCKET_POLICY, "policy", statement(0, Condition=None)),
        [
            f"no statement denies s3:* on the {what} to everyone without aws:SecureTransport"
            for what in ("bucket", "objects")
        ],
    ),
    Case(
        "tls-only",
        "aws",
        set_to(types.AWS_BUCKET_POLICY, "policy", statement(0, Resource="arn:aws:s3:::cohost-dev-models-1a2b3c4")),
        ["no statement denies s3:* on the objects to everyone without aws:SecureTransport"],
    ),
    Case(
        "artifacts-kept",
        "aws",
        set_to(types.AWS_BUCKET_POLICY, "policy", statement(1, Effect="Allow", Principal={"AWS": "123456789012"})),
        ["no statement denies s3:PutObject below models/ to everyone without If-None-Match"],
    ),
    Case(
        "artifacts-kept",
        "aws",
        set_to(types.AWS_BUCKET_VERSIONING, "versioningConfiguration.status", "Suspended"),
        ["versioning is Suspended, not Enabled"],
    ),
    Case(
        "artifacts-kept",
        "aws",
        set_to(types.AWS_BUCKET_LIFECYCLE, "rules.1.expiration", {"days": 30}),
        ["lifecycle rule forget-old-releases deletes objects that are in use"],
    ),
    Case(
        "artifacts-kept",
        "gcp",
        together(
            set_to(types.GCP_BUCKET, "versioning.enabled", False),
            set_to(types.GCP_BUCKET, "lifecycleRules.1.condition.withState", "ANY"),
        ),
        [
            "versioning.enabled is false, not true",
            "lifecycleRules[1] deletes objects whose state is ANY, not ARCHIVED alone",
        ],
    ),
    Case("store-guarded", "aws", without(types.AWS_BUCKET_POLICY), ["has no BucketPolicy"]),
    Case(
        "store-guarded",
        "aws",
        with_resource(types.AWS_BUCKET),
        [
            f"has no {guard}"
            for guard in (
                "BucketOwnershipControls",
                "BucketPolicy",
                "BucketPublicAccessBlock",
                "BucketServerSideEncryptionConfiguration",
                "BucketVersioning",
            )
        ],
    ),
    Case("store-guarded", "aws-preview", without(types.AWS_BUCKET_VERSIONING), ["has no BucketVersioning"]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_changed_store_breaks_its_rule(case: Case) -> None:
    assert_breaks(case)
