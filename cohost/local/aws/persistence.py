"""What survives the process: every change is committed to SQLite before its request is answered.

A record each for: the state of a service in an account and region, an S3 object with all its versions, an
unfinished multipart upload, and each of its parts. So a request writes what it changed, not what there is.
SQLite's journal makes each request's records appear together or not at all; without fsync, which only a crash
of the whole machine would need.

Not kept, because neither is a resource: CloudWatch metric data and log events.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import moto
from moto.backends import get_backend
from moto.core.base_backend import BackendDict, BaseBackend
from moto.s3.models import FakeBucket, FakeMultipart, MultipartDict, S3Backend, s3_backends
from moto.s3.utils import _VersionedKeyStore

from cohost.errors import CohostError
from cohost.local.aws.bodies import Bodies, Body
from cohost.local.aws.records import dump, load

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS services (service, account, region, record BLOB,
    PRIMARY KEY (service, account, region)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (bucket, key, record BLOB, PRIMARY KEY (bucket, key));
CREATE TABLE IF NOT EXISTS uploads (bucket, upload, part, record BLOB, PRIMARY KEY (bucket, upload, part));
"""
_HEAD: Final = 0  # part number of an upload's own record; S3's part numbers begin at 1
_TRANSIENT: Final = {"cloudwatch": ("metric_data", "paged_metric_data"), "logs": ("queries",)}
_BUCKETS: Final = "buckets"


class Persistence:
    """The state folder's database and the objects' bodies beside it.

    Raises:
        CohostError: The folder was written by another version of moto.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._bodies = Body.bodies = Bodies(folder / "bodies")
        self._database = sqlite3.connect(folder / "state.db", check_same_thread=False)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _SCHEMA)
        self._written: dict[tuple[str, str, str], bytes] = {}
        _require_version(self._database, folder)

    def close(self) -> None:
        """Ends the use of the database."""
        self._database.close()

    def restore(self) -> None:
        """Puts every recorded resource back into moto's backends."""
        for service, account, region, record in self._database.execute("SELECT * FROM services"):
            vars(get_backend(service)[account][region]).update(load(record))
            self._written[service, account, region] = record
        buckets = {bucket.name: bucket for bucket in _buckets()}
        for bucket in buckets.values():
            s3_backends.bucket_accounts[bucket.name] = (bucket.partition, bucket.account_id)
        for name, key, record in self._database.execute("SELECT * FROM objects"):
            buckets[name].keys.setlist(key, load(record))
        rows = self._database.execute("SELECT * FROM uploads ORDER BY bucket, upload, part")
        for name, upload, part, record in rows:
            if part == _HEAD:
                buckets[name].multiparts[upload] = load(record)
            else:
                buckets[name].multiparts[upload].parts[part] = load(record)
        self._bodies.sweep()

    def record_service(self, service: str) -> None:
        """Records the state of a service where it changed; for S3 that of the buckets, not of the objects."""
        with self._database:
            self._write_service(service)

    def record_objects(self, bucket: str, keys: Iterable[str], upload: str | None, part: int | None) -> None:
        """Records the buckets and these objects of one of them, with what a request did to its uploads.

        Args:
            bucket: The bucket's name.
            keys: The objects the request named.
            upload: The multipart upload the request named.
            part: The part of it the request named.
        """
        with self._database:
            self._write_service("s3")
            for key in keys:
                self._write_object(bucket, key)
            self._write_uploads(bucket, upload, part)
            if _bucket(bucket) is None:
                self._database.execute("DELETE FROM objects WHERE bucket = ?", (bucket,))
        self._bodies.forget_dropped()

    def _write_service(self, service: str) -> None:
        for account, region, backend in list(_backends(service)):
            place = (service, account, region)
            record = dump(_kept_state(service, backend))
            if self._written.get(place) != record:
                self._database.execute("REPLACE INTO services VALUES (?, ?, ?, ?)", (*place, record))
                self._written[place] = record

    def _write_object(self, bucket: str, key: str) -> None:
        found = _bucket(bucket)
        versions = found.keys.getlist(key) if found else None
        if versions:
            self._database.execute("REPLACE INTO objects VALUES (?, ?, ?)", (bucket, key, dump(versions)))
        else:
            self._database.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))

    def _write_uploads(self, bucket: str, upload: str | None, part: int | None) -> None:
        found = _bucket(bucket)
        unfinished: dict[str, FakeMultipart] = found.multiparts if found else {}
        rows = self._database.execute("SELECT upload FROM uploads WHERE bucket = ? AND part = 0", (bucket,))
        recorded = {name for (name,) in rows}
        for gone in recorded - set(unfinished):
            self._database.execute("DELETE FROM uploads WHERE bucket = ? AND upload = ?", (bucket, gone))
        for name in unfinished.keys() - recorded | unfinished.keys() & {upload}:
            self._write_upload(bucket, name, unfinished[name], part)

    def _write_upload(self, bucket: str, name: str, upload: FakeMultipart, part: int | None) -> None:
        parts, upload.parts = upload.parts, {}
        try:
            self._replace_part(bucket, name, _HEAD, upload)
        finally:
            upload.parts = parts
        if part is not None and part in parts:
            self._replace_part(bucket, name, part, parts[part])

    def _replace_part(self, bucket: str, name: str, part: int, value: Any) -> None:
        self._database.execute("REPLACE INTO uploads VALUES (?, ?, ?, ?)", (bucket, name, part, dump(value)))


def _require_version(database: sqlite3.Connection, folder: Path) -> None:
    """Refuses records of another moto: they hold its own classes."""
    with database:
        database.execute("INSERT OR IGNORE INTO about VALUES ('moto', ?)", (moto.__version__,))
    (version,) = database.execute("SELECT value FROM about WHERE name = 'moto'").fetchone()
    if version != moto.__version__:
        raise CohostError(
            f"{folder}: was written with moto {version}, installed is {moto.__version__}; "
            "install that version to keep its resources, or remove the folder to begin anew"
        )


def _backends(service: str) -> Iterator[tuple[str, str, BaseBackend]]:
    backends = get_backend(service)  # type: ignore[call-overload]
    if isinstance(backends, BackendDict):
        yield from backends.iter_backends()


def _buckets() -> Iterator[FakeBucket]:
    for _account, _region, backend in s3_backends.iter_backends():
        if isinstance(backend, S3Backend):
            yield from backend.buckets.values()


def _bucket(name: str) -> FakeBucket | None:
    return next((bucket for bucket in _buckets() if bucket.name == name), None)


def _kept_state(service: str, backend: BaseBackend) -> dict[str, Any]:
    state = {name: value for name, value in vars(backend).items() if name not in _TRANSIENT.get(service, ())}
    if service == "s3":
        state[_BUCKETS] = {name: _without_objects(bucket) for name, bucket in state[_BUCKETS].items()}
    return state


def _without_objects(bucket: FakeBucket) -> FakeBucket:
    kept = object.__new__(type(bucket))
    vars(kept).update(vars(bucket) | {"keys": _VersionedKeyStore(), "multiparts": MultipartDict()})
    return kept
