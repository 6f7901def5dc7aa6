"""Walks over the fields of a protocol buffer in a file, whatever its size, without reading what is skipped.

Source of the encoding: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

_WINDOW: Final = 16 << 10
# The longest name or path that is read; protocol buffers of models hold none that is longer.
_LONGEST_TEXT: Final = 1 << 16
_CUT: Final = "it ends within a field"


class Malformed(ValueError):
    """What is in the file is not a protocol buffer, or not all of one."""


def tag(number: int, kind: int) -> int:
    """The key of a field, by its number and wire type."""
    return number << 3 | kind


class Walk:
    """A file and the part of it that is in memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Prepares the walk.

        Args:
            file: Open for reading, better without a buffer.
            size: How many bytes of it are looked at.
        """
        self._file = file
        self._size = size
        self._window = b""
        self._start = 0

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yields each field of a message as (key, start, end) of its content; of a varint (key, value, value).

        Raises:
            Malformed: The bytes are not those of a message, or end within one.
        """
        position = start
        while position < end:
            key, position = self._varint(position, end)
            kind = key & 7
            if key < 8:
                raise Malformed("a field without a number")
            if kind == VARINT:
                value, position = self._varint(position, end)
                yield key, value, value
                continue
            if kind == BYTES:
                length, position = self._varint(position, end)
            elif kind in (FIXED32, FIXED64):
                length = 4 if kind == FIXED32 else 8
            else:
                raise Malformed(f"a field of wire type {kind}")
            if position + length > end:
                raise Malformed(_CUT)
            yield key, position, position + length
            position += length

    def text(self, start: int, end: int) -> str:
        """The text between two positions.

        Raises:
            Malformed: It is not UTF-8, longer than any name, or the file has become shorter.
        """
        if end - start > _LONGEST_TEXT:
            raise Malformed(f"a name of {end - start:,} bytes")
        data = self._read(start, end - start)
        if len(data) != end - start:
            raise Malformed(_CUT)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise Malformed("a name that is not UTF-8") from error

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        offset = position - self._start
        if position < end and 0 <= offset < len(self._window) and self._window[offset] < 0x80:
            return self._window[offset], position + 1  # as nearly all of them are
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                raise Malformed(_CUT)
            byte = self._byte(position)
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
        raise Malformed("a number of more than 64 bits")

    def _byte(self, position: int) -> int:
        offset = position - self._start
        if not 0 <= offset < len(self._window):
            self._start, offset = position, 0
            self._window = self._read(position, min(_WINDOW, self._size - position))
            if not self._window:
                raise Malformed(_CUT)
        return self._window[offset]

    def _read(self, position: int, count: int) -> bytes:
        self._file.seek(position)
        return self._file.read(count)
