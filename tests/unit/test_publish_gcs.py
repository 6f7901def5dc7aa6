"""Publishing to Cloud Storage, against the local Cloud Storage."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cohost import artifact
from cohost.errors import InputError, StoreError
from cohost.gcs import GcsStore
from cohost.gcs_layout import manifest_key
from cohost.publish import Published
from cohost.publish_gcs import publish
from cohost.store import Cancelled
from tests.unit.gcs_process import GcsProcess, local_gcs
from tests.unit.gcs_stores import BUCKET, Models, a_bucket, counting, killed, some, stored
from tests.unit.model_folders import write, write_model


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsProcess]:
    with local_gcs(tmp_path_factory.mktemp("gcs") / "state") as process:
        yield process


@pytest.fixture
def store(server: GcsProcess, tmp_path: Path) -> Iterator[GcsStore]:
    with a_bucket(server, tmp_path / "cache"):
        yield GcsStore.open(f"gs://{BUCKET}/p")


def expected(models: Models) -> dict[str, bytes]:
    """What the store must hold of each model: all its files but the smoke test, and their manifest."""
    objects: dict[str, bytes] = {}
    for name, (path, digest) in models.items():
        assert path is not None
        files = {
            str(file.relative_to(path)): file.read_bytes()
            for file in path.rglob("*")
            if file.is_file() and file != path / "smoke.json"
        }
        objects |= {f"models/{name}/{digest}/{name}/{file}": data for file, data in files.items()}
        rows = {
            file: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for file, data in sorted(files.items())
        }
        document = {"schema": 1, "digest": digest, "files": rows}
        objects[f"models/{name}/{digest}.json"] = (json.dumps(document, indent=1) + "\n").encode()
    return objects


def is_whole(store: GcsStore, models: Models) -> bool:
    """Whether the store holds the artifact of each model, byte for byte, and nothing besides, not even versions."""
    versions = list(store.client.list_blobs(BUCKET, prefix="p/models/", versions=True))
    return stored(store) == expected(models) and len(versions) == len(expected(models))


def test_what_the_store_lacks_is_uploaded_and_the_rest_is_left_alone(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 12)
    told: list[tuple[int, int]] = []
    first = publish(models, store, progress=lambda done, total: told.append((done, total)))
    assert first == Published(tuple(sorted(models)), (), sum(map(len, expected(models).values())))
    assert told == [(done, 12) for done in range(13)]
    assert is_whole(store, models)
    again = counting(store)
    assert publish(models, again) == Published((), tuple(sorted(models)), 0)
    assert again.calls == {"head": 12}


def test_one_changed_model_of_many_sends_its_own_bytes_and_the_rest_is_one_listing(
    store: GcsStore, tmp_path: Path
) -> None:
    models = some(tmp_path, 20)
    publish(models, store)
    write(tmp_path / "m07" / "1" / "labels", "more")
    models["m07"] = tmp_path / "m07", artifact.digest(tmp_path / "m07")
    again = counting(store)
    published = publish(models, again)
    assert published.uploaded == ("m07",)
    assert published.bytes_sent == sum(map(len, expected({"m07": models["m07"]}).values()))
    assert again.calls == {"list": 2, "put_file": 3, "put_bytes": 1}


def test_models_that_are_known_to_be_stored_are_not_asked_for(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 2)
    counted = counting(store)
    known = {"m00": models["m00"][1], "m01": "0" * 64}
    assert publish(models, counted, known=known).uploaded == ("m01",)
    assert counted.calls["head"] == 1


def test_an_artifact_that_is_stored_is_never_written_again(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 1)
    key = manifest_key("m00", models["m00"][1])

    def somebody_else(method: str, *args: Any) -> None:
        if method == "put_bytes":
            store.put_bytes(key, b"theirs", if_none_match=True)

    assert publish(models, counting(store, somebody_else)) == Published((), ("m00",), 0)
    assert store.get(key)[0] == b"theirs"


def test_a_file_under_an_artifacts_key_that_is_not_the_artifacts_is_refused(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 1)
    key = f"models/m00/{models['m00'][1]}/m00/config.pbtxt"
    store.put_bytes(key, b"theirs")
    with pytest.raises(StoreError, match=f"{store.url}/{key} holds other bytes than the model's: delete it"):
        publish(models, store)
    assert store.head(manifest_key("m00", models["m00"][1])) is None


def test_two_publishers_at_once_leave_every_artifact_once_and_whole(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 10)
    with ThreadPoolExecutor(2) as pool:
        one, other = (pool.submit(publish, models, store) for _ in range(2))
    done = [set(future.result().uploaded) for future in (one, other)]
    assert done[0] | done[1] == set(models)
    assert is_whole(store, models)


def test_everything_that_cannot_be_published_is_reported_at_once_and_the_rest_is_published(
    store: GcsStore, tmp_path: Path
) -> None:
    models = some(tmp_path, 4)
    write(tmp_path / "m01" / "1" / "labels", "changed since its digest was taken")
    write(tmp_path / "m02" / "1" / "model.onnx", "version https://git-lfs.github.com/spec/v1\n")
    models["m03"] = None, "0" * 64
    with pytest.raises(InputError) as caught:
        publish(models, store)
    words = [str(problem) for problem in caught.value.problems]
    assert words[0] == (
        f"m03: {store.url}/models/m03/{'0' * 64}.json is not stored: `cohost push` it, or give the model a path"
    )
    assert words[1].startswith(f"{tmp_path}/m01: has changed: its digest was {models['m01'][1][:12]}… and is ")
    assert words[2].startswith(f"{tmp_path}/m02/1/model.onnx: is a Git LFS pointer")
    assert is_whole(store, {"m00": models["m00"]})


def test_a_file_that_changes_while_it_is_sent_is_not_published(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 1)
    file = tmp_path / "m00" / "1" / "model.onnx"

    def change(method: str, *args: Any) -> None:
        if method == "put_file" and args[1] == file:
            file.write_bytes(bytes(reversed(file.read_bytes())))

    with pytest.raises(InputError, match=r"model\.onnx: was changed while it was being sent: run again"):
        publish(models, counting(store, change))
    assert store.head(manifest_key("m00", models["m00"][1])) is None
    assert [key for key in stored(store) if key.endswith(".onnx")] == []


def test_a_file_that_goes_while_it_is_sent_is_named(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 1)

    def remove(method: str, *args: Any) -> None:
        if method == "put_file":
            args[1].unlink()

    with pytest.raises(InputError) as caught:
        publish(models, counting(store, remove))
    assert [problem.message for problem in caught.value.problems] == ["cannot be read: No such file or directory"] * 2


def test_an_artifact_that_the_store_alone_has_is_present(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 1)
    publish(models, store)
    assert publish({"m00": (None, models["m00"][1])}, store) == Published((), ("m00",), 0)


def test_a_cancelled_run_leaves_whole_artifacts_and_the_next_brings_the_rest(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 30)
    done = threading.Event()
    with pytest.raises(Cancelled):
        publish(models, store, progress=lambda count, _: done.set() if count > 3 else None, cancelled=done.is_set)
    assert not is_whole(store, models)
    publish(models, store)
    assert is_whole(store, models)


def test_what_the_store_refuses_ends_the_run_with_its_words(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 60)

    def refuse(method: str, *_: Any) -> None:
        if method == "put_file":
            raise StoreError("access denied")

    refusing = counting(store, refuse)
    with pytest.raises(StoreError, match="access denied"):
        publish(models, refusing)
    assert refusing.calls["put_file"] < 60


@pytest.mark.parametrize(("method", "at"), [("put_file", 1), ("put_file", 20), ("put_bytes", 1), ("put_bytes", 9)])
def test_a_run_that_was_killed_is_finished_by_the_next_which_sends_only_the_rest(
    method: str, at: int, store: GcsStore, tmp_path: Path
) -> None:
    models = some(tmp_path / "models", 24)
    killed(store, method, at, [path for path, _ in models.values() if path])
    sent = sum(not key.endswith(".json") for key in stored(store))
    assert at <= sent < 48
    again = counting(store)
    publish(models, again)
    assert is_whole(store, models)
    assert again.calls["put_file"] == 48 - sent


def test_a_large_file_of_a_run_that_was_killed_is_taken_up(store: GcsStore, tmp_path: Path, server: GcsProcess) -> None:
    folder = tmp_path / "large"
    write(folder / "1" / "weights.bin", random.Random(1).randbytes(40 << 20))
    models: Models = {"large": (write_model(folder), artifact.digest(folder))}
    # The chunks are of 16 MiB: it is killed between the second and the last.
    put = store.client._http.put
    calls: list[str] = []

    def broken(url: str, **given: Any) -> Any:
        calls.append(given["headers"]["Content-Range"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return put(url, **given)

    store.client._http.put = broken
    with pytest.raises(KeyboardInterrupt):
        publish(models, store)
    assert [key for key in stored(store) if "weights" in key] == []
    again = GcsStore.open(store.url)
    sent: list[str] = []
    real = again.client._http.put
    again.client._http.put = lambda url, **given: sent.append(given["headers"]["Content-Range"]) or real(url, **given)
    publish(models, again)
    assert sent == ["bytes */41943040", "bytes 33554432-41943039/41943040"]
    assert is_whole(store, models)
