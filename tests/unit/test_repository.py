"""Model repositories and manifests on Cloud Storage, against the local Cloud Storage."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from onnx import TensorProto, helper

from cohost import artifact, modelconfig
from cohost.errors import CohostError, InputError, StoreError
from cohost.gcs import GcsStore
from cohost.gcs_layout import Manifest, StoredFile, release_of
from cohost.provider.artifact_set import ArtifactSet
from cohost.provider.google import Google
from cohost.publish_gcs import publish
from cohost.release import CANARY, CURRENT_KEY, Release, for_vertex
from cohost.repository import CANARY_FILES, lay_out, sweep
from cohost.store import Cancelled
from tests.unit.gcs_process import GcsProcess, local_gcs
from tests.unit.gcs_stores import BUCKET, Models, a_bucket, counting, digests, killed, some, stored
from tests.unit.model_folders import CONFIG, model, write, write_catalog, write_model
from tests.unit.provider_context import Operation

RELEASE = "5" * 64


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsProcess]:
    with local_gcs(tmp_path_factory.mktemp("gcs") / "state") as process:
        yield process


@pytest.fixture
def store(server: GcsProcess, tmp_path: Path) -> Iterator[GcsStore]:
    with a_bucket(server, tmp_path / "cache"):
        yield GcsStore.open(f"gs://{BUCKET}/p")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin's credentials, for which the local Cloud Storage does not ask."""
    monkeypatch.setattr(Google, "credentials", lambda self: AnonymousCredentials())


def test_a_release_is_laid_out_as_one_triton_repository_without_a_byte_through_this_machine(
    store: GcsStore, tmp_path: Path
) -> None:
    models = some(tmp_path, 5)
    publish(models, store)
    told: list[tuple[int, int]] = []
    counted = counting(store)
    assert lay_out(counted, RELEASE, digests(models), lambda done, total: told.append((done, total))) == 10
    assert told == [(done, 10) for done in range(11)]
    files = {
        f"{name}/{file}": (tmp_path / name / file).read_bytes()
        for name in models
        for file in ("config.pbtxt", "1/model.onnx")
    }
    laid = stored(store, f"repositories/{RELEASE}/")
    assert laid == {f"repositories/{RELEASE}/{path}": data for path, data in {**files, **CANARY_FILES}.items()}
    note = json.loads(store.get(f"repositories/{RELEASE}.json")[0])
    assert note == {"schema": 1, "release": RELEASE, "models": digests(models)}
    assert counted.calls == {"head": 1, "get": 5, "list": 1, "copy": 10, "put_bytes": 3}


def test_a_repository_that_is_whole_is_not_looked_at_again(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 2)
    publish(models, store)
    lay_out(store, RELEASE, digests(models))
    counted = counting(store)
    assert lay_out(counted, RELEASE, digests(models)) == 0
    assert counted.calls == {"head": 1}


@pytest.mark.parametrize("at", [1, 20])
def test_a_layout_that_was_killed_is_finished_by_the_next_which_copies_only_the_rest(
    at: int, store: GcsStore, tmp_path: Path
) -> None:
    models = some(tmp_path / "models", 24)
    killed(store, "copy", at, [path for path, _ in models.values() if path])
    there = len(list(store.list("repositories/release/")))
    assert at <= there < 48
    assert lay_out(store, "release", digests(models)) == 48 - there
    assert len(stored(store, "repositories/release/")) == 48 + len(CANARY_FILES)


def test_a_cancelled_layout_is_not_whole(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 30)
    publish(models, store)
    stop = threading.Event()
    with pytest.raises(Cancelled):
        lay_out(store, RELEASE, digests(models), lambda done, _: stop.set() if done else None, stop.is_set)
    assert store.head(f"repositories/{RELEASE}.json") is None


def test_two_layouts_at_once_copy_each_file_once(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 10)
    publish(models, store)
    with ThreadPoolExecutor(2) as pool:
        copied = sum(pool.map(lambda _: lay_out(store, RELEASE, digests(models)), range(2)))
    assert copied == 20
    versions = list(store.client.list_blobs(BUCKET, prefix="p/repositories/", versions=True))
    assert len(versions) == 20 + len(CANARY_FILES) + 1


def test_a_folder_of_several_models_is_a_repository_already(store: GcsStore, tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    for name in ("chain", "first-step"):
        write_model(folder / name)
    models: Models = {"chain": (folder, artifact.digest(folder))}
    publish(models, store)
    lay_out(store, RELEASE, digests(models))
    laid = {key.removeprefix(f"repositories/{RELEASE}/") for key in stored(store, f"repositories/{RELEASE}/")}
    assert {"chain/config.pbtxt", "first-step/config.pbtxt", "first-step/1/model.onnx"} <= laid
    assert {key.removeprefix(f"models/chain/{models['chain'][1]}/") for key in stored(store)} >= {
        "chain/config.pbtxt",
        "first-step/config.pbtxt",
    }


def test_a_sweep_takes_the_repositories_of_all_releases_but_some_and_nothing_else(
    store: GcsStore, tmp_path: Path
) -> None:
    models = some(tmp_path, 2)
    publish(models, store)
    for release in ("1", "2", "3"):
        lay_out(store, release * 64, digests(models))
    lay_out(store, "4" * 64, digests(models))
    store.delete(f"repositories/{'4' * 64}.json")  # one that was killed half-way
    foreign = ("releases/current.json", "repositories/README", f"repositories/{'9' * 63}/of-mine")
    for key in foreign:
        store.put_bytes(key, b"mine")
    before = stored(store, "")

    assert sweep(store, {"2" * 64, "3" * 64}) == ["1" * 64, "4" * 64]

    gone = tuple(f"repositories/{release * 64}" for release in ("1", "4"))
    assert stored(store, "") == {key: data for key, data in before.items() if not key.startswith(gone)}
    assert sweep(store, {"2" * 64, "3" * 64}) == []


def test_a_sweep_that_was_killed_leaves_no_repository_that_counts_as_whole(store: GcsStore, tmp_path: Path) -> None:
    models = some(tmp_path, 2)
    publish(models, store)
    lay_out(store, RELEASE, digests(models))
    whole = stored(store, "repositories/")
    asked = iter([False, True])  # the note goes, then it is cancelled
    with pytest.raises(Cancelled):
        sweep(store, set(), cancelled=lambda: next(asked, True))
    left = stored(store, "repositories/")
    assert f"repositories/{RELEASE}.json" not in left
    assert left
    lay_out(store, RELEASE, digests(models))
    assert stored(store, "repositories/") == whole


@pytest.mark.usefixtures("nobody")
def test_an_update_keeps_the_repositories_of_the_new_the_last_and_the_active_release_and_can_go_back_to_any(
    store: GcsStore, tmp_path: Path
) -> None:
    operation = Operation(root=tmp_path)
    write_catalog(tmp_path / "catalog.yaml", ["m00"])

    def inputs(content: str) -> dict[str, Any]:
        write_model(tmp_path / "m00", config=CONFIG.replace("{name}", "m00") + f"# {content}")
        models = {"m00": artifact.digest(tmp_path / "m00")}
        return {"region": "europe-west4", "store": store.url, "catalog": "catalog.yaml", "models": models}

    def whole() -> set[str]:
        listed = {release_of(found.key) for found in store.list("repositories/") if found.key.endswith(".json")}
        return {names[release] for release in listed if release}

    resource, names = ArtifactSet(), dict[str, str]()
    outputs: dict[str, Any] | None = None
    kept = []
    for content in ("one", "two", "three", "four", "one"):
        given = inputs(content)
        outputs = dict(
            resource.update(operation.context(), outputs, given)
            if outputs
            else resource.create(operation.context(), given)
        )
        names[outputs["release"]] = content
        kept.append(whole())
        if content == "one":
            current = for_vertex(given["models"], f"projects/p/locations/europe-west4/endpoints/{len(kept)}")
            store.put_bytes(CURRENT_KEY, current.to_json())
    # "one" is active all the time, as the stable release beside a canary is.
    assert kept == [{"one"}, {"one", "two"}, {"one", "two", "three"}, {"one", "three", "four"}, {"one", "four"}]
    assert Release(inputs("one")["models"]).digest == outputs["release"]


@pytest.mark.usefixtures("nobody")
def test_a_sweep_that_is_refused_is_told_and_fails_nothing(
    store: GcsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = Operation(root=tmp_path)
    write_model(tmp_path / "m00")
    write_catalog(tmp_path / "catalog.yaml", ["m00"])
    models = {"m00": artifact.digest(tmp_path / "m00")}
    given = {"region": "europe-west4", "store": store.url, "catalog": "catalog.yaml", "models": models}
    outputs = ArtifactSet().create(operation.context(), given)
    lay_out(store, RELEASE, models)

    def refused(self: GcsStore, key: str) -> None:
        raise StoreError(f"delete {key}: no permission storage.objects.delete")

    monkeypatch.setattr(GcsStore, "delete", refused)
    assert ArtifactSet().update(operation.context(), outputs, given) == outputs
    assert "storage.objects.delete" in operation.said[-1]
    assert store.head(f"repositories/{RELEASE}.json")


def test_what_cannot_stand_in_one_repository_is_said_all_at_once_and_nothing_is_copied(
    store: GcsStore, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        write_model(tmp_path / name / name)
        write_model(tmp_path / name / "step")
    folders = [tmp_path / "one", tmp_path / "two", write_model(tmp_path / CANARY)]
    models: Models = {path.name: (path, artifact.digest(path)) for path in folders}
    publish(models, store)
    with pytest.raises(InputError) as caught:
        lay_out(store, RELEASE, digests(models))
    assert [str(problem) for problem in caught.value.problems] == [
        f"{CANARY}: has a Triton model named {CANARY}, and so has cohost itself: rename one of them",
        "two: has a Triton model named step, and so has model one: rename one of them",
    ]
    assert list(store.list("repositories/")) == []


def test_artifacts_that_are_not_stored_are_named_all_at_once(store: GcsStore) -> None:
    with pytest.raises(InputError) as caught:
        lay_out(store, RELEASE, {"a": "0" * 64, "b": "1" * 64})
    assert [problem.key for problem in caught.value.problems] == ["a", "b"]
    assert f"{store.url}/models/a/{'0' * 64}.json is not stored" in str(caught.value)


def test_the_canary_is_the_identity_as_onnx_writes_it() -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    made = model([node], {"x": (TensorProto.FLOAT, [1])}, {"y": (TensorProto.FLOAT, [1])})
    made.graph.name = "canary"
    assert CANARY_FILES[f"{CANARY}/1/model.onnx"] == made.SerializeToString()
    assert set(CANARY_FILES) == {f"{CANARY}/config.pbtxt", f"{CANARY}/1/model.onnx"}


def test_the_canarys_configuration_fits_it(tmp_path: Path) -> None:
    for path, data in CANARY_FILES.items():
        write(tmp_path / path, data)
    found = modelconfig.signature(tmp_path / CANARY)
    assert modelconfig.read(tmp_path / CANARY).name == CANARY
    assert [(spec.name, spec.datatype, tuple(spec.shape)) for spec in (*found.inputs, *found.outputs)] == [
        ("x", "FP32", (1,)),
        ("y", "FP32", (1,)),
    ]


def test_a_manifest_gives_its_artifacts_digest_and_comes_back_as_it_was_written(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    files = {
        path: StoredFile((folder / path).stat().st_size, hashlib.sha256((folder / path).read_bytes()).hexdigest())
        for path in ("config.pbtxt", "1/model.onnx")
    }
    manifest = Manifest(files)
    assert manifest.digest == artifact.digest(folder)
    assert Manifest.from_json(manifest.to_json(), "key") == manifest


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not the manifest"),
        (b"[]", "not the manifest"),
        (b'{"schema": 1, "digest": "", "files": {}}', "do not give its digest"),
        (b'{"schema": 2}', "schema 2; this version of cohost reads 1"),
    ],
)
def test_what_is_no_manifest_is_said(data: bytes, says: str) -> None:
    with pytest.raises(CohostError, match=says):
        Manifest.from_json(data, "key")
