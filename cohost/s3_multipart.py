"""One large file to S3 in parts: parallel, each part checked by S3, resumed after an interruption."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from cohost.s3_errors import code_of
from cohost.store import Cancelled

# S3 takes at most 10,000 parts ("Amazon S3 multipart upload limits"); 16 MiB keeps memory small.
_PART: Final = 16 << 20
_MAX_PARTS: Final = 10_000
_THREADS: Final = 4
_EXISTS: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "409", "412"})
# Somebody else, who sends the same file, has completed the upload or replaced a part of it (a part's etag is
# another one each time where S3 encrypts with KMS).
_OVERTAKEN: Final = frozenset({"NoSuchUpload", "InvalidPart"})
_TRIES: Final = 3


@dataclass(frozen=True)
class MultipartUpload:
    """The upload of one file to one key.

    Attributes:
        client: A boto3 S3 client.
        bucket: Name of the bucket.
        key: The whole key.
        path: The file.
        size: Its size in bytes.
        part_size: Bytes per part, the last one aside.
    """

    client: Any
    bucket: str
    key: str
    path: Path
    size: int
    part_size: int = _PART

    def send(self, condition: Mapping[str, str], cancelled: Callable[[], bool]) -> str:
        """Sends what S3 lacks of the file, completes the object and returns its etag.

        An interrupted upload is left as it is: the next call finds it and sends only the rest. Parts are
        matched by their SHA-256, so an upload of other bytes under the same key cannot be mixed in. Two callers
        with the same file at once send it together; the second one finds the object there.

        Args:
            condition: Preconditions of CompleteMultipartUpload.
            cancelled: Asked before each part.

        Raises:
            ClientError: S3 refused; 412 when the condition does not hold.
            Cancelled: `cancelled` said so.
        """
        for tries_left in reversed(range(_TRIES)):
            upload = self._unfinished() or self._begin()
            try:
                return self._send_to(upload, condition, cancelled)
            except ClientError as error:
                if code_of(error) in _EXISTS:
                    self._abort(upload)
                    raise
                if code_of(error) not in _OVERTAKEN or not tries_left:
                    raise
            if condition:
                self._ensure_absent()
        raise AssertionError("the last try returns or raises")

    def _send_to(self, upload: str, condition: Mapping[str, str], cancelled: Callable[[], bool]) -> str:
        parts = self._send_parts(upload, self._sent(upload), cancelled)
        done = self.client.complete_multipart_upload(**self._at(upload), MultipartUpload={"Parts": parts}, **condition)
        return done["ETag"]

    def _ensure_absent(self) -> None:
        """Says of an object that is there what CompleteMultipartUpload would say, before sending it all again."""
        try:
            self.client.head_object(Bucket=self.bucket, Key=self.key)
        except ClientError as error:
            if code_of(error) in ("404", "NoSuchKey", "NotFound"):
                return
            raise
        fault: Any = {"Error": {"Code": "PreconditionFailed", "Message": "the object exists"}}
        raise ClientError(fault, "CompleteMultipartUpload")

    def _unfinished(self) -> str | None:
        found = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.key)
        uploads = [row for row in found.get("Uploads", ()) if row["Key"] == self.key]
        return max(uploads, key=lambda row: row["Initiated"])["UploadId"] if uploads else None

    def _begin(self) -> str:
        begun = self.client.create_multipart_upload(Bucket=self.bucket, Key=self.key, ChecksumAlgorithm="SHA256")
        return begun["UploadId"]

    def _abort(self, upload: str) -> None:
        try:
            self.client.abort_multipart_upload(**self._at(upload))
        except ClientError as error:
            if code_of(error) not in ("NoSuchUpload", "404"):
                raise

    def _sent(self, upload: str) -> dict[int, dict[str, Any]]:
        pages = self.client.get_paginator("list_parts").paginate(**self._at(upload))
        return {part["PartNumber"]: part for page in pages for part in page.get("Parts", ())}

    def _send_parts(
        self, upload: str, sent: Mapping[int, Mapping[str, Any]], cancelled: Callable[[], bool]
    ) -> list[dict[str, Any]]:
        part_size = max(self.part_size, -(-self.size // _MAX_PARTS))
        numbers = range(1, -(-self.size // part_size) + 1)

        def send(number: int) -> dict[str, Any]:
            if cancelled():
                raise Cancelled(f"stopped while s3://{self.bucket}/{self.key} was being written")
            with self.path.open("rb", buffering=0) as file:
                file.seek((number - 1) * part_size)
                data = file.read(part_size)
            return self._send_part(upload, number, data, sent.get(number, {}))

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="upload") as pool:
            try:
                return list(pool.map(send, numbers))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _send_part(self, upload: str, number: int, data: bytes, sent: Mapping[str, Any]) -> dict[str, Any]:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        etag = sent.get("ETag")
        if sent.get("ChecksumSHA256") != checksum or etag is None:
            answer = self.client.upload_part(**self._at(upload), PartNumber=number, Body=data, ChecksumSHA256=checksum)
            etag = answer["ETag"]
        return {"PartNumber": number, "ETag": etag, "ChecksumSHA256": checksum}

    def _at(self, upload: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": upload}
