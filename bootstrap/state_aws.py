"""Where stacks keep their state on AWS: a bucket, and the key of both the bucket and the stacks' secrets."""

from __future__ import annotations

from typing import Final

import pulumi
import pulumi_aws as aws

from cohost import policies_aws
from components.aws import private_bucket

TOKEN: Final = "cohost:bootstrap:AwsState"
_NAME: Final = "cohost-state"
_KEY_DELETION_DAYS: Final = 30
_KEEP_OLD_DAYS: Final = 90


class AwsState(pulumi.ComponentResource):
    """A private bucket whose objects keep their versions, and its key; both protected from deletion.

    Attributes:
        bucket_arn: The bucket.
        key_arn: The key.
        backend_url: What PULUMI_BACKEND_URL is to be.
        secrets_provider: What a stack's secrets provider is to be.
    """

    bucket_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    backend_url: pulumi.Output[str]
    secrets_provider: pulumi.Output[str]

    def __init__(self, name: str, region: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares bucket and key."""
        super().__init__(TOKEN, name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, protect=True)
        key = aws.kms.Key(
            _NAME,
            description="Encrypts the state of shared endpoints and the secrets in it",
            enable_key_rotation=True,
            deletion_window_in_days=_KEY_DELETION_DAYS,
            opts=kept,
        )
        bucket = aws.s3.Bucket(_NAME, opts=kept)
        guards = _guard(self, bucket, key)
        self.key_arn, self.bucket_arn = key.arn, bucket.arn
        ready = pulumi.Output.all(bucket.bucket, *guards)
        # Both forms: pulumi 3.260, `pulumi login --help` and `pulumi stack init --help`.
        self.backend_url = ready.apply(lambda values: f"s3://{values[0]}?region={region}")
        self.secrets_provider = key.key_id.apply(lambda id_: f"awskms://{id_}?region={region}")
        self.register_outputs({"backendUrl": self.backend_url, "secretsProvider": self.secrets_provider})


def _guard(parent: pulumi.Resource, bucket: aws.s3.Bucket, key: aws.kms.Key) -> list[pulumi.Output[str]]:
    """Ids of everything that must hold before the first state is written."""
    guards = private_bucket.guard(_NAME, bucket, key_arn=key.arn, policy=_policy, parent=parent)
    lifecycle = aws.s3.BucketLifecycleConfiguration(
        _NAME,
        bucket=bucket.id,
        rules=[
            {
                "id": "forget-old-states",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": _KEEP_OLD_DAYS},
            }
        ],
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[guards.versioning]),
    )
    return [*(each.id for each in guards.all), lifecycle.id]


def _policy(bucket_arn: str) -> policies_aws.Document:
    return policies_aws.document(policies_aws.encrypted_on_the_way(bucket_arn))
