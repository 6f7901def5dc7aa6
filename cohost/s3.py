"""The store on Amazon S3.

Conditional writes: If-None-Match and If-Match of PutObject, If-None-Match of CompleteMultipartUpload
(S3 user guide, "Preventing object overwrites with conditional writes"; the members are in botocore's model).
Checksums: S3 computes the SHA-256 of what it received and refuses other bytes ("Checking object integrity").
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cohost.errors import InputError, Problem
from cohost.s3_errors import code_of, translated
from cohost.s3_multipart import MultipartUpload
from cohost.store import Cancelled, ObjectInfo

_URL: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*?))?/?")
_BATCH: Final = 1000
_MULTIPART_ABOVE: Final = 64 << 20
_CONNECTIONS: Final = 32
_ATTEMPTS: Final = 6


@dataclass(frozen=True)
class S3Store:
    """A bucket and a prefix on S3.

    Attributes:
        client: A boto3 S3 client, or anything with its methods.
        bucket: Name of the bucket.
        prefix: "" or a prefix that ends in a slash.
        multipart_above: Files larger than this (bytes) go up in parts.
    """

    client: Any
    bucket: str
    prefix: str = ""
    multipart_above: int = _MULTIPART_ABOVE

    @classmethod
    def open(cls, url: str, *, region: str | None = None, session: Any = None) -> S3Store:
        """Opens `s3://<bucket>/<prefix>` with a boto3 session's credentials, or the environment's.

        Raises:
            InputError: The URL is not of that form.
            StoreError: No region is known.
        """
        match = _URL.fullmatch(url)
        if match is None:
            raise InputError([Problem("", "store", f'"{url}" must be s3://<bucket> or s3://<bucket>/<prefix>')])
        config = Config(retries={"mode": "standard", "max_attempts": _ATTEMPTS}, max_pool_connections=_CONNECTIONS)
        with translated(f"open {url}"):
            # Not boto3's default session, which keeps the credentials that the process began with.
            client = (session or boto3.Session()).client("s3", region_name=region, config=config)
        return cls(client, match[1], f"{match[2]}/" if match[2] else "")

    @property
    def url(self) -> str:
        """`s3://<bucket>/<prefix>` without a trailing slash."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def head(self, key: str) -> ObjectInfo | None:
        """What is stored under `key`, or None."""
        with translated(f"look for {self._name(key)}"):
            try:
                found = self.client.head_object(**self._at(key))
            except ClientError as error:
                if code_of(error) in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise
        return ObjectInfo(key, found["ContentLength"], found["ETag"])

    def get(self, key: str) -> tuple[bytes, str]:
        """The bytes and the etag of a small object; raises `ObjectNotFound`."""
        with translated(f"read {self._name(key)}"):
            found = self.client.get_object(**self._at(key))
            return found["Body"].read(), found["ETag"]

    def put_bytes(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        """Writes a small object and returns its etag; raises `PreconditionFailed`."""
        condition = {"IfMatch": if_match} if if_match is not None else _absent(if_none_match)
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        with translated(f"write {self._name(key)}"):
            written = self.client.put_object(**self._at(key), Body=data, ChecksumSHA256=checksum, **condition)
        return written["ETag"]

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        if_none_match: bool = True,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> str:
        """Writes a file and returns its etag; raises `PreconditionFailed`, `Cancelled`."""
        if cancelled():
            raise Cancelled(f"stopped before {self._name(key)} was written")
        size = path.stat().st_size
        with translated(f"write {self._name(key)}"):
            if size > self.multipart_above:
                upload = MultipartUpload(self.client, self.bucket, self.prefix + key, path, size)
                return upload.send(_absent(if_none_match), cancelled)
            with path.open("rb") as body:
                checksum = base64.b64encode(hashlib.file_digest(body, "sha256").digest()).decode()
                body.seek(0)
                written = self.client.put_object(
                    **self._at(key), Body=body, ChecksumSHA256=checksum, **_absent(if_none_match)
                )
        return written["ETag"]

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below `prefix`, in the order of the keys; a request per 1,000."""
        pages = self.client.get_paginator("list_objects_v2").paginate(**self._below(prefix))
        with translated(f"list {self._name(prefix)}"):
            for page in pages:
                for found in page.get("Contents", ()):
                    yield ObjectInfo(found["Key"][len(self.prefix) :], found["Size"], found["ETag"])

    def delete(self, key: str) -> None:
        """Deletes an object; none there is no error."""
        with translated(f"delete {self._name(key)}"):
            self.client.delete_object(**self._at(key))

    def delete_all(self, prefix: str = "") -> int:
        """Deletes everything below `prefix`, versions, markers and unfinished uploads included."""
        with translated(f"delete {self._name(prefix)}"):
            try:
                return self._abort_uploads(prefix) + self._delete_versions(prefix)
            except ClientError as error:
                if code_of(error) == "NoSuchBucket":
                    return 0
                raise

    def _delete_versions(self, prefix: str) -> int:
        count = 0
        # Always the first page: what it listed is gone then. No marker of a deleted key is relied upon (moto
        # 5.2.5 lists nothing after one).
        while objects := self._first_versions(prefix):
            result = self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            for fault in result.get("Errors", ()):
                raise ClientError({"Error": fault}, "DeleteObjects")
            count += len(objects)
        return count

    def _first_versions(self, prefix: str) -> list[dict[str, str]]:
        page = self.client.list_object_versions(**self._below(prefix), MaxKeys=_BATCH)
        rows = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        return [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]

    def _abort_uploads(self, prefix: str) -> int:
        count = 0
        pages = self.client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(**self._below(prefix)):
            for upload in page.get("Uploads", ()):
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                count += 1
        return count

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + key}

    def _below(self, prefix: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Prefix": self.prefix + prefix}

    def _name(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"


def _absent(if_none_match: bool) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if if_none_match else {}
