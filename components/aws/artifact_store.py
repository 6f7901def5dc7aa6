"""The store: an encrypted, versioned, private bucket and its key, ready before anything is uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_aws as aws

from cohost import aws_rules, policies_aws, tokens
from cohost.aws_settings import Encryption
from cohost.resources import ArtifactSet
from components.aws import private_bucket
from components.aws.stack import Stack
from components.names import Fault, refuse

# How long what was deleted or overwritten (`releases/current.json`) can be brought back.
_KEEP_OLD_DAYS: Final = 90
_ABORT_UPLOAD_DAYS: Final = 7
_KEY_DELETION_DAYS: Final = 30
_LARGE_UPLOAD: Final = "2h"


@dataclass(frozen=True, kw_only=True)
class ArtifactStoreArgs:
    """What a store is made of.

    Attributes:
        stack: Whose it is.
        encryption: With which key: the user's, or one that the store makes.
        force_destroy: Whether the bucket is deleted with objects in it that are not the stack's own.
    """

    stack: Stack
    encryption: Encryption = field(default_factory=Encryption)
    force_destroy: bool = False

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        return [
            *aws_rules.encryption(self.encryption, self.stack.region),
            *aws_rules.keeping(production=self.stack.production, force_destroy=self.force_destroy),
        ]


class ArtifactStore(pulumi.ComponentResource):
    """A bucket for artifacts and releases.

    Attributes:
        url: `s3://<bucket>`, the store's URL.
        bucket_arn: The bucket.
        key_arn: The key that encrypts it.
        has_own_key: Whether the store made that key.
    """

    url: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    has_own_key: bool

    def __init__(self, name: str, args: ArtifactStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the bucket, everything that guards it, and its key unless one is given.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.AWS_ARTIFACT_STORE, name, None, opts)
        self._name, self._stack, self._physical = name, args.stack, args.stack.physical(name)
        given_key = args.encryption.kms_key_arn
        self.has_own_key = given_key is None
        self.key_arn = pulumi.Output.from_input(given_key) if given_key else self._key()
        bucket = aws.s3.Bucket(
            self._physical,
            force_destroy=args.force_destroy,
            tags=args.stack.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=args.stack.production),
        )
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
            region=self._stack.region,
            store=self.url,
            catalog=catalog,
            models=digests,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=self._guards,
                # Its deletion empties the bucket.
                protect=self._stack.production,
                custom_timeouts=pulumi.CustomTimeouts(create=_LARGE_UPLOAD, update=_LARGE_UPLOAD),
            ),
        )

    def _key(self) -> pulumi.Output[str]:
        """A key that the account's IAM policies govern.

        That is KMS's own key policy for a key made without one (KMS developer guide, "Default key policy"), and all
        that role, callers and deployers of this account need.
        """
        key = aws.kms.Key(
            self._physical,
            description="Encrypts the models and releases of a shared endpoint",
            enable_key_rotation=True,
            deletion_window_in_days=_KEY_DELETION_DAYS,
            tags=self._stack.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=self._stack.production),
        )
        aws.kms.Alias(self._physical, target_key_id=key.key_id, opts=pulumi.ResourceOptions(parent=self))
        return key.arn

    def _guard(self, bucket: aws.s3.Bucket) -> list[pulumi.Resource]:
        """Everything that must hold before the first object is written, and after the last is gone."""
        guards = private_bucket.guard(
            self._physical, bucket, key_arn=self.key_arn, policy=policies_aws.bucket, parent=self
        )
        return [*guards.all, self._lifecycle(bucket, guards.versioning)]

    def _lifecycle(
        self, bucket: aws.s3.Bucket, versioning: aws.s3.BucketVersioning
    ) -> aws.s3.BucketLifecycleConfiguration:
        """Never expires a current version: an artifact lives until the stack deletes it."""
        return aws.s3.BucketLifecycleConfiguration(
            self._physical,
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
