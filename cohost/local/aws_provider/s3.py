"""S3 buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from cohost.local.aws_provider.convert import map_to_pairs, pairs_to_map
from cohost.local.aws_provider.resource import Call, Change, Name, Resource, code

NO_BUCKET: Final = frozenset({"NoSuchBucket", "404", "NotFound"})
_DELETED_AT_ONCE: Final = 1000
_HOSTED_ZONE: Final = "Z3AQBSTGFYJSTF"  # of us-east-1; the others belong to websites, which no stack has


class Bucket(Resource):
    """A bucket; its settings are resources of their own."""

    token = "aws:s3/bucket:Bucket"
    supported: ClassVar = frozenset({"bucket", "bucketPrefix", "forceDestroy", "region", "tags"})
    name: ClassVar = Name("bucket", limit=63, prefix="bucketPrefix", lower=True)
    replaces: ClassVar = frozenset({"bucket", "bucketPrefix"})
    defaults: ClassVar = {"forceDestroy": False}
    gone: ClassVar = NO_BUCKET

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the bucket in its region."""
        place = {"CreateBucketConfiguration": {"LocationConstraint": call.region}}
        call.client("s3").create_bucket(Bucket=inputs["bucket"], **({} if call.region == "us-east-1" else place))
        return inputs["bucket"]

    def complete(self, call: Call, resource_id: str, inputs: dict[str, Any]) -> None:
        """Tags the bucket."""
        if inputs.get("tags"):
            _set_tags(call.client("s3"), resource_id, inputs["tags"])

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the bucket."""
        s3 = call.client("s3")
        s3.head_bucket(Bucket=resource_id)
        domain = f"{resource_id}.s3.amazonaws.com"
        return {
            "bucket": resource_id,
            "arn": f"arn:aws:s3:::{resource_id}",
            "bucketDomainName": domain,
            "bucketRegionalDomainName": f"{resource_id}.s3.{call.region}.amazonaws.com",
            "bucketRegion": call.region,
            "hostedZoneId": _HOSTED_ZONE,
            "objectLockEnabled": False,
            "requestPayer": "BucketOwner",
            "tags": _tags(s3, resource_id),
        }

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes the tags; `forceDestroy` is only recorded."""
        if any(change.tags()):
            _set_tags(call.client("s3"), resource_id, change.new.get("tags") or {})

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the bucket, with `forceDestroy` everything in it before."""
        s3 = call.client("s3")
        try:
            s3.delete_bucket(Bucket=resource_id)
        except ClientError as error:
            if code(error) != "BucketNotEmpty" or not state.get("forceDestroy"):
                raise
            _empty(s3, resource_id)
            s3.delete_bucket(Bucket=resource_id)


def _empty(s3: Any, bucket: str) -> None:
    """Deletes every object version, delete marker and unfinished upload."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in found]
        for start in range(0, len(objects), _DELETED_AT_ONCE):
            batch = {"Objects": objects[start : start + _DELETED_AT_ONCE], "Quiet": True}
            s3.delete_objects(Bucket=bucket, Delete=batch)
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _tags(s3: Any, bucket: str) -> dict[str, str]:
    try:
        return pairs_to_map(s3.get_bucket_tagging(Bucket=bucket)["TagSet"])
    except ClientError as error:
        if code(error) == "NoSuchTagSet":
            return {}
        raise


def _set_tags(s3: Any, bucket: str, tags: dict[str, str]) -> None:
    if tags:
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": map_to_pairs(tags)})
    else:
        s3.delete_bucket_tagging(Bucket=bucket)


RESOURCES = (Bucket(),)
