from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohost import artifact
from cohost.archive import pack
from cohost.errors import InputError
from tests.unit.model_folders import FILES, write, write_files, write_model

few = settings(max_examples=40)
PART = 4 << 20


def packed(folder: Path, name: str = "m", threads: int | None = None) -> bytes:
    out = io.BytesIO()
    assert pack(folder, name, out, threads=threads) == artifact.digest(folder)
    return out.getvalue()


@few
@given(FILES, st.randoms(use_true_random=False))
def test_the_same_content_gives_the_same_bytes(files: dict[str, bytes], chance: random.Random) -> None:
    shuffled = sorted(files.items(), key=lambda _: chance.random())
    with tempfile.TemporaryDirectory() as place:
        one = write_files(Path(place) / "one", files)
        before = os.umask(chance.choice([0o000, 0o022, 0o077]))
        try:
            other = write_files(Path(place) / "other", dict(shuffled))
        finally:
            os.umask(before)
        for path in files:
            os.utime(other / path, (chance.randrange(1 << 31), chance.randrange(1 << 31)))
        assert packed(one, threads=1) == packed(other, threads=3)


@few
@given(FILES)
def test_tarfile_and_the_systems_tar_unpack_what_was_packed(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, root = write_files(Path(place) / "folder", files), Path(place)
        archive = write(root / "m.tar.gz", packed(folder))
        by_tar, by_python = root / "tar", root / "python"
        by_tar.mkdir()
        subprocess.run(["tar", "-xzf", archive, "-C", by_tar], check=True)
        with tarfile.open(archive) as opened:
            opened.extractall(by_python, filter="data")
        repository = "config.pbtxt" not in files and any(path.endswith("/config.pbtxt") for path in files)
        for unpacked in (by_tar, by_python):
            assert contents(unpacked if repository else unpacked / "m") == files


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_members_are_sorted_plain_and_owned_by_nobody(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "iris")
    (folder / "1" / "model.onnx").chmod(0o400)
    with tarfile.open(fileobj=io.BytesIO(packed(folder, "iris"))) as opened:
        members = opened.getmembers()
    assert [member.name for member in members] == ["iris", "iris/1", "iris/1/model.onnx", "iris/config.pbtxt"]
    assert {(member.mtime, member.uid, member.gid, member.uname, member.gname) for member in members} == {
        (0, 0, 0, "", "")
    }
    assert [member.mode for member in members] == [0o755, 0o755, 0o644, 0o644]


def test_an_ensemble_is_packed_as_a_repository_of_its_models(tmp_path: Path) -> None:
    for step in ("m", "step"):
        write_model(tmp_path / "m" / step)
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path / "m"))) as opened:
        assert [name for name in opened.getnames() if "/" not in name] == ["m", "step"]


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


# Sizes around the 4 MiB parts in which an archive is encoded.
@pytest.mark.parametrize("size", [PART - 513, PART - 512, PART, PART + 1, 2 * PART + 7])
def test_large_files_come_back_whole_whatever_is_beside_them(size: int, tmp_path: Path) -> None:
    files = {"1/a.bin": noise(size, 1), "1/b.txt": b"word " * (size // 5), "1/c.bin": noise(1 << 20, 2)}
    data = packed(write_files(tmp_path / "m", files), threads=4)
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        for path, content in files.items():
            member = opened.extractfile(f"m/{path}")
            assert member is not None
            assert member.read() == content
    assert len(gzip.decompress(data)) % (20 * 512) == 0


def blocks(data: bytes) -> Iterator[int]:
    """The kinds of the deflate blocks of a gzip member: 0 is stored."""
    position = 10
    while data[position] & 7 == 0:
        yield 0
        position += 5 + int.from_bytes(data[position + 1 : position + 3], "little")
    yield data[position] >> 1 & 3


def test_weights_are_stored_as_they_are_and_text_is_compressed(tmp_path: Path) -> None:
    weights, text = noise(1 << 20, 1), b"a vocabulary of words\n" * 50_000
    stored = packed(write_files(tmp_path / "a", {"w.bin": weights}))
    assert len(weights) < len(stored) < len(weights) * 1.001 + 20_000
    assert len(packed(write_files(tmp_path / "b", {"t.txt": text}))) < len(text) / 20
    both = packed(write_files(tmp_path / "c", {"t.txt": text, "w.bin": weights}))
    assert len(both) < len(weights) + len(text) / 20
    assert set(blocks(stored)) == {0}


def test_the_choice_depends_on_the_whole_file_and_not_on_its_head(tmp_path: Path) -> None:
    tail = packed(write_files(tmp_path / "a", {"w.bin": bytes(1 << 20) + noise(3 << 20, 1)}))
    head = packed(write_files(tmp_path / "b", {"w.bin": noise(64 << 10, 1) + bytes(4 << 20)}))
    assert len(tail) > 3 << 20
    assert len(head) < 1 << 20


def test_it_is_one_gzip_member_with_the_right_checksum(tmp_path: Path) -> None:
    data = packed(write_files(tmp_path / "m", {"a.bin": noise(5 << 20, 3), "b.txt": b"text" * 2_000_000}), threads=2)
    decoder = zlib.decompressobj(wbits=31)
    decoder.decompress(data)
    assert decoder.eof
    assert decoder.unused_data == b""
    gzip_tool = shutil.which("gzip")
    assert gzip_tool
    subprocess.run([gzip_tool, "-t"], input=data, check=True)


def test_what_cannot_be_packed_is_refused_and_nothing_is_said_to_be_its_digest(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "out").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="link out of the model folder"):
        pack(folder, "m", io.BytesIO())


def test_a_full_disk_ends_the_packing(tmp_path: Path) -> None:
    write(tmp_path / "m" / "w.bin", noise(20 << 20, 1))
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        pack(tmp_path / "m", "m", full, threads=2)
