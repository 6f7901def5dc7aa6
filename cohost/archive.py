"""The archive of an artifact: a `.tar.gz` whose bytes depend on the model's content alone.

They do with one version of the compressor on one kind of processor: another may pack differently (ISA-L has its
own code for each). The key of an archive is the digest of its content, which is the same everywhere.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path
from typing import BinaryIO, Final

from cohost.folder import ModelFile, scan
from cohost.gzip_stream import ParallelGzip, compressed_share
from cohost.manifest import check, manifest_digest, read_chunks

# A file is stored as it is unless compression leaves at most this share of it: a cold load is download and
# unpacking, and stored bytes unpack three times faster (docs/decisions/003-deterministic-archives.md).
_WORTH: Final = 0.80
_SAMPLE: Final = 64 << 10
_SAMPLES: Final = 4
_BLOCK: Final = 512
# `tar` pads its archives to this; readers that read records of 20 blocks expect it.
_RECORD: Final = 20 * _BLOCK


def pack(folder: Path, name: str, out: BinaryIO, *, threads: int | None = None) -> str:
    """Writes the archive of a model folder.

    Its members are `<name>/<path>` for one model and `<path>` for a repository of several; sorted, owned by
    nobody, of time zero, plain files 0644, preceded by their folders. The stream is one gzip member.
    Memory: about 10 MiB and 8 MiB per thread, whatever the size of the model.

    Args:
        folder: The model folder.
        name: The catalog's name of the model.
        out: A binary file open for writing.
        threads: How many parts are compressed at the same time; None = one per core.

    Returns:
        The digest of what was packed, computed from the very bytes that went into the archive.

    Raises:
        InputError: A file that cannot be packed, or that changed meanwhile.
        OSError: `out` cannot be written.
    """
    found = scan(folder)
    check(found)
    prefix = "" if found.is_repository else f"{name}/"
    rows: list[tuple[str, str]] = []
    size = 0
    with ParallelGzip(out, threads or os.cpu_count() or 1) as stream:
        made: set[str] = set()
        for file in found.artifact_files:
            member = prefix + file.path
            header = b"".join(_folder_header(parent) for parent in _new_parents(member, made))
            header += _header(member, file.size)
            stream.switch(stored=not _is_worth_compressing(folder, file))
            stream.write(header)
            rows.append((file.path, _copy(folder, file, stream)))
            padding = -file.size % _BLOCK
            stream.write(bytes(padding))
            size += len(header) + file.size + padding
        stream.write(bytes(2 * _BLOCK + -(size + 2 * _BLOCK) % _RECORD))
    return manifest_digest(rows)


def _copy(folder: Path, file: ModelFile, stream: ParallelGzip) -> str:
    digest = hashlib.sha256()
    for chunk in read_chunks(folder, file):
        # First handed to the encoders, then hashed: both go on at the same time.
        stream.write(chunk)
        digest.update(chunk)
    return digest.hexdigest()


def _is_worth_compressing(folder: Path, file: ModelFile) -> bool:
    """Judges by samples at fixed places, so that the choice depends on the content alone."""
    if file.size < _BLOCK:
        return True
    sample = bytearray()
    try:
        with (folder / file.path).open("rb", buffering=0) as stream:
            for index in range(_SAMPLES):
                stream.seek(max(0, file.size - _SAMPLE) * index // (_SAMPLES - 1))
                sample += stream.read(_SAMPLE)
                if file.size <= _SAMPLE:
                    break
    except OSError:
        return False  # read_chunks reports it
    return compressed_share(bytes(sample)) <= _WORTH


def _new_parents(member: str, made: set[str]) -> list[str]:
    parts = member.split("/")[:-1]
    parents = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    new = [parent for parent in parents if parent not in made]
    made.update(new)
    return new


def _folder_header(path: str) -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info.tobuf(tarfile.PAX_FORMAT)


def _header(path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)
