from __future__ import annotations

import builtins
import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cohost import artifact, catalog, validation
from cohost.artifact import DigestCache
from cohost.catalog import Catalog
from cohost.errors import InputError
from tests.unit.model_folders import write, write_catalog, write_model

NAMES = ["a", "b", "c"]
LONG_AGO = time.time() - 3600


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    # The kernel alone sets the time at which a file was changed last: here the clock is an hour ahead instead.
    real = time.time_ns
    monkeypatch.setattr("cohost.digest_cache.time.time_ns", lambda: real() + 3_600_000_000_000)
    for name in NAMES:
        write_model(tmp_path / name)
    return catalog.load(write_catalog(tmp_path / "catalog.yaml", NAMES))


def run(models: Catalog, file: Path) -> dict[str, str]:
    """What a preview does: checks and digests, with the cache in `file`."""
    cache = DigestCache(file)
    problems = validation.validate(models, cache=cache)
    if problems:
        raise InputError(problems)
    return artifact.digests(models, cache=cache)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all files that are opened, in whatever way Python has."""
    paths: list[str] = []
    lock = threading.Lock()

    def counting(real: Callable[..., object]) -> Callable[..., object]:
        def call(path: object, *args: object, **kwargs: object) -> object:
            if isinstance(path, (str, bytes, os.PathLike)):
                with lock:
                    paths.append(os.fsdecode(path))
            return real(path, *args, **kwargs)

        return call

    for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
        monkeypatch.setattr(module, name, counting(getattr(module, name)))
    return paths


def of_models(paths: list[str], models: Catalog) -> set[str]:
    folders = [f"{model.path}/" for model in models.models]
    return {os.path.relpath(path, models.path.parent) for path in paths if path.startswith(tuple(folders))}


def test_an_unchanged_catalog_is_not_read_again(models: Catalog, tmp_path: Path, opened: list[str]) -> None:
    first = run(models, tmp_path / "cache")
    assert len(of_models(opened, models)) == 3 * len(NAMES)
    opened.clear()
    assert run(models, tmp_path / "cache") == first
    assert of_models(opened, models) == set()


def test_only_the_changed_model_is_read_again(models: Catalog, tmp_path: Path, opened: list[str]) -> None:
    first = run(models, tmp_path / "cache")
    write(tmp_path / "b" / "1" / "labels", "more")
    opened.clear()
    second = run(models, tmp_path / "cache")
    assert {name for name in NAMES if first[name] != second[name]} == {"b"}
    assert {path.split("/")[0] for path in of_models(opened, models)} == {"b"}


def changed_at_once(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"graph", b"grape"))


def changed_with_its_old_time(path: Path) -> None:
    before = path.stat()
    changed_at_once(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_by_another(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes().replace(b"graph", b"grape"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize("change", [changed_at_once, changed_with_its_old_time, replaced_by_another])
def test_a_file_of_the_same_size_with_other_bytes_is_noticed(
    change: Callable[[Path], None], models: Catalog, tmp_path: Path
) -> None:
    first = run(models, tmp_path / "cache")
    change(tmp_path / "a" / "1" / "model.onnx")
    second = run(models, tmp_path / "cache")
    assert {name for name in NAMES if first[name] != second[name]} == {"a"}


def test_a_folder_that_has_just_been_written_is_not_kept(tmp_path: Path) -> None:
    write_model(tmp_path / "a")
    models = catalog.load(write_catalog(tmp_path / "catalog.yaml", ["a"]))
    run(models, tmp_path / "cache")
    assert DigestCache(tmp_path / "cache").entry(tmp_path / "a").digest == ""


def test_a_folder_that_was_found_bad_is_looked_at_again(models: Catalog, tmp_path: Path) -> None:
    (tmp_path / "a" / "smoke.json").unlink()
    for _ in range(2):
        with pytest.raises(InputError, match="is missing"):
            run(models, tmp_path / "cache")


def test_a_good_folder_of_another_models_name_is_checked_for_that_name(models: Catalog, tmp_path: Path) -> None:
    run(models, tmp_path / "cache")
    renamed = write(tmp_path / "catalog.yaml", "models:\n  - {name: z, path: a, owner: a-team}\n")
    with pytest.raises(InputError, match='is "a", the model is "z"'):
        run(catalog.load(renamed), tmp_path / "cache")


@pytest.mark.parametrize("damage", ["", "no cache", "[]\n[]", "0\n{}"])
def test_a_damaged_file_is_ignored_and_written_anew(damage: str, models: Catalog, tmp_path: Path) -> None:
    good = run(models, tmp_path / "cache")
    (tmp_path / "cache").write_text(damage)
    assert run(models, tmp_path / "cache") == good
    assert DigestCache(tmp_path / "cache").entry(tmp_path / "a").digest == good["a"]


def test_no_damaged_byte_makes_a_wrong_digest(models: Catalog, tmp_path: Path) -> None:
    good = run(models, tmp_path / "cache")
    whole = (tmp_path / "cache").read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        (tmp_path / "cache").write_bytes(damaged)
        assert DigestCache(tmp_path / "cache").entry(tmp_path / "a").digest in ("", good["a"])
        (tmp_path / "cache").write_bytes(whole[:position])
        assert DigestCache(tmp_path / "cache").entry(tmp_path / "a").digest == ""


def test_a_place_that_cannot_be_written_costs_nothing_but_time(models: Catalog, tmp_path: Path) -> None:
    write(tmp_path / "file", "")
    assert run(models, tmp_path / "file" / "cache") == run(models, tmp_path / "cache")


def test_folders_that_are_gone_are_forgotten(models: Catalog, tmp_path: Path) -> None:
    run(models, tmp_path / "cache")
    (tmp_path / "c").rename(tmp_path / "d")
    write(tmp_path / "a" / "1" / "labels", "more")
    run(catalog.load(write_catalog(tmp_path / "catalog.yaml", ["a"])), tmp_path / "cache")
    text = (tmp_path / "cache").read_text()
    assert [name for name in NAMES if str(tmp_path / name) in text] == ["a", "b"]


def test_the_cache_of_a_project_is_out_of_gits_sight(tmp_path: Path) -> None:
    write_model(tmp_path / "a")
    cache = DigestCache.of_project(tmp_path)
    cache.note(tmp_path / "a", digest="0" * 64)
    cache.save()
    assert [path.name for path in tmp_path.iterdir() if path.name != "a"] == [".cohost"]
