"""The store: an encrypted, versioned, private bucket and its key, ready before anything is uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_aws as aws

from cohost import policies_aws, tokens
from cohost.resources import ArtifactSet
from components.names import physical

# How long what was deleted or overwritten (`releases/current.json`) can be brought back.
_KEEP_OLD_DAYS: Final = 90
_ABORT_UPLOAD_DAYS: Final = 7
_KEY_DELETION_DAYS: Final = 30
_LARGE_UPLOAD: Final = "2h"


@dataclass(frozen=True, kw_only=True)
class ArtifactStoreArgs:
    """What a store is made of.

    Attributes:
        region: Its region.
        kms_key_arn: A key of the user's; None = the store makes one.
        force_destroy: Whether the bucket is deleted with objects in it that are not the stack's own.
        protect: Whether bucket and key are protected from deletion.
        tags: Tags on all that can carry them.
    """

    region: str
    kms_key_arn: str | None = None
    force_destroy: bool = False
    protect: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


class ArtifactStore(pulumi.ComponentResource):
    """A bucket for artifacts and releases.

    Attributes:
        url: `s3://<bucket>`, the store's URL.
        bucket_arn: The bucket.
        key_arn: The key that encrypts it.
    """

    url: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ArtifactStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the bucket, everything that guards it, and its key unless one is given."""
        super().__init__(tokens.AWS_ARTIFACT_STORE, name, None, opts)
        self._name, self._args = name, args
        self.key_arn = self._key()
        bucket = aws.s3.Bucket(
            physical(name),
            force_destroy=args.force_destroy,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self._bucket = bucket
        self.url = pulumi.Output.concat("s3://", bucket.bucket)
        self.bucket_arn = bucket.arn
        self._guards = self._guard(bucket)
        self.register_outputs({"url": self.url, "bucketArn": self.bucket_arn, "keyArn": self.key_arn})

    def publish(self, catalog: str, digests: Mapping[str, str]) -> ArtifactSet:
        """Declares the artifacts of a catalog in this store.

        Args:
            catalog: Path of catalog.yaml, absolute or relative to Pulumi.yaml.
            digests: Artifact digest by model name.
        """
        return ArtifactSet(
            self._name,
            region=self._args.region,
            store=self.url,
            catalog=catalog,
            models=digests,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=self._guards,
                custom_timeouts=pulumi.CustomTimeouts(create=_LARGE_UPLOAD, update=_LARGE_UPLOAD),
            ),
        )

    def _key(self) -> pulumi.Output[str]:
        if self._args.kms_key_arn:
            return pulumi.Output.from_input(self._args.kms_key_arn)
        key = aws.kms.Key(
            physical(self._name),
            description="Encrypts the models and releases of a shared endpoint",
            enable_key_rotation=True,
            deletion_window_in_days=_KEY_DELETION_DAYS,
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )
        aws.kms.Alias(
            physical(self._name),
            name_prefix=f"alias/{physical(self._name)}-",
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return key.arn

    def _guard(self, bucket: aws.s3.Bucket) -> list[pulumi.Resource]:
        """Everything that must hold before the first object is written, and after the last is gone."""
        name, child = physical(self._name), pulumi.ResourceOptions(parent=self)
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
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": self.key_arn,
                    },
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
        policy = aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=bucket.arn.apply(lambda arn: policies_aws.to_json(policies_aws.tls_only(arn))),
            # S3 refuses (409) a policy put while the access block is being put.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private]),
        )
        lifecycle = self._lifecycle(bucket, versioning)
        return [versioning, encryption, private, ownership, policy, lifecycle]

    def _lifecycle(
        self, bucket: aws.s3.Bucket, versioning: aws.s3.BucketVersioning
    ) -> aws.s3.BucketLifecycleConfiguration:
        """Never expires a current version: an artifact lives until the stack deletes it."""
        return aws.s3.BucketLifecycleConfiguration(
            physical(self._name),
            bucket=bucket.id,
            rules=[
                {
                    "id": "abort-unfinished-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": _ABORT_UPLOAD_DAYS},
                },
                {
                    "id": "forget-old-releases",
                    "status": "Enabled",
                    "filter": {"prefix": "releases/"},
                    "noncurrent_version_expiration": {"noncurrent_days": _KEEP_OLD_DAYS},
                },
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
