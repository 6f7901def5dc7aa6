"""A note of folders that were read before, so that an unchanged catalog is not read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from cohost.folder import Scan, scan

_VERSION: Final = 2
# A file may be changed twice within one tick of the file system's clock without its times showing it (git
# calls such entries racily clean). Ticks are milliseconds on Linux, 1 s on HFS+ and some NFS, 2 s on FAT.
_TICK_NS: Final = 2_000_000_000


@dataclass(frozen=True)
class Entry:
    """What is known of a folder.

    Attributes:
        fingerprint: Of its files' names, sizes, times and inodes.
        digest: Of the artifact; empty when not computed yet.
        models: Names of the Triton models in it, when it was found good; empty otherwise.
        rules: What it was found good by (see `validation.RULES`).
    """

    fingerprint: str
    digest: str = ""
    models: tuple[str, ...] = ()
    rules: str = ""


class DigestCache:
    """What is known of model folders, by path; kept in a file that may be deleted at any time.

    An entry holds while names, sizes, times and inodes of the folder's files are the same, and is only kept
    when all of them are older than a tick of the clock, so that a change right after reading is seen.
    One instance looks at each folder once: use a new one for each operation. Not thread-safe.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Opens the cache.

        Args:
            path: The file; None = in memory only.
        """
        self._path = path
        self._scans: dict[Path, tuple[Scan, str, bool]] = {}
        self._kept: dict[str, list[Any]] = _read(path) if path else {}
        self._changed = False

    @classmethod
    def of_project(cls, root: Path) -> DigestCache:
        """The cache of a project folder: `<root>/.cohost/cache/digests`."""
        return cls(root / ".cohost" / "cache" / "digests")

    def scan(self, folder: Path) -> Scan:
        """The folder's content as this instance has seen it first."""
        return self._look(folder)[0]

    def entry(self, folder: Path) -> Entry:
        """What is known of the folder as it is now; an empty entry when nothing."""
        _, fingerprint, _ = self._look(folder)
        row = self._kept.get(str(folder))
        if row is None or row[0] != fingerprint:
            return Entry(fingerprint)
        return _entry(row)

    def note(self, folder: Path, *, digest: str | None = None, good: tuple[tuple[str, ...], str] | None = None) -> None:
        """Keeps what was found out about the folder.

        Args:
            folder: The folder, which `scan` or `entry` has looked at before it was read.
            digest: Its digest.
            good: The models in it and the rules by which it was found good.
        """
        entry = self.entry(folder)
        if digest is not None:
            entry = replace(entry, digest=digest)
        if good is not None:
            entry = replace(entry, models=good[0], rules=good[1])
        self._kept[str(folder)] = list(asdict(entry).values())
        self._changed = True

    def save(self) -> None:
        """Writes the file whole or not at all; a folder that cannot be written only costs time later."""
        if self._path is None or not self._changed:
            return
        settled = {name: row for name, row in self._kept.items() if self._is_worth_keeping(Path(name))}
        text = json.dumps({"version": _VERSION, "folders": settled})
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _write(self._path, f"{_checksum(text.encode())}\n{text}")
            self._changed = False

    def _look(self, folder: Path) -> tuple[Scan, str, bool]:
        seen = self._scans.get(folder)
        if seen is None:
            now = time.time_ns()
            found = scan(folder)
            newest = max((max(file.mtime_ns, file.ctime_ns) for file in found.files), default=0)
            seen = found, _fingerprint(found), newest + _TICK_NS < now
            self._scans[folder] = seen
        return seen

    def _is_worth_keeping(self, folder: Path) -> bool:
        seen = self._scans.get(folder)
        return seen[2] if seen else folder.is_dir()


def _entry(row: list[Any]) -> Entry:
    fingerprint, digest, models, rules = row
    return Entry(fingerprint, digest, tuple(models), rules)


def _fingerprint(found: Scan) -> str:
    lines = [f"{f.path}\0{f.size}\0{f.mtime_ns}\0{f.ctime_ns}\0{f.inode}" for f in found.files]
    lines += ["\0".join(fault) for fault in found.faults]
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _read(path: Path) -> dict[str, list[Any]]:
    """The rows of the file; none where it is missing, of another version or not as it was written."""
    try:
        checksum, _, text = path.read_bytes().partition(b"\n")
        if checksum.decode() != _checksum(text):
            return {}
        document = json.loads(text)
        return document["folders"] if document["version"] == _VERSION else {}
    except (OSError, ValueError):
        return {}


def _checksum(text: bytes) -> str:
    # Of a damaged digest nobody could tell why no artifact has it.
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _write(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
