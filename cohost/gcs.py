"""The store on Google Cloud Storage.

Conditional writes: ifGenerationMatch, 0 for "must not exist" ("Request preconditions"); an etag here is the
object's generation. Checksums: the service computes the CRC32C of what it received and refuses other bytes ("Data
validation and change detection"). Copies: the rewrite method moves no byte through this machine ("Objects: rewrite").
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import google_crc32c
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.adapters import HTTPAdapter

from cohost.errors import InputError, Problem
from cohost.folder import shown
from cohost.gcs_errors import is_missing_bucket, translated
from cohost.gcs_upload import CHANGED, ResumableUpload
from cohost.store import Cancelled, ObjectInfo

_URL: Final = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(.*?))?/?")
_CONNECTIONS: Final = 32
# Up to this size one request holds the whole file (google-cloud-storage does the same).
_RESUMABLE_ABOVE: Final = 8 << 20
_PATTERN: Final = re.compile(r"[\\*?\[\]{}]")
_READ: Final = 4 << 20
_ROW: Final = "items(name,size,generation,crc32c),nextPageToken"
_VERSION: Final = "items(name,generation),nextPageToken"


@dataclass(frozen=True)
class GcsObject(ObjectInfo):
    """What Cloud Storage says about an object.

    Attributes:
        crc32c: Its checksum, in base64 as Google writes it.
    """

    crc32c: str


@dataclass(frozen=True)
class GcsStore:
    """A bucket and a prefix on Cloud Storage.

    Attributes:
        client: A google-cloud-storage client.
        bucket: Name of the bucket.
        prefix: "" or a prefix that ends in a slash.
        resumable_above: Files larger than this (bytes) go up in chunks.
    """

    client: Any
    bucket: str
    prefix: str = ""
    resumable_above: int = _RESUMABLE_ABOVE

    @classmethod
    def open(cls, url: str, *, credentials: Any = None) -> GcsStore:
        """Opens `gs://<bucket>/<prefix>` with google-auth's credentials, or those of the environment.

        STORAGE_EMULATOR_HOST in the environment names another service than Google's.

        Raises:
            InputError: The URL is not of that form.
            StoreError: There are no credentials.
        """
        match = _URL.fullmatch(url)
        if match is None:
            raise InputError([Problem("", "store", f'"{url}" must be gs://<bucket> or gs://<bucket>/<prefix>')])
        with translated(f"open {url}"):
            client = storage.Client(project=None, credentials=credentials)
            for scheme in ("https://", "http://"):
                client._http.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        return cls(client, match[1], f"{match[2]}/" if match[2] else "")

    @property
    def url(self) -> str:
        """`gs://<bucket>/<prefix>` without a trailing slash."""
        return f"gs://{self.bucket}/{self.prefix}".rstrip("/")

    def region(self) -> str:
        """The bucket's location, as Vertex AI writes it: "europe-west4"."""
        with translated(f"look for {self.url}"):
            return self.client.get_bucket(self.bucket, retry=DEFAULT_RETRY).location.lower()

    def head(self, key: str) -> GcsObject | None:
        """What is stored under `key`, or None."""
        with translated(f"look for {self._name(key)}"):
            found = self._bucket().get_blob(self.prefix + key, retry=DEFAULT_RETRY)
        return None if found is None else self._info(found)

    def get(self, key: str) -> tuple[bytes, str]:
        """The bytes and the etag of a small object; raises `ObjectNotFound`."""
        blob = self._blob(key)
        with translated(f"read {self._name(key)}"):
            data = blob.download_as_bytes(retry=DEFAULT_RETRY)
        return data, str(blob.generation)

    def put_bytes(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        """Writes a small object and returns its etag; raises `PreconditionFailed`."""
        condition = int(if_match) if if_match is not None else _absent(if_none_match)
        blob = self._blob(key)
        with translated(f"write {self._name(key)}"):
            blob.upload_from_string(
                data,
                content_type="application/octet-stream",
                if_generation_match=condition,
                checksum="crc32c",
                retry=DEFAULT_RETRY,
            )
        return str(blob.generation)

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        if_none_match: bool = True,
        cancelled: Callable[[], bool] = lambda: False,
        crc32c: str | None = None,
    ) -> str:
        """Writes a file and returns its etag; raises `PreconditionFailed`, `Cancelled`.

        Args:
            key: Where.
            path: The file.
            if_none_match: Only while there is no object.
            cancelled: Asked before each chunk.
            crc32c: What the file's bytes must be (base64); None = whatever they are now.

        Raises:
            InputError: The file has other bytes.
        """
        if cancelled():
            raise Cancelled(f"stopped before {self._name(key)} was written")
        size = path.stat().st_size
        if size > self.resumable_above:
            blob = self._blob(key)
            blob.crc32c = crc32c or _crc32c_of(path)
            upload = ResumableUpload(self.client._http, blob, path, size)
            with translated(f"write {self._name(key)}"):
                return upload.send(if_none_match, cancelled)
        data = path.read_bytes()
        if crc32c not in (None, base64_crc32c(google_crc32c.value(data))):
            raise InputError([Problem(shown(path), "", CHANGED)])
        return self.put_bytes(key, data, if_none_match=if_none_match)

    def copy(self, source_key: str, target_key: str, *, if_none_match: bool = True) -> str:
        """Copies an object within the store, without its bytes coming here, and returns the copy's etag.

        Raises:
            PreconditionFailed: `if_none_match` and there is an object at the target.
            ObjectNotFound: There is none at the source.
        """
        source, target = self._blob(source_key), self._blob(target_key)
        token: str | None = None
        with translated(f"copy {self._name(source_key)} to {self._name(target_key)}"):
            while True:  # a large object, or one that changes its place, takes several requests
                token, _, _ = target.rewrite(
                    source, token=token, if_generation_match=_absent(if_none_match), retry=DEFAULT_RETRY
                )
                if token is None:
                    return str(target.generation)

    def list(self, prefix: str = "", *, glob: str | None = None) -> Iterator[GcsObject]:
        """Every object below `prefix`, in the order of the keys; a request per 1,000.

        Args:
            prefix: What the keys begin with.
            glob: Spares the caller keys that are not of this pattern, in which `*` stands for all but a slash.
        """
        # Where the store's own prefix is no plain text for a pattern, everything is listed.
        pattern = self.prefix + glob if glob and not _PATTERN.search(self.prefix) else None
        with translated(f"list {self._name(prefix)}"):
            for blob in self.client.list_blobs(
                self.bucket, prefix=self.prefix + prefix, match_glob=pattern, fields=_ROW, retry=DEFAULT_RETRY
            ):
                yield self._info(blob)

    def delete(self, key: str) -> None:
        """Deletes an object; none there is no error."""
        with translated(f"delete {self._name(key)}"):
            self._delete(self.prefix + key, None)

    def delete_all(self, prefix: str = "") -> int:
        """Deletes everything below `prefix`, all versions included.

        Unfinished uploads cannot be listed; they end by themselves after a week. What the bucket's soft delete
        policy keeps goes with its time, and does not keep the bucket from being deleted.
        """
        with translated(f"delete {self._name(prefix)}"), ThreadPoolExecutor(_CONNECTIONS) as pool:
            try:
                versions = self.client.list_blobs(
                    self.bucket, prefix=self.prefix + prefix, versions=True, fields=_VERSION, retry=DEFAULT_RETRY
                )
                return sum(1 for _ in pool.map(lambda blob: self._delete(blob.name, blob.generation), versions))
            except exceptions.NotFound as error:
                if is_missing_bucket(error):
                    return 0
                raise

    def _delete(self, name: str, generation: int | None) -> None:
        try:
            self._bucket().delete_blob(name, generation=generation, retry=DEFAULT_RETRY)
        except exceptions.NotFound as error:
            if is_missing_bucket(error):
                raise

    def _info(self, blob: Any) -> GcsObject:
        return GcsObject(blob.name[len(self.prefix) :], blob.size, str(blob.generation), blob.crc32c)

    def _bucket(self) -> Any:
        return self.client.bucket(self.bucket)

    def _blob(self, key: str) -> Any:
        return self._bucket().blob(self.prefix + key)

    def _name(self, key: str) -> str:
        return f"gs://{self.bucket}/{self.prefix}{key}"


def base64_crc32c(value: int) -> str:
    """A CRC32C as Google writes it: base64 of its four bytes, big end first."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def _crc32c_of(path: Path) -> str:
    value = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_READ):
            value = google_crc32c.extend(value, chunk)
    return base64_crc32c(value)


def _absent(if_none_match: bool) -> int | None:
    return 0 if if_none_match else None
