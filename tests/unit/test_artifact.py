from __future__ import annotations

import os
import random
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cohost import artifact, catalog
from cohost.errors import InputError
from cohost.folder import ModelFile
from cohost.manifest import read_chunks
from tests.unit.model_folders import FILES, write, write_catalog, write_files, write_model

few = settings(max_examples=50)


@few
@given(FILES, st.randoms(use_true_random=False))
def test_the_digest_depends_on_paths_and_bytes_alone(files: dict[str, bytes], chance: random.Random) -> None:
    shuffled = sorted(files.items(), key=lambda _: chance.random())
    with tempfile.TemporaryDirectory() as place:
        one, other = write_files(Path(place) / "one", files), write_files(Path(place) / "other", dict(shuffled))
        for path in files:
            os.utime(other / path, (chance.randrange(1 << 31), chance.randrange(1 << 31)))
            (other / path).chmod(chance.choice([0o600, 0o644, 0o755]))
        (other / "an" / "empty folder").mkdir(parents=True)
        write(other / "smoke.json", "{}")
        for litter in (".DS_Store", "__pycache__/x.pyc", ".git/HEAD"):
            write(other / litter, "")
        assert artifact.digest(one) == artifact.digest(other)


@few
@given(FILES, st.data())
def test_any_change_of_a_byte_or_a_name_changes_the_digest(files: dict[str, bytes], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(files)))
    content = files[path]
    place = data.draw(st.integers(0, len(content)))
    changes = [
        {**files, path: content[:place] + b"x" + content[place:]},
        {name: other for name, other in files.items() if name != path} | {f"{path}x": content},
        {**files, "one/more": b""},
    ]
    if content:
        flipped = bytearray(content)
        flipped[place % len(content)] ^= 1 << data.draw(st.integers(0, 7))
        changes.append({**files, path: bytes(flipped)})
    with tempfile.TemporaryDirectory() as root:
        folders = [write_files(Path(root) / str(index), made) for index, made in enumerate([files, *changes])]
        before, *after = map(artifact.digest, folders)
    assert before not in after


@few
@given(FILES)
def test_the_digest_is_what_sha256sum_gives_as_documented(files: dict[str, bytes]) -> None:
    assume("-" not in files)  # to sha256sum that is its standard input
    # The command of the docstring, in the form that any name survives.
    script = "find . -type f ! -path ./smoke.json -printf '%P\\0' | sort -z | xargs -0 sha256sum -- | sha256sum"
    with tempfile.TemporaryDirectory() as place:
        folder = write_files(Path(place), files)
        env = {**os.environ, "LC_ALL": "C"}
        told = subprocess.run(["sh", "-c", script], cwd=folder, env=env, capture_output=True, text=True, check=True)
        assert artifact.digest(folder) == told.stdout.split()[0]


def test_a_smoke_test_counts_only_where_it_is_no_smoke_test(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    before = artifact.digest(folder)
    write(folder / "smoke.json", "other")
    assert artifact.digest(folder) == before
    write(folder / "1" / "smoke.json", "part of the model")
    assert artifact.digest(folder) != before


def test_a_link_within_the_folder_counts_as_the_file_it_leads_to(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_files(tmp_path / name, {"1/model.onnx": b"m", "labels": b"cat"})
    write(tmp_path / "a" / "1" / "labels", b"cat")
    (tmp_path / "b" / "1" / "labels").symlink_to("../labels")
    assert artifact.digest(tmp_path / "a") == artifact.digest(tmp_path / "b")


def test_digests_come_by_name_and_a_pushed_artifact_keeps_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_model(tmp_path / name)
    path = write_catalog(tmp_path / "catalog.yaml", ["b", "a"])
    path.write_text(path.read_text() + f"  - {{name: c, artifact: {'0' * 64}, owner: a-team}}\n")
    digests = artifact.digests(catalog.load(path))
    assert list(digests) == ["a", "b", "c"]
    assert digests == {"a": artifact.digest(tmp_path / "a"), "b": artifact.digest(tmp_path / "b"), "c": "0" * 64}


def test_every_folder_without_a_digest_is_reported_at_once(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1" / "model.onnx", "version https://git-lfs.github.com/spec/v1\n")
    write_model(tmp_path / "b")
    write_model(tmp_path / "c").joinpath("out").symlink_to("/etc/hostname")
    write(tmp_path / "d" / "smoke.json", "{}")
    with pytest.raises(InputError) as caught:
        artifact.digests(catalog.load(write_catalog(tmp_path / "catalog.yaml", ["a", "b", "c", "d"])))
    files = [str(Path(problem.file).relative_to(tmp_path)) for problem in caught.value.problems]
    assert files == ["a/1/model.onnx", "c/out", "d"]


def test_a_file_that_changes_its_size_while_it_is_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "weights", b"12345")
    for size in (4, 6):
        seen = ModelFile("weights", size, 0, 0, 0)
        with pytest.raises(InputError, match="was changed while it was being read"):
            list(read_chunks(tmp_path, seen))


@pytest.mark.timeout(60)
def test_a_file_that_grows_without_end_is_not_read_without_end() -> None:
    seen = ModelFile("zero", 1 << 20, 0, 0, 0)
    with pytest.raises(InputError, match="was changed"):
        for _ in read_chunks(Path("/dev"), seen):
            pass
