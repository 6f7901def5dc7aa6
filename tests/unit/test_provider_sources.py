"""Smoke tests and signatures, from folders and from the store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohost.provider import current as active
from cohost.provider.sources import ModelSources
from cohost.release import Release, for_sagemaker, inputs_from_json, release_key
from cohost.store import ObjectStore
from cohost.stores import open_store
from tests.unit import gated_s3
from tests.unit.gated_s3 import REGION, S3
from tests.unit.runtime_server import use_environment

MODELS = Path(__file__).resolve().parents[2] / "model_artifacts"
OLD, NEW = "a" * 64, "b" * 64
PUSHED = {
    "request": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 4], "data": [0] * 8}]},
    "expected": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [0, 0]}],
}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with gated_s3.running() as started:
        yield started


@pytest.fixture
def store(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    use_environment(monkeypatch, s3.environment["AWS_ENDPOINT_URL"])
    s3.client.create_bucket(Bucket="sources-of-mine")
    opened = open_store("s3://sources-of-mine/team", region=REGION)
    yield opened
    opened.delete_all()
    s3.client.delete_bucket(Bucket="sources-of-mine")


@pytest.fixture
def sources(store: ObjectStore, tmp_path: Path) -> ModelSources:
    for name in ("digits", "handwriting", "subject"):
        shutil.copytree(MODELS / name, tmp_path / name)
    config = (MODELS / "digits/config.pbtxt").read_text().replace("max_batch_size: ", "max_batch_size: 0 # ")
    (tmp_path / "single").mkdir()
    (tmp_path / "single/config.pbtxt").write_text(config)
    entries = [
        f"- {{name: {name}, owner: team, path: {name}}}" for name in ("digits", "handwriting", "subject", "single")
    ]
    entries.append(f"- {{name: pushed, owner: team, artifact: {OLD}}}")
    (tmp_path / "catalog.yaml").write_text("\n".join(["models:", *entries]))
    store.put_bytes(f"smoke/pushed/{OLD}.json", json.dumps(PUSHED).encode())
    return ModelSources(tmp_path / "catalog.yaml", store)


def test_a_model_takes_what_its_configuration_says_and_a_pushed_one_what_its_smoke_test_has(
    sources: ModelSources,
) -> None:
    found = sources.inputs(dict.fromkeys(("digits", "handwriting", "subject", "single", "pushed"), OLD))
    assert found == {
        "digits": "pixels FP32 [-1, 64]",
        "handwriting": "image UINT8 [-1, 8, 8]",
        "subject": "text BYTES [-1, 1]",
        "single": "pixels FP32 [64]",
        "pushed": "x FP32 [2, 4] (in its smoke test)",
    }


def test_a_smoke_test_is_in_the_folder_or_in_the_store(sources: ModelSources) -> None:
    tests = sources.smoke_tests({"digits": NEW, "pushed": OLD})
    assert tests["digits"].inputs()["pixels"].shape[1:] == (64,)
    assert tests["pushed"].inputs()["x"].shape == (2, 4)


def test_what_has_not_changed_is_known_from_the_release_before(store: ObjectStore) -> None:
    models = {"digits": OLD, "iris": OLD}
    release = for_sagemaker(models, "shared")
    assert active.known_inputs(store, None, models) == {}
    active.activate(store, release, None, {"digits": "pixels FP32 [-1, 64]", "iris": "x FP32 [4]"})
    current = active.read_current(store)
    after = {"digits": OLD, "iris": NEW, "wine": OLD}
    assert active.known_inputs(store, current, after) == {"digits": "pixels FP32 [-1, 64]"}
    store.delete(release_key(release.release))
    assert active.known_inputs(store, current, after) == {}


def test_the_document_of_a_release_tells_digest_and_inputs_of_each_model() -> None:
    models = {"digits": OLD, "größe": NEW}
    data = Release(models).to_json({"digits": "pixels FP32 [-1, 64]", "größe": "x FP32 [4]"})
    assert json.loads(data).keys() == {"schema", "release", "models", "inputs"}
    assert inputs_from_json(data) == {"digits": (OLD, "pixels FP32 [-1, 64]"), "größe": (NEW, "x FP32 [4]")}
    assert inputs_from_json(Release(models).to_json()) == {}
