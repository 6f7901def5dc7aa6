from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from cohost import archive as packing
from cohost.local.sagemaker.archive import ArchiveError, unpack

MODELS = Path(__file__).resolve().parents[2] / "model_artifacts"


def anywhere(_: int) -> None:
    """There is room."""


def packed(*members: tuple[str, bytes | None, bytes]) -> io.BytesIO:
    """A .tar.gz of (name, content, type); no content is a size of 0."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content or b""), "elsewhere"
            archive.addfile(member, io.BytesIO(content or b""))
    out.seek(0)
    return out


def test_an_artifact_comes_out_as_the_model_folder_that_went_in(tmp_path: Path) -> None:
    stream = io.BytesIO()
    packing.pack(MODELS / "iris", "iris", stream)
    stream.seek(0)
    written = unpack(stream, tmp_path / "out", anywhere)
    source = {path.relative_to(MODELS / "iris") for path in (MODELS / "iris").rglob("*") if path.is_file()}
    source = {path for path in source if path.name != "smoke.json"}
    for path in source:
        assert (tmp_path / "out" / "iris" / path).read_bytes() == (MODELS / "iris" / path).read_bytes()
    assert written == sum((MODELS / "iris" / path).stat().st_size for path in source)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("../out-too", b"x", tarfile.REGTYPE)], "leaves the folder"),
        ([("/absolute/path", b"x", tarfile.REGTYPE)], "leaves the folder"),
        ([("link", None, tarfile.SYMTYPE)], "neither a file nor a folder"),
        ([("pipe", None, tarfile.FIFOTYPE)], "neither a file nor a folder"),
        ([("a", b"x", tarfile.REGTYPE), ("a/b", b"x", tarfile.REGTYPE)], "do not fit together"),
    ],
)
def test_an_archive_writes_nothing_but_files_in_its_folder(
    tmp_path: Path, members: list[tuple[str, bytes | None, bytes]], words: str
) -> None:
    with pytest.raises(ArchiveError, match=words):
        unpack(packed(*members), tmp_path / "out", anywhere)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_archive_cut_short_anywhere_is_not_taken_for_whole(tmp_path: Path) -> None:
    whole = packed(("model/1/model.onnx", bytes(range(256)) * 8, tarfile.REGTYPE)).getvalue()
    for length in range(0, len(whole), 7):
        with pytest.raises(ArchiveError):
            unpack(io.BytesIO(whole[:length]), tmp_path / str(length), anywhere)
    unpack(io.BytesIO(whole), tmp_path / "whole", anywhere)


def test_room_is_asked_for_before_a_byte_of_a_file_is_written(tmp_path: Path) -> None:
    class Full(Exception):
        """There is no room."""

    asked: list[int] = []

    def room(size: int) -> None:
        asked.append(size)
        if size > 150:
            raise Full

    with pytest.raises(Full):
        unpack(packed(("a", bytes(100), tarfile.REGTYPE), ("b", bytes(100), tarfile.REGTYPE)), tmp_path / "out", room)
    assert asked == [100, 200]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
