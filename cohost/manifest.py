"""The manifest of an artifact: the SHA-256 of each of its files; its own is the artifact's digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cohost.errors import InputError, Problem
from cohost.folder import ModelFile, Scan, is_lfs_pointer, shown

CHUNK: Final = 4 << 20
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether `text` is a SHA-256 as this project writes one: 64 lowercase hex digits."""
    return _DIGEST.fullmatch(text) is not None


def manifest_digest(rows: Iterable[tuple[str, str]]) -> str:
    r"""The digest of an artifact.

    It is the SHA-256 of the manifest: for each file, sorted by the bytes of its path, the line
    `<SHA-256 of the file>  <path>\n` in UTF-8, paths relative to the model folder with forward slashes. That
    is what `sha256sum` prints, so a digest can be checked without this project, in the model folder:
    `find . -type f ! -path ./smoke.json -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum`
    (docs/decisions/001-artifact-set.md). Modes, times, owners, empty folders, the `smoke.json` at the top and
    what desktops and git leave behind (`folder.scan`) do not count.

    Args:
        rows: (path, SHA-256 as hex) of each file.
    """
    lines = sorted((path.encode(), file_digest) for path, file_digest in rows)
    manifest = b"".join(file_digest.encode() + b"  " + path + b"\n" for path, file_digest in lines)
    return hashlib.sha256(manifest).hexdigest()


def check(found: Scan) -> None:
    """Refuses a folder from which no artifact can be made.

    Raises:
        InputError: With every fault of the folder.
    """
    if found.faults:
        raise InputError(Problem(shown(found.folder / path), "", fault) for path, fault in found.faults)
    if not found.artifact_files:
        raise InputError([Problem(shown(found.folder), "", "holds no file")])


def read_chunks(folder: Path, file: ModelFile) -> Iterator[bytes]:
    """The bytes of a file in pieces of at most `CHUNK`.

    Raises:
        InputError: It cannot be read, is a Git LFS pointer, or has another size than was seen before.
    """
    path = folder / file.path
    size = 0
    try:
        with path.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK):
                if size == 0 and is_lfs_pointer(chunk):
                    raise InputError([Problem(shown(path), "", LFS_FAULT)])
                size += len(chunk)
                if size > file.size:
                    break  # somebody is writing to it, perhaps faster than this reads
                yield chunk
    except OSError as error:
        raise InputError([Problem(shown(path), "", f"cannot be read: {error.strerror}")]) from error
    if size != file.size:
        raise InputError([Problem(shown(path), "", "was changed while it was being read: run again")])


LFS_FAULT: Final = "is a Git LFS pointer, not the file itself: run `git lfs pull`"
