"""Brings what the store on Cloud Storage lacks into it: the files of changed models, in parallel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cohost.errors import InputError, PreconditionFailed, Problem, StoreError
from cohost.folder import ModelFile, scan, shown
from cohost.gcs_layout import Manifest, StoredFile, artifact_folder, manifest_key, members
from cohost.manifest import check, read_chunks
from cohost.parallel import Counter, in_parallel
from cohost.publish import Published, Sources, bring, not_stored, unavailable

if TYPE_CHECKING:
    from cohost.gcs import GcsStore

_MODELS: Final = 8
_FILES: Final = 4


def publish(
    models: Sources,
    store: GcsStore,
    *,
    known: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Published:
    """Uploads the files of every model that the store lacks; never overwrites one.

    An artifact is there when its manifest is, which is written last; a run that was killed is finished by running
    it again, and what it has sent is not sent again.

    Args:
        models: By name: the model's folder (None = only the store has it) and its digest.
        store: Where to.
        known: Digests by name that the store is known to hold and is not asked for (the same content under
            another name is another object).
        progress: Called with (models done, models in all) at the start and after each model.
        cancelled: Asked before each file and each chunk; True ends the work with `Cancelled`.

    Raises:
        InputError: A folder no longer has its declared digest, or an artifact given by digest is not stored;
            all of them at once. Models that could be published then are.
        StoreError: The store refused.
        Cancelled: `cancelled` said so.
    """

    def lacking(asked: Mapping[str, str]) -> set[str]:
        keys = {name: manifest_key(name, digest) for name, digest in asked.items()}
        return not_stored(keys, store, lambda: store.list("models/", glob="models/*/*.json"))

    def send(missing: Sources, counter: Counter) -> list[int | None]:
        work = [_Upload(name, *source, store) for name, source in missing.items()]
        return in_parallel(work, _Upload.run, threads=_MODELS, cancelled=cancelled, after=lambda: counter.tell(1))

    return bring(models, known or {}, lacking, send, progress)


@dataclass(frozen=True)
class _Read:
    """A file whose bytes have been read: what the store must get."""

    file: ModelFile
    sha256: str
    crc32c: str


@dataclass(frozen=True)
class _Upload:
    name: str
    folder: Path | None
    digest: str
    store: GcsStore

    def run(self, cancelled: Callable[[], bool]) -> int | None:
        """Returns the bytes sent; None where somebody else has stored the artifact meanwhile."""
        key = manifest_key(self.name, self.digest)
        if self.folder is None:
            raise unavailable(self.name, key, self.store)
        found = scan(self.folder)
        check(found)
        read = in_parallel(found.artifact_files, lambda file, _: self._read(file), threads=_FILES, cancelled=cancelled)
        manifest = Manifest({one.file.path: StoredFile(one.file.size, one.sha256) for one in read})
        if manifest.digest != self.digest:
            message = f"has changed: its digest was {self.digest[:12]}… and is {manifest.digest[:12]}… now: run again"
            raise InputError([Problem(shown(self.folder), "", message)])
        sent = self._send(read, cancelled)
        data = manifest.to_json()
        try:
            self.store.put_bytes(key, data, if_none_match=True)
        except PreconditionFailed:
            return None
        return sent + len(data)

    def _read(self, file: ModelFile) -> _Read:
        import google_crc32c

        from cohost.gcs import base64_crc32c

        assert self.folder is not None
        sha, crc = hashlib.sha256(), 0
        for chunk in read_chunks(self.folder, file):
            sha.update(chunk)
            crc = google_crc32c.extend(crc, chunk)
        return _Read(file, sha.hexdigest(), base64_crc32c(crc))

    def _send(self, read: list[_Read], cancelled: Callable[[], bool]) -> int:
        """Sends what is not there; returns how many bytes that were."""
        assert self.folder is not None
        prefix = artifact_folder(self.name, self.digest)
        keys = {path: prefix + member for path, member in members(self.name, [one.file.path for one in read]).items()}
        there = {found.key: found.crc32c for found in self.store.list(prefix)}
        lacking = [one for one in read if there.get(keys[one.file.path]) != one.crc32c]
        folder = self.folder

        def put(one: _Read, stopping: Callable[[], bool]) -> int:
            key = keys[one.file.path]
            try:
                self.store.put_file(key, folder / one.file.path, cancelled=stopping, crc32c=one.crc32c)
                return one.file.size
            except OSError as error:
                words = f"cannot be read: {error.strerror}"
                raise InputError([Problem(shown(folder / one.file.path), "", words)]) from error
            except PreconditionFailed as error:
                stored = self.store.head(key)
                if stored is None or stored.crc32c != one.crc32c:
                    message = f"{self.store.url}/{key} holds other bytes than the model's: delete it"
                    raise StoreError(message) from error
                return 0

        return sum(in_parallel(lacking, put, threads=_FILES, cancelled=cancelled))
