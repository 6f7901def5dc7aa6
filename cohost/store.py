"""The object store: where artifacts and releases live. One protocol, one implementation per cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cohost.errors import CohostError, StoreError


class ObjectNotFound(StoreError):
    """There is no object under the key."""


class BucketNotFound(StoreError):
    """The store's bucket does not exist."""


class Cancelled(CohostError):
    """The caller asked to stop; what is already stored stays and is found again by the next run."""


@dataclass(frozen=True)
class ObjectInfo:
    """What the store says about an object.

    Attributes:
        key: Relative to the store's prefix.
        size: Bytes.
        etag: Its version for preconditions, as the store writes it (S3: the ETag with its quotes; Cloud Storage: the
            generation).
    """

    key: str
    size: int
    etag: str


class ObjectStore(Protocol):
    """A bucket and a prefix. Keys are relative to the prefix; all methods may be called from many threads.

    Every method raises `StoreError` with the store's own words when it refuses or cannot be reached.
    """

    @property
    def url(self) -> str:
        """`s3://<bucket>/<prefix>` or `gs://<bucket>/<prefix>`, without a trailing slash."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """What is stored under `key`, or None."""
        ...

    def get(self, key: str) -> tuple[bytes, str]:
        """The bytes and the etag of a small object.

        Raises:
            ObjectNotFound: There is none.
        """
        ...

    def put_bytes(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        """Writes a small object and returns its etag.

        Args:
            key: Where.
            data: What; the store verifies its checksum (S3: SHA-256, Cloud Storage: CRC32C).
            if_match: Only while the object still has this etag.
            if_none_match: Only while there is no object.

        Raises:
            PreconditionFailed: Somebody else wrote first.
        """
        ...

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        if_none_match: bool = True,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> str:
        """Writes a file of any size and returns its etag; the store verifies its checksum, as of `put_bytes`.

        A large file goes up in parts; what an interrupted call has sent is used by the next one.

        Raises:
            PreconditionFailed: `if_none_match` and there is an object.
            Cancelled: `cancelled` said so between two parts.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, in the order of the keys; a request per 1,000."""
        ...

    def delete(self, key: str) -> None:
        """Deletes an object; none there is no error."""
        ...

    def delete_all(self, prefix: str = "") -> int:
        """Deletes everything below `prefix`, all versions included.

        On S3 also delete markers and unfinished multipart uploads; unfinished uploads to Cloud Storage end by
        themselves.

        Returns:
            How many of them there were; 0 when there is no bucket any more.
        """
        ...
