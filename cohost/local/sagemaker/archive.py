"""Model archives unpacked as they arrive, never outside the folder they are for."""

from __future__ import annotations

import errno
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from isal import igzip, isal_zlib

_CHUNK: Final = 1 << 20
# isal's own types say less than they are.
_BROKEN: Final[Any] = (tarfile.TarError, igzip.BadGzipFile, EOFError, isal_zlib.IsalError)


class ArchiveError(Exception):
    """An archive is broken, or does not hold what it may."""


def unpack(stream: IO[bytes], folder: Path, room: Callable[[int], None]) -> int:
    """Unpacks a .tar.gz of regular files and folders.

    Args:
        stream: The archive's bytes.
        folder: Where to, made here.
        room: Called with the bytes there will be, before each file is written; what it raises ends the unpacking.

    Returns:
        Bytes written.

    Raises:
        ArchiveError: It is not a .tar.gz, is cut short, leaves the folder, holds a link or device.
        OSError: The disk is full.
    """
    written = 0
    root = folder.resolve()
    root.mkdir(parents=True)
    try:
        with igzip.IGzipFile(fileobj=stream) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            for member in archive:
                written += member.size
                room(written)
                _unpack_member(archive, member, root)
            # To the end, where the checksum is.
            while plain.read(_CHUNK):
                pass
    except _BROKEN as error:
        raise ArchiveError(f"it is not a whole .tar.gz: {error}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise ArchiveError(f"its paths do not fit together: {error}") from error
    return written


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    target = (root / member.name).resolve()
    if not target.is_relative_to(root):
        raise ArchiveError(f"{member.name!r} leaves the folder")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    source = archive.extractfile(member) if member.isreg() else None
    if source is None:
        raise ArchiveError(f"{member.name!r} is neither a file nor a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            file.write(chunk)
