"""Brings what the store lacks into the store: packs and uploads changed models, in parallel."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cohost.archive import pack
from cohost.errors import CohostError, InputError, PreconditionFailed, Problem
from cohost.folder import scan, shown
from cohost.parallel import Counter, in_parallel
from cohost.release import archive_key
from cohost.scratch_folder import scratch_folder
from cohost.store import Cancelled, ObjectInfo, ObjectStore

# By name: the model's folder (None = only the store has it) and its digest.
Sources = Mapping[str, tuple[Path | None, str]]

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
    models: Sources,
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

    def lacking(asked: Mapping[str, str]) -> set[str]:
        keys = {name: archive_key(name, digest) for name, digest in asked.items()}
        return not_stored(keys, store, lambda: store.list("models/"))

    def send(missing: Sources, counter: Counter) -> list[int | None]:
        if not missing:
            return []
        large = threading.Lock()
        with scratch_folder() as scratch:
            work = [_Upload(name, path, digest, store, scratch, large) for name, (path, digest) in missing.items()]
            return in_parallel(work, _Upload.run, threads=_THREADS, cancelled=cancelled, after=lambda: counter.tell(1))

    return bring(models, known or {}, lacking, send, progress)


def bring(
    models: Sources,
    known: Mapping[str, str],
    lacking: Callable[[Mapping[str, str]], set[str]],
    send: Callable[[Sources, Counter], list[int | None]],
    progress: Callable[[int, int], None],
) -> Published:
    """Sends what a store lacks, in whichever layout it has.

    Args:
        models: As of `publish`.
        known: Digests by name that the store is known to hold.
        lacking: The names, of those with these digests, that the store lacks.
        send: Sends models, counting each; returns the bytes sent of each, None where somebody else has stored it
            meanwhile.
        progress: As of `publish`.
    """
    lacks = lacking({name: digest for name, (_, digest) in models.items() if known.get(name) != digest})
    missing = {name: source for name, source in models.items() if name in lacks}
    counter = Counter(len(models), len(models) - len(missing), progress)
    counter.tell()
    sent = send(missing, counter)
    uploaded = {name for name, size in zip(missing, sent, strict=True) if size is not None}
    return Published(
        uploaded=tuple(sorted(uploaded)),
        present=tuple(sorted(models.keys() - uploaded)),
        bytes_sent=sum(size or 0 for size in sent),
    )


def not_stored(keys: Mapping[str, str], store: ObjectStore, listing: Callable[[], Iterable[ObjectInfo]]) -> set[str]:
    """The names whose key the store does not have.

    Args:
        keys: Key by name.
        store: The store.
        listing: Lists every object that may have one of the keys.
    """
    if len(keys) <= _ASK_ONE_BY_ONE:
        return {name for name, key in keys.items() if store.head(key) is None}
    there = {found.key for found in listing()}
    return {name for name, key in keys.items() if key not in there}


def unavailable(name: str, key: str, store: ObjectStore) -> InputError:
    """The error of a model of which only the store has the files, and has not."""
    message = f"{store.url}/{key} is not stored: `cohost push` it, or give the model a path"
    return InputError([Problem("", name, message)])


@dataclass(frozen=True)
class _Upload:
    name: str
    folder: Path | None
    digest: str
    store: ObjectStore
    scratch: Path
    large: threading.Lock

    def run(self, cancelled: Callable[[], bool]) -> int | None:
        """Returns the bytes sent; None where somebody else has stored the archive meanwhile."""
        if self.folder is None:
            raise unavailable(self.name, archive_key(self.name, self.digest), self.store)
        if sum(file.size for file in scan(self.folder).files) > _LARGE:
            with self.large:
                return self._send(self.folder, os.cpu_count() or 1, cancelled)
        return self._send(self.folder, 1, cancelled)

    def _send(self, folder: Path, threads: int, cancelled: Callable[[], bool]) -> int | None:
        if cancelled():
            raise Cancelled(f"stopped before model {self.name} was published")
        archive = self.scratch / f"{self.name}.tar.gz"
        try:
            self._pack(folder, archive, threads)
            self.store.put_file(archive_key(self.name, self.digest), archive, cancelled=cancelled)
            return archive.stat().st_size
        except PreconditionFailed:
            if self.store.head(archive_key(self.name, self.digest)) is None:
                raise
            return None
        finally:
            archive.unlink(missing_ok=True)

    def _pack(self, folder: Path, archive: Path, threads: int) -> None:
        try:
            with archive.open("wb") as out:
                packed = pack(folder, self.name, out, threads=threads)
        except OSError as error:
            raise CohostError(
                f"model {self.name}: cannot write its archive to {self.scratch.parent}: {error.strerror}; "
                "TMPDIR may name a folder with more space"
            ) from error
        if packed != self.digest:
            message = f"has changed: its digest was {self.digest[:12]}… and is {packed[:12]}… now: run again"
            raise InputError([Problem(shown(folder), "", message)])
