"""What makes a bucket on AWS private: encrypted, versioned, closed to the public, and its owner's alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from cohost import policies_aws


@dataclass(frozen=True)
class Guards:
    """What must hold before the first object is written, and after the last is gone.

    Attributes:
        versioning: Old versions are kept; a lifecycle of theirs comes after it.
        encryption: By a key, for every object.
        private: No access for the public.
        ownership: Objects are the bucket owner's.
        policy: The bucket's own policy.
    """

    versioning: aws.s3.BucketVersioning
    encryption: aws.s3.BucketServerSideEncryptionConfiguration
    private: aws.s3.BucketPublicAccessBlock
    ownership: aws.s3.BucketOwnershipControls
    policy: aws.s3.BucketPolicy

    @property
    def all(self) -> list[pulumi.CustomResource]:
        """Returns them all."""
        return [self.versioning, self.encryption, self.private, self.ownership, self.policy]


def guard(
    name: str,
    bucket: aws.s3.Bucket,
    *,
    key_arn: pulumi.Input[str],
    policy: Callable[[str], policies_aws.Document],
    parent: pulumi.Resource,
) -> Guards:
    """Declares the guards of a bucket.

    Args:
        name: The logical name of each.
        bucket: The bucket.
        key_arn: The key that encrypts its objects.
        policy: Makes the bucket's own policy of its ARN.
        parent: What they belong to.
    """
    child = pulumi.ResourceOptions(parent=parent)
    versioning = aws.s3.BucketVersioning(
        name, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=child
    )
    encryption = aws.s3.BucketServerSideEncryptionConfiguration(
        name,
        bucket=bucket.id,
        rules=[
            {
                # A bucket key asks KMS once in a while instead of once an object.
                "bucket_key_enabled": True,
                "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": key_arn},
            }
        ],
        opts=child,
    )
    private = aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child,
    )
    ownership = aws.s3.BucketOwnershipControls(
        name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
    )
    own_policy = aws.s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=bucket.arn.apply(lambda arn: policies_aws.to_json(policy(arn))),
        # S3 refuses (409) a policy put while the access block is being put.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[private]),
    )
    return Guards(versioning, encryption, private, ownership, own_policy)
