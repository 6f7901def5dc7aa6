"""The settings of an S3 bucket that are resources of their own; each has the bucket's name as its id."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

from cohost.local.aws_provider.convert import from_api, request
from cohost.local.aws_provider.resource import Call, Change, Gone, Resource
from cohost.local.aws_provider.s3 import NO_BUCKET


class Setting(Resource):
    """A setting of a bucket: putting it creates and changes it."""

    replaces: ClassVar = frozenset({"bucket"})

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Puts the setting."""
        self.put(call.client("s3"), inputs["bucket"], inputs)
        return inputs["bucket"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the setting."""
        return {"bucket": resource_id} | self.get(call.client("s3"), resource_id)

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Puts the setting anew."""
        self.put(call.client("s3"), resource_id, change.new)

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Takes the setting away."""
        self.remove(call.client("s3"), resource_id, state)

    @abc.abstractmethod
    def put(self, s3: Any, bucket: str, inputs: Mapping[str, Any]) -> None:
        """Puts the setting."""

    @abc.abstractmethod
    def get(self, s3: Any, bucket: str) -> dict[str, Any]:
        """Returns the setting's properties."""

    @abc.abstractmethod
    def remove(self, s3: Any, bucket: str, state: dict[str, Any]) -> None:
        """Takes the setting away."""


class BucketVersioning(Setting):
    """Whether old versions of objects are kept."""

    token = "aws:s3/bucketVersioning:BucketVersioning"
    supported: ClassVar = frozenset({"bucket", "expectedBucketOwner", "region", "versioningConfiguration"})
    replaces: ClassVar = frozenset({"bucket", "expectedBucketOwner"})
    gone: ClassVar = NO_BUCKET

    def put(self, s3: Any, bucket: str, inputs: Mapping[str, Any]) -> None:
        """Puts the status; a bucket that never had versions cannot be told "Disabled"."""
        if inputs["versioningConfiguration"]["status"] != "Disabled":
            given = {"versioningConfiguration": inputs["versioningConfiguration"]}
            s3.put_bucket_versioning(**request(s3, "PutBucketVersioning", given, Bucket=bucket))

    def get(self, s3: Any, bucket: str) -> dict[str, Any]:
        """Returns the status."""
        status = s3.get_bucket_versioning(Bucket=bucket).get("Status", "Disabled")
        return {"versioningConfiguration": {"status": status}}

    def remove(self, s3: Any, bucket: str, state: dict[str, Any]) -> None:
        """Suspends versioning: it cannot be undone."""
        if state.get("versioningConfiguration", {}).get("status") == "Enabled":
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


class BucketServerSideEncryptionConfiguration(Setting):
    """How objects are encrypted unless a request says otherwise."""

    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    supported: ClassVar = frozenset({"bucket", "expectedBucketOwner", "region", "rules"})
    replaces: ClassVar = frozenset({"bucket", "expectedBucketOwner"})
    gone: ClassVar = NO_BUCKET | {"ServerSideEncryptionConfigurationNotFoundError"}

    def put(self, s3: Any, bucket: str, inputs: Mapping[str, Any]) -> None:
        """Puts the rules."""
        given = {"serverSideEncryptionConfiguration": {"rules": inputs["rules"]}}
        s3.put_bucket_encryption(**request(s3, "PutBucketEncryption", given, Bucket=bucket))

    def get(self, s3: Any, bucket: str) -> dict[str, Any]:
        """Returns the rules."""
        told = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
        return {"rules": from_api(told["Rules"])}

    def remove(self, s3: Any, bucket: str, state: dict[str, Any]) -> None:
        """Goes back to S3's own encryption."""
        s3.delete_bucket_encryption(Bucket=bucket)


class BucketPublicAccessBlock(Setting):
    """What is refused to the public whatever other settings say."""

    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    _switches: ClassVar = (
        "blockPublicAcls",
        "blockPublicPolicy",
        "ignorePublicAcls",
        "restrictPublicBuckets",
    )
    supported: ClassVar = frozenset({"bucket", "region", "skipDestroy", *_switches})
    defaults: ClassVar = dict.fromkeys(_switches, False)
    gone: ClassVar = NO_BUCKET | {"NoSuchPublicAccessBlockConfiguration"}

    def put(self, s3: Any, bucket: str, inputs: Mapping[str, Any]) -> None:
        """Puts the four switches."""
        given = {"publicAccessBlockConfiguration": {name: inputs[name] for name in self._switches}}
        s3.put_public_access_block(**request(s3, "PutPublicAccessBlock", given, Bucket=bucket))

    def get(self, s3: Any, bucket: str) -> dict[str, Any]:
        """Returns the four switches."""
        return from_api(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"])

    def remove(self, s3: Any, bucket: str, state: dict[str, Any]) -> None:
        """Takes the block away unless the resource says to leave it."""
        if not state.get("skipDestroy"):
            s3.delete_public_access_block(Bucket=bucket)


class BucketOwnershipControls(Setting):
    """Who owns what others put into the bucket."""

    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    supported: ClassVar = frozenset({"bucket", "region", "rule"})
    gone: ClassVar = NO_BUCKET | {"OwnershipControlsNotFoundError"}

    def put(self, s3: Any, bucket: str, inputs: Mapping[str, Any]) -> None:
        """Puts the one rule."""
        given = {"ownershipControls": {"rules": [inputs["rule"]]}}
        s3.put_bucket_ownership_controls(**request(s3, "PutBucketOwnershipControls", given, Bucket=bucket))

    def get(self, s3: Any, bucket: str) -> dict[str, Any]:
        """Returns the one rule."""
        told = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
        return {"rule": from_api(told["Rules"][0])}

    def remove(self, s3: Any, bucket: str, state: dict[str, Any]) -> None:
        """Takes the rule away."""
        s3.delete_bucket_ownership_controls(Bucket=bucket)


class BucketPolicy(Setting):
    """The bucket's own policy; kept and returned, not evaluated here."""

    token = "aws:s3/bucketPolicy:BucketPolicy"
    supported: ClassVar = frozenset({"bucket", "policy", "region"})
    gone: ClassVar = NO_BUCKET | {"NoSuchBucketPolicy"}

    def put(self, s3: Any, bucket: str, inputs: Mapping[str, Any]) -> None:
        """Puts the policy."""
        s3.put_bucket_policy(Bucket=bucket, Policy=inputs["policy"])

    def get(self, s3: Any, bucket: str) -> dict[str, Any]:
        """Returns the policy."""
        return {"policy": s3.get_bucket_policy(Bucket=bucket)["Policy"]}

    def remove(self, s3: Any, bucket: str, state: dict[str, Any]) -> None:
        """Takes the policy away."""
        s3.delete_bucket_policy(Bucket=bucket)


class BucketLifecycleConfiguration(Setting):
    """What S3 deletes or moves by itself."""

    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    supported: ClassVar = frozenset({"bucket", "expectedBucketOwner", "region", "rules"})
    replaces: ClassVar = frozenset({"bucket", "expectedBucketOwner"})
    # One without a filter is for the whole bucket.
    defaults: ClassVar = {"rules.filter": {"prefix": ""}}
    gone: ClassVar = NO_BUCKET | {"NoSuchLifecycleConfiguration"}

    def put(self, s3: Any, bucket: str, inputs: Mapping[str, Any]) -> None:
        """Puts the rules."""
        given = {"lifecycleConfiguration": {"rules": inputs["rules"]}}
        parameters = request(s3, "PutBucketLifecycleConfiguration", given, Bucket=bucket)
        s3.put_bucket_lifecycle_configuration(**parameters)

    def get(self, s3: Any, bucket: str) -> dict[str, Any]:
        """Returns the rules."""
        rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", [])
        if not rules:
            raise Gone(f"the bucket {bucket} has no lifecycle rules")
        return {"rules": from_api(rules)}

    def remove(self, s3: Any, bucket: str, state: dict[str, Any]) -> None:
        """Takes the rules away."""
        s3.delete_bucket_lifecycle(Bucket=bucket)


RESOURCES = (
    BucketVersioning(),
    BucketServerSideEncryptionConfiguration(),
    BucketPublicAccessBlock(),
    BucketOwnershipControls(),
    BucketPolicy(),
    BucketLifecycleConfiguration(),
)
