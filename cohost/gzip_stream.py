"""A gzip member written in parallel, each part of it either stored or compressed.

The format is RFC 1952 around RFC 1951: compressed parts end in a sync flush, so parts that were compressed
independently follow one another byte-aligned and any gunzip reads them as one member.
"""

from __future__ import annotations

import struct
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Final

from isal import isal_zlib

# No name, no time, "unknown" operating system: the same bytes on every machine.
_HEADER: Final = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
_LAST_BLOCK: Final = b"\x01\x00\x00\xff\xff"
_STORED_MAX: Final = 0xFFFF
_PART: Final = 4 << 20
_LEVEL: Final = 1
_RAW: Final = -15


def store(data: bytes) -> bytes:
    """Deflate blocks that hold `data` as it is, none of them the last (RFC 1951, 3.2.4)."""
    view = memoryview(data)
    pieces: list[bytes | memoryview] = []
    for start in range(0, len(view), _STORED_MAX):
        piece = view[start : start + _STORED_MAX]
        pieces += [struct.pack("<BHH", 0, len(piece), len(piece) ^ 0xFFFF), piece]
    return b"".join(pieces)


def compress(data: bytes) -> bytes:
    """Deflate blocks that hold `data` compressed, byte-aligned at the end, none of them the last."""
    deflate = isal_zlib.compressobj(level=_LEVEL, wbits=_RAW)
    return deflate.compress(data) + deflate.flush(isal_zlib.Z_SYNC_FLUSH)


def compressed_share(sample: bytes) -> float:
    """The size of `sample` after compression as a share of its size before."""
    return len(compress(sample)) / len(sample) if sample else 1.0


class ParallelGzip:
    """Writes one gzip member; a few parts of 4 MiB per thread are in memory at a time."""

    def __init__(self, out: BinaryIO, threads: int) -> None:
        """Begins the member.

        Args:
            out: Where it is written to.
            threads: How many parts are encoded at the same time.
        """
        self._out = out
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gzip")
        self._encoding: deque[Future[tuple[bytes, int, int]]] = deque()
        self._ahead = threads + 1
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._stored = True
        self._crc = 0
        self._size = 0
        out.write(_HEADER)

    def __enter__(self) -> ParallelGzip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def switch(self, *, stored: bool) -> None:
        """Says how what is written next is encoded."""
        if stored != self._stored:
            self._submit()
            self._stored = stored

    def write(self, data: bytes) -> None:
        """Appends `data` to the member's content."""
        self._waiting.append(data)
        self._waiting_size += len(data)
        if self._waiting_size >= _PART:
            self._submit()

    def _submit(self) -> None:
        if not self._waiting:
            return
        data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        self._waiting, self._waiting_size = [], 0
        self._encoding.append(self._pool.submit(_encode, data, self._stored))
        while len(self._encoding) > self._ahead:
            self._drain()

    def _drain(self) -> None:
        encoded, crc, size = self._encoding.popleft().result()
        self._out.write(encoded)
        self._crc = isal_zlib.crc32_combine(self._crc, crc, size)
        self._size += size

    def _finish(self) -> None:
        self._submit()
        while self._encoding:
            self._drain()
        self._out.write(_LAST_BLOCK)
        self._out.write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))


def _encode(data: bytes, stored: bool) -> tuple[bytes, int, int]:
    return (store if stored else compress)(data), isal_zlib.crc32(data), len(data)
