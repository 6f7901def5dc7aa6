"""Brings what the store lacks into the store: packs and uploads changed models, in parallel."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cohost.archive import pack
from cohost.errors import CohostError, InputError, PreconditionFailed, Problem
from cohost.folder import scan, shown
from cohost.release import archive_key
from cohost.scratch_folder import scratch_folder
from cohost.store import Cancelled, ObjectStore

_THREADS: Final = 8
# Up to so many models the store is asked one by one; beyond that its listing is read, 1,000 keys a request.
_ASK_ONE_BY_ONE: Final = 16
# Larger models go one after the other: their parts go up in parallel, and the disk holds one archive.
_LARGE: Final = 64 << 20


# What an archive has beside the bytes of a file: a header and padding of tar, a header for each stored block.
_OVERHEAD: Final = 64 << 10


def scratch_bytes(sizes: Collection[int]) -> int:
    """Returns how much scratch space packing takes at once, at most.

    Args:
        sizes: Bytes of each model that may have to be packed.
    """
    small = sorted((size for size in sizes if size <= _LARGE), reverse=True)
    large = max((size for size in sizes if size > _LARGE), default=0)
    at_once = [large, *small[: _THREADS - 1]] if large else small[:_THREADS]
    return sum(size + size // 1000 + _OVERHEAD for size in at_once)


@dataclass(frozen=True)
class Published:
    """What `publish` did.

    Attributes:
        uploaded: Names of the models whose archive was uploaded, sorted.
        present: Names of the models whose archive the store had already, sorted.
        bytes_sent: Size of the uploaded archives together.
    """

    uploaded: tuple[str, ...]
    present: tuple[str, ...]
    bytes_sent: int


def publish(
    models: Mapping[str, tuple[Path | None, str]],
    store: ObjectStore,
    *,
    known: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Published:
    """Uploads the archive of every model that the store lacks; never overwrites one.

    Nothing is half-written: an object appears whole or not at all, under a key that names its content, so
    that a run that was killed is finished by running it again.

    Args:
        models: By name: the model's folder (None = only the store has it) and its digest.
        store: Where to.
        known: Digests by name that the store is known to hold and is not asked for (the same content under
            another name is another object).
        progress: Called with (models done, models in all) at the start and after each model.
        cancelled: Asked before each model and each part; True ends the work with `Cancelled`.

    Raises:
        InputError: A folder no longer has its declared digest, or an artifact given by digest is not stored;
            all of them at once. Models that could be published then are.
        StoreError: The store refused.
        Cancelled: `cancelled` said so.
    """
    known = known or {}
    asked = {name: digest for name, (_, digest) in models.items() if known.get(name) != digest}
    stored = _stored(asked, store)
    missing = {name: models[name] for name in asked if name not in stored}
    problems = [_not_stored(name, digest, store) for name, (path, digest) in missing.items() if path is None]
    sizes = _upload(missing, store, _Counter(len(models), len(models) - len(missing), progress), cancelled, problems)
    if problems:
        raise InputError(problems)
    uploaded = {name for name, size in sizes.items() if size is not None}
    return Published(
        uploaded=tuple(sorted(uploaded)),
        present=tuple(sorted(models.keys() - uploaded)),
        bytes_sent=sum(size or 0 for size in sizes.values()),
    )


def _upload(
    missing: Mapping[str, tuple[Path | None, str]],
    store: ObjectStore,
    counter: _Counter,
    cancelled: Callable[[], bool],
    problems: list[Problem],
) -> dict[str, int | None]:
    """Returns the bytes sent by model; None where somebody else has stored the archive meanwhile."""
    counter.tell()
    if not any(path for path, _ in missing.values()):
        return {}
    failed = threading.Event()
    with scratch_folder() as scratch:
        work = [
            _Upload(name, path, digest, store, scratch, lambda: failed.is_set() or cancelled())
            for name, (path, digest) in missing.items()
            if path
        ]
        return _run(work, counter, failed, problems)


@dataclass(frozen=True)
class _Upload:
    name: str
    folder: Path
    digest: str
    store: ObjectStore
    scratch: Path
    cancelled: Callable[[], bool]

    def run(self, large: threading.Lock) -> int | None:
        if sum(file.size for file in scan(self.folder).files) > _LARGE:
            with large:
                return self._send(threads=os.cpu_count() or 1)
        return self._send(threads=1)

    def _send(self, threads: int) -> int | None:
        if self.cancelled():
            raise Cancelled(f"stopped before model {self.name} was published")
        archive = self.scratch / f"{self.name}.tar.gz"
        try:
            self._pack(archive, threads)
            self.store.put_file(archive_key(self.name, self.digest), archive, cancelled=self.cancelled)
            return archive.stat().st_size
        except PreconditionFailed:
            if self.store.head(archive_key(self.name, self.digest)) is None:
                raise
            return None
        finally:
            archive.unlink(missing_ok=True)

    def _pack(self, archive: Path, threads: int) -> None:
        try:
            with archive.open("wb") as out:
                packed = pack(self.folder, self.name, out, threads=threads)
        except OSError as error:
            raise CohostError(
                f"model {self.name}: cannot write its archive to {self.scratch.parent}: {error.strerror}; "
                "TMPDIR may name a folder with more space"
            ) from error
        if packed != self.digest:
            message = f"has changed: its digest was {self.digest[:12]}… and is {packed[:12]}… now: run again"
            raise InputError([Problem(shown(self.folder), "", message)])


@dataclass
class _Counter:
    total: int
    done: int
    report: Callable[[int, int], None]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, more: int = 0) -> None:
        with self.lock:
            self.done += more
            self.report(self.done, self.total)


def _run(
    work: list[_Upload], counter: _Counter, failed: threading.Event, problems: list[Problem]
) -> dict[str, int | None]:
    large = threading.Lock()
    sizes: dict[str, int | None] = {}
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="publish") as pool:
        running: dict[Future[int | None], str] = {pool.submit(one.run, large): one.name for one in work}
        try:
            for future in as_completed(running):
                try:
                    sizes[running[future]] = future.result()
                except InputError as error:
                    problems += error.problems
                counter.tell(1)
        except BaseException:
            failed.set()  # what is being sent ends with its next part
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return sizes


def _stored(asked: Mapping[str, str], store: ObjectStore) -> set[str]:
    keys = {archive_key(name, digest): name for name, digest in asked.items()}
    if len(keys) <= _ASK_ONE_BY_ONE:
        return {name for key, name in keys.items() if store.head(key) is not None}
    return {keys[found.key] for found in store.list("models/") if found.key in keys}


def _not_stored(name: str, digest: str, store: ObjectStore) -> Problem:
    key = archive_key(name, digest)
    return Problem("", name, f"{store.url}/{key} is not stored: `cohost push` it, or give the model a path")
