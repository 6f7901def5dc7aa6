from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cohost import artifact
from cohost.archive import pack
from cohost.errors import CohostError, InputError, StoreError
from cohost.publish import Published, publish
from cohost.release import archive_key
from cohost.s3 import S3Store
from cohost.store import Cancelled
from tests.unit.model_folders import write, write_model
from tests.unit.moto_s3 import moto_s3

BUCKET = "models-of-mine"
Models = Mapping[str, tuple[Path | None, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with moto_s3() as environment:
        yield environment


@pytest.fixture
def store(server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    for name, value in {**server, "TMPDIR": str(write(tmp_path / "scratch" / ".keep", "").parent)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)
    client: Any = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    yield S3Store(client, BUCKET, "p/", multipart_above=16 << 20)
    S3Store(client, BUCKET).delete_all()
    client.delete_bucket(Bucket=BUCKET)


def some(folder: Path, count: int) -> dict[str, tuple[Path | None, str]]:
    """Models of their own content each."""
    made = [write_model(folder / f"m{index:02d}") for index in range(count)]
    return {path.name: (path, artifact.digest(path)) for path in made}


def is_whole(store: S3Store, models: Models) -> bool:
    """Whether the store holds the archive of each model, byte for byte, and nothing besides, not even versions."""
    expected = {}
    for name, (path, digest) in models.items():
        out = io.BytesIO()
        assert path is not None
        pack(path, name, out)
        expected[archive_key(name, digest)] = out.getvalue()
    stored = {found.key: store.get(found.key)[0] for found in store.list()}
    versions = store.client.list_object_versions(Bucket=BUCKET).get("Versions", [])
    uploads = store.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    differing = sorted(key for key in stored.keys() | expected.keys() if stored.get(key) != expected.get(key))
    assert (differing, uploads) == ([], [])
    assert sorted(each["Key"].removeprefix(store.prefix) for each in versions) == sorted(expected)
    return True


class Counting:
    """A client that counts its calls; `failing` are operations that S3 refuses from then on."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self.calls: list[str] = []
        self.failing: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name == "get_paginator":
            return lambda operation: _Pages(self, operation, method(operation))

        def call(**kwargs: Any) -> Any:
            self.count(name)
            if name in self.failing:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, name)
            return method(**kwargs)

        return call

    def count(self, name: str) -> None:
        with self._lock:
            self.calls.append(name)


class _Pages:
    def __init__(self, counting: Counting, operation: str, paginator: Any) -> None:
        self._counting, self._operation, self._paginator = counting, operation, paginator

    def paginate(self, **kwargs: Any) -> Iterator[Any]:
        for page in self._paginator.paginate(**kwargs):
            self._counting.count(self._operation)
            yield page


def counted(store: S3Store) -> tuple[Counting, S3Store]:
    client = Counting(store.client)
    return client, S3Store(client, store.bucket, store.prefix, store.multipart_above)


def test_what_the_store_lacks_is_uploaded_and_the_rest_is_left_alone(store: S3Store, tmp_path: Path) -> None:
    models = some(tmp_path, 12)
    told: list[tuple[int, int]] = []
    first = publish(models, store, progress=lambda done, total: told.append((done, total)))
    assert first == Published(tuple(sorted(models)), (), sum(found.size for found in store.list()))
    assert told == [(done, 12) for done in range(13)]
    assert is_whole(store, models)
    client, again = counted(store)
    assert publish(models, again) == Published((), tuple(sorted(models)), 0)
    assert set(client.calls) == {"head_object"}


def test_one_changed_model_of_a_thousand_is_one_upload_and_a_page_of_listing_for_each_thousand(
    store: S3Store, tmp_path: Path
) -> None:
    folder, other = write_model(tmp_path / "m"), write_model(tmp_path / "m2", "m")
    write(other / "1" / "labels", "more")
    digest = artifact.digest(folder)
    models: dict[str, tuple[Path | None, str]] = {f"m{index:04d}": (folder, digest) for index in range(1000)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put_bytes(archive_key(name, digest), b""), models))
    models["m0500"] = other, artifact.digest(other)
    client, counting = counted(store)
    assert publish(models, counting).uploaded == ("m0500",)
    assert sorted(client.calls) == ["list_objects_v2", "put_object"]


def test_models_that_are_known_to_be_stored_are_not_asked_for(store: S3Store, tmp_path: Path) -> None:
    models = some(tmp_path, 2)
    client, counting = counted(store)
    known = {"m00": models["m00"][1], "m01": "0" * 64}
    assert publish(models, counting, known=known).uploaded == ("m01",)
    assert sorted(client.calls) == ["head_object", "put_object"]


def test_an_artifact_that_is_stored_is_never_written_again(store: S3Store, tmp_path: Path) -> None:
    models = some(tmp_path, 1)
    key = archive_key("m00", models["m00"][1])
    _, first = counted(store)
    # Somebody else stores it after this run has looked and before it writes.
    object.__setattr__(first.client, "head_object", _AbsentOnce(store, key))
    assert publish(models, first) == Published((), ("m00",), 0)
    assert store.get(key)[0] == b"theirs"


class _AbsentOnce:
    def __init__(self, store: S3Store, key: str) -> None:
        self._store, self._key, self._asked = store, key, False

    def __call__(self, **kwargs: Any) -> Any:
        if self._asked:
            return self._store.client.head_object(**kwargs)
        self._asked = True
        self._store.put_bytes(self._key, b"theirs")
        raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadObject")


def test_two_publishers_at_once_leave_every_artifact_once_and_whole(store: S3Store, tmp_path: Path) -> None:
    models = some(tmp_path, 10)
    with ThreadPoolExecutor(2) as pool:
        one, other = (pool.submit(publish, models, store) for _ in range(2))
    done = [set(future.result().uploaded) for future in (one, other)]
    assert done[0] | done[1] == set(models)
    assert {found.key for found in store.list()} == {archive_key(name, digest) for name, (_, digest) in models.items()}


def test_everything_that_cannot_be_published_is_reported_at_once_and_the_rest_is_published(
    store: S3Store, tmp_path: Path
) -> None:
    models = some(tmp_path, 4)
    write(tmp_path / "m01" / "1" / "labels", "changed since its digest was taken")
    write(tmp_path / "m02" / "1" / "model.onnx", "version https://git-lfs.github.com/spec/v1\n")
    models["m03"] = None, "0" * 64
    with pytest.raises(InputError) as caught:
        publish(models, store)
    words = [str(problem) for problem in caught.value.problems]
    assert (
        words[0]
        == f"m03: {store.url}/models/m03/{'0' * 64}.tar.gz is not stored: `cohost push` it, or give the model a path"
    )
    assert words[1].startswith(f"{tmp_path}/m01: has changed: its digest was {models['m01'][1][:12]}… and is ")
    assert words[2].startswith(f"{tmp_path}/m02/1/model.onnx: is a Git LFS pointer")
    assert is_whole(store, {"m00": models["m00"]})


def test_a_cancelled_run_leaves_whole_artifacts_and_the_next_brings_the_rest(store: S3Store, tmp_path: Path) -> None:
    models = some(tmp_path, 30)
    done = threading.Event()
    with pytest.raises(Cancelled):
        publish(models, store, progress=lambda count, _: done.set() if count > 3 else None, cancelled=done.is_set)
    assert 3 < len(list(store.list())) < 30
    publish(models, store)
    assert is_whole(store, models)


def test_what_the_store_refuses_ends_the_run_with_its_words(store: S3Store, tmp_path: Path) -> None:
    models = some(tmp_path, 30)
    client, refusing = counted(store)
    client.failing.add("put_object")
    with pytest.raises(StoreError, match="access denied"):
        publish(models, refusing)
    assert client.calls.count("put_object") < 30


def large(folder: Path) -> Path:
    write(folder / "1" / "weights.bin", random.Random(1).randbytes(40 << 20))
    return write_model(folder)


def killed(store: S3Store, operation: str, at: int, folders: list[Path]) -> None:
    command = [sys.executable, "-m", "tests.unit.killed_publisher", BUCKET, operation, str(at), *map(str, folders)]
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(command, cwd=root, env=os.environ, check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def left_in_scratch() -> list[str]:
    return [path.name for path in Path(os.environ["TMPDIR"]).iterdir() if path.name != ".keep"]


def test_a_large_upload_that_was_killed_is_finished_by_the_next_run(store: S3Store, tmp_path: Path) -> None:
    folder = large(tmp_path / "large")
    killed(store, "upload_part", 2, [folder])
    assert list(store.list()) == []
    assert len(left_in_scratch()) == 1
    models: Models = {"large": (folder, artifact.digest(folder))}
    assert publish(models, store).uploaded == ("large",)
    assert is_whole(store, models)
    assert left_in_scratch() == []


@pytest.mark.parametrize("at", [1, 9])
def test_a_run_that_was_killed_has_left_whole_artifacts_and_is_finished_by_the_next(
    at: int, store: S3Store, tmp_path: Path
) -> None:
    models = some(tmp_path / "models", 24)
    killed(store, "put_object", at, [path for path, _ in models.values() if path])
    there = {name for name, (_, digest) in models.items() if store.head(archive_key(name, digest))}
    assert at <= len(there) < 24
    assert there <= set(publish(models, store).present)
    assert is_whole(store, models)
    assert left_in_scratch() == []


def test_a_scratch_folder_in_use_is_left_alone(store: S3Store, tmp_path: Path) -> None:
    models = some(tmp_path, 2)
    seen: list[list[str]] = []

    def meanwhile(done: int, total: int) -> None:
        if done == 1:
            before = left_in_scratch()
            publish({"m00": models["m00"]}, S3Store(store.client, BUCKET, "other/"))
            seen.append([name for name in before if name in left_in_scratch()])

    publish(models, store, progress=meanwhile)
    assert len(seen[0]) == 1
    assert left_in_scratch() == []


def test_no_place_to_pack_is_said_before_anything_is_stored(
    store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = some(tmp_path, 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(CohostError, match="cannot make a folder for archives"):
        publish(models, store)
    assert list(store.list()) == []
