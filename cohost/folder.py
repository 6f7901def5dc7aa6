"""What is in a model folder: its files in one fixed order, and what must not be there."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

SMOKE: Final = "smoke.json"
CONFIG: Final = "config.pbtxt"
_LFS_HEAD: Final = b"version https://git-lfs.github.com/spec/"
# What desktops, Python, notebooks and git leave behind; a digest must not depend on who looked into the folder.
_LITTER: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "__pycache__", ".ipynb_checkpoints", ".git"})


class ModelFile(NamedTuple):
    """One file of a model folder, as the file system describes it.

    Attributes:
        path: Relative to the folder, with forward slashes.
        size: Bytes.
        mtime_ns: Time of the last change of the content, as anybody may set it.
        ctime_ns: Time of the last change of anything, as only the kernel sets it.
        inode: Its number.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True)
class Scan:
    """The content of a model folder.

    Attributes:
        folder: The folder.
        files: All files, `smoke.json` included, sorted by the bytes of their paths.
        faults: (path relative to the folder, what is wrong with it).
    """

    folder: Path
    files: tuple[ModelFile, ...]
    faults: tuple[tuple[str, str], ...]

    @property
    def artifact_files(self) -> tuple[ModelFile, ...]:
        """The files that make up the artifact: all but the smoke test at the top."""
        return tuple(file for file in self.files if file.path != SMOKE)

    @property
    def is_repository(self) -> bool:
        """Whether it holds several models: no config.pbtxt at its top, but in a sub-folder."""
        paths = [file.path for file in self.files]
        return CONFIG not in paths and any(p.count("/") == 1 and p.endswith(f"/{CONFIG}") for p in paths)


def scan(folder: Path) -> Scan:
    """Lists a model folder without reading any file.

    A link to a file inside the folder counts as that file. Links out of the folder, links to folders,
    devices, and names that an archive could not carry everywhere are faults.
    """
    files: list[ModelFile] = []
    faults: list[tuple[str, str]] = []
    for entry, relative in _walk(folder, faults):
        _add(entry, relative, folder, files, faults)
    files.sort(key=lambda file: os.fsencode(file.path))
    return Scan(folder, tuple(files), tuple(sorted(faults)))


def is_lfs_pointer(head: bytes) -> bool:
    """Whether a file that begins with `head` is a Git LFS pointer instead of the real content."""
    return head.startswith(_LFS_HEAD)


def shown(path: Path) -> str:
    """A path as the user would name it: relative to the working folder where it is below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # it is not below, or the working folder is gone
        return str(path)


def _walk(folder: Path, faults: list[tuple[str, str]]) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yields (entry, path relative to the folder) of everything that is no folder, in no particular order."""
    waiting = [(str(folder), "")]
    while waiting:
        path, prefix = waiting.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name in _LITTER:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, f"{prefix}{entry.name}/"))
                    else:
                        yield entry, prefix + entry.name
        except OSError as error:
            faults.append((_printable(prefix.rstrip("/")), f"cannot be read: {error.strerror}"))


def _add(
    entry: os.DirEntry[str],
    relative: str,
    folder: Path,
    files: list[ModelFile],
    faults: list[tuple[str, str]],
) -> None:
    fault = _name_fault(relative)
    if fault is None and entry.is_symlink():
        fault = _link_fault(entry, folder)
    if fault is not None:
        faults.append((_printable(relative), fault))
        return
    try:
        found = entry.stat()
    except OSError as error:
        faults.append((relative, f"cannot be read: {error.strerror}"))
        return
    if not stat.S_ISREG(found.st_mode):
        faults.append((relative, "is neither a file nor a folder"))
        return
    files.append(ModelFile(relative, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino))


def _printable(path: str) -> str:
    return path.encode("utf-8", "replace").decode()


def _name_fault(path: str) -> str | None:
    if not path.isprintable() or "\\" in path:
        return "rename it: only printable characters, and no backslash, work on every platform"
    if not unicodedata.is_normalized("NFC", path):
        # macOS takes both forms for one name and git rewrites them; the digest would depend on the machine.
        return "rename it: an accent stands apart from its letter (Unicode NFD), and platforms disagree on that"
    return None


def _link_fault(entry: os.DirEntry[str], folder: Path) -> str | None:
    target = os.path.realpath(entry.path)
    if not os.path.exists(target):  # noqa: PTH110
        return "is a link to what does not exist"
    if not target.startswith(os.path.realpath(folder) + os.sep):
        return f"is a link out of the model folder, to {_printable(target)}: copy the file instead"
    if os.path.isdir(target):  # noqa: PTH112
        return "is a link to a folder: copy the folder instead"
    return None
