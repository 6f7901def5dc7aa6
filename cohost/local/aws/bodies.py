"""Where the bytes of S3 objects lie: small ones in memory, large ones as files that records name."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Final

INLINE_BYTES: Final = 64 * 1024
"""Bodies up to this size are kept in memory and written with the object's own record."""


class Bodies:
    """A folder of object bodies.

    A file is written whole and renamed into place before any record names it, and removed only after the
    record that named it is gone: a kill at any moment leaves at worst a file nobody names.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unneeded: set[str] = set()
        self._used: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Returns the file of a body."""
        return self._folder / name

    def add(self, content: bytes) -> str:
        """Stores a body; returns its name."""
        name = uuid.uuid4().hex
        partial = self._folder / f"{name}.partial"
        partial.write_bytes(content)
        partial.replace(self._folder / name)
        self._used.add(name)
        return name

    def use(self, name: str) -> None:
        """Notes that a record names this body."""
        self._used.add(name)

    def drop(self, name: str) -> None:
        """Notes that a body is not needed once the present change is recorded."""
        self._unneeded.add(name)

    def forget_dropped(self) -> None:
        """Removes the files of dropped bodies; called when no record names them any more."""
        dropped, self._unneeded = self._unneeded, set()
        for name in dropped:
            self.path(name).unlink(missing_ok=True)
        self._used -= dropped

    def sweep(self) -> None:
        """Removes every file that no record names: what a kill left behind."""
        for file in self._folder.iterdir():
            if file.name not in self._used:
                file.unlink(missing_ok=True)


class Body:
    """The bytes of one object version, as the file object that moto keeps for it.

    Attributes:
        name: The file's name in the folder of bodies; empty when the bytes are in memory.
    """

    bodies: Bodies
    """The folder in use; one for the process, as moto's own backends are."""

    def __init__(self, max_size: int = 0, *, content: bytes = b"", name: str = "") -> None:
        del max_size  # moto's own threshold; the one here is INLINE_BYTES
        self._content = content
        self.name = name
        self._position = 0
        self._closed = False

    @property
    def inline(self) -> bytes:
        """The bytes kept in memory; empty when they lie in a file or are gone."""
        return b"" if self._closed else self._content

    def write(self, content: bytes) -> int:
        """Replaces everything from the current position on."""
        whole = self._read()[: self._position] + bytes(content) if self._position else bytes(content)
        self._release()
        if len(whole) > INLINE_BYTES:
            self.name = self.bodies.add(whole)
        else:
            self._content = whole
        self._position = len(whole)
        return len(content)

    def read(self, size: int = -1) -> bytes:
        """Reads from the current position."""
        if self._closed:
            raise ValueError("I/O operation on closed file.")
        if self.name:
            with self.bodies.path(self.name).open("rb") as file:
                file.seek(self._position)
                part = file.read(size)
        else:
            end = None if size < 0 else self._position + size
            part = self._content[self._position : end]
        self._position += len(part)
        return part

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the current position."""
        if whence == os.SEEK_END:
            offset += self._size()
        elif whence == os.SEEK_CUR:
            offset += self._position
        self._position = offset
        return offset

    def truncate(self) -> None:
        """Cuts everything after the current position."""
        kept = self._read()[: self._position] if self._position else b""
        position, self._position = self._position, 0
        self.write(kept)
        self._position = position

    def close(self) -> None:
        """Gives the bytes up."""
        if not self._closed:
            self._release()
            self._closed = True

    def _release(self) -> None:
        if self.name:
            self.bodies.drop(self.name)
        self.name, self._content = "", b""

    def _read(self) -> bytes:
        return self.bodies.path(self.name).read_bytes() if self.name else self._content

    def _size(self) -> int:
        return self.bodies.path(self.name).stat().st_size if self.name else len(self._content)
