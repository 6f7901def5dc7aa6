"""DeployedModel, EndpointDrain and ActiveRelease in the real plugin's process, against the emulated Vertex AI."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cohost import tokens
from cohost.client import Predictor, smoke
from cohost.release import CURRENT_KEY, Release
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.local.vertex_fixture import BUCKET, MODELS, PROJECT, REGION, Project, running, until
from tests.unit.google_key import service_account
from tests.unit.plugin_process import Engine, Plugin, Refused, engine, plugin

STORE = f"gs://{BUCKET}"
NAMES = ("digits", "iris")
STAGE = "ADDING_NODES_TO_CLUSTER"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with running(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture(scope="module")
def listening() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.fixture(scope="module")
def environment(account: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    key = tmp_path_factory.mktemp("key") / "key.json"
    key.write_text(json.dumps(service_account(f"{account.vertex.url}/token")))
    return {
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        VERTEX_ENDPOINT_OVERRIDE: f"{account.vertex.url}/",
        "STORAGE_EMULATOR_HOST": account.storage.url,
        "NO_PROXY": "127.0.0.1,localhost",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two models."""
    made = tmp_path_factory.mktemp("project")
    for name in NAMES:
        shutil.copytree(MODELS / name, made / name)
    entries = "\n".join(f"- {{name: {name}, owner: team, path: {name}}}" for name in NAMES)
    (made / "catalog.yaml").write_text(f"models:\n{entries}\n")
    return made


@dataclass
class Stack:
    """The plugins that keep an endpoint's deployments and its release."""

    account: Project
    folder: Path
    environment: dict[str, str]
    deployed: Plugin
    drain: Plugin
    release: Plugin
    said: list[str]
    endpoint: str

    def upload(self, release: str, **files: bytes) -> str:
        """A model version with both models of the catalog; the full name with the version."""
        version = self.account.upload(self.account.put(f"repositories/{release}", *NAMES, **files))
        return f"{version.model}@{version.model_version_id}"

    def deployment(self, model: str, **changes: Any) -> dict[str, Any]:
        return {
            "project": PROJECT,
            "region": REGION,
            "endpoint": self.endpoint,
            "model": model,
            "displayName": "shared",
            "machineType": "g2-standard-8",
            "acceleratorType": "NVIDIA_L4",
            "acceleratorCount": 1,
            "minReplicas": 1,
            "maxReplicas": 1,
            "autoscalingTargets": {},
            "spot": False,
            "serviceAccount": "",
            "disableContainerLogging": False,
            "enableAccessLogging": False,
            "update": "surge",
            **changes,
        }

    def activation(self, deployed_model: str, iris: str = "a", **changes: Any) -> dict[str, Any]:
        """The inputs of a release; only the digest of iris differs between releases."""
        models = {"digits": "d" * 64, "iris": iris * 64}
        return {
            "project": PROJECT,
            "region": REGION,
            "store": STORE,
            "catalog": "catalog.yaml",
            "endpoint": self.endpoint,
            "deployedModel": deployed_model,
            "models": models,
            "release": Release(models).digest,
            "probePercent": 20,
            "gpu": True,
            **changes,
        }

    def split(self) -> dict[str, int]:
        return dict(self.account.endpoints.get_endpoint(name=self.endpoint).traffic_split)

    def ids(self) -> list[str]:
        return sorted(each.id for each in self.account.endpoints.get_endpoint(name=self.endpoint).deployed_models)

    def set_split(self, split: dict[str, int]) -> None:
        request = {
            "endpoint": {"name": self.endpoint, "traffic_split": split},
            "update_mask": {"paths": ["traffic_split"]},
        }
        self.account.endpoints.update_endpoint(request)

    def current(self) -> Any:
        blob = self.account.blobs.bucket(BUCKET).get_blob(CURRENT_KEY)
        return json.loads(blob.download_as_bytes()) if blob else None

    def billed(self) -> int:
        """How many deployments there ever were on the endpoint."""
        return sum(each["endpoint"] == self.endpoint for each in self.account.ask("/-/deployments"))


_count = iter(range(1, 100))


@pytest.fixture
def stack(account: Project, environment: dict[str, str], folder: Path, listening: Engine) -> Iterator[Stack]:
    endpoint = account.endpoint(f"{next(_count)}000")
    types = (tokens.VERTEX_DEPLOYED_MODEL, tokens.VERTEX_ENDPOINT_DRAIN, tokens.VERTEX_ACTIVE_RELEASE)
    with ExitStack() as stack:
        plugins = [stack.enter_context(plugin(folder, environment, each, engine=listening.address)) for each in types]
        listening.said.clear()
        made = Stack(account, folder, environment, *plugins, said=listening.said, endpoint=endpoint)
        yield made
        account.limit()
        made.drain.delete({"project": PROJECT, "region": REGION, "endpoint": endpoint})
        assert made.ids() == []
        account.endpoints.delete_endpoint(name=endpoint).result(timeout=60)
        blob = account.blobs.bucket(BUCKET).get_blob(CURRENT_KEY)
        if blob:
            blob.delete()


def test_a_release_replaces_the_one_before_and_callers_get_answers_all_the_time(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stack.deployment(stack.upload("r1"))
    assert stack.deployed.check(first) == {}
    id, old = stack.deployed.create(first)
    assert id == f"{stack.endpoint}/deployedModels/{old['deployedModelId']}"
    assert "STARTING_MODEL_SERVER" in stack.said
    assert stack.split() == {}
    given = stack.activation(old["deployedModelId"])
    assert stack.release.check(given) == {}
    before = stack.release.create(given)[1]
    assert before == {**given, "activated": given["release"]}
    assert any(line.startswith("the GPU holds the models") for line in stack.said)
    assert stack.split() == {old["deployedModelId"]: 100}

    _, new = stack.deployed.create(stack.deployment(stack.upload("r2")))
    after = stack.activation(new["deployedModelId"], "b")
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    outputs = {"platform": "gcp", "region": REGION, "endpoint": stack.endpoint, "store": STORE}
    test = smoke.load(MODELS / "iris" / smoke.FILE)
    with ThreadPoolExecutor(1) as pool, Predictor.from_outputs(outputs) as predictor:
        running = pool.submit(stack.release.update, before, after)
        while not running.done():
            assert test.check(predictor.infer("iris", test.inputs())) is None
        running.result()
        assert stack.split() == {new["deployedModelId"]: 100}
        assert stack.current()["release"] == after["release"]
        stack.deployed.delete(old)
        assert test.check(predictor.infer("iris", test.inputs())) is None
    assert stack.ids() == [new["deployedModelId"]]
    stack.release.delete(after)
    assert stack.current() is None


def test_killed_while_google_adds_nodes_the_next_create_takes_it_up_and_one_was_ever_billed(stack: Stack) -> None:
    stack.account.limit(hold=STAGE)
    given = stack.deployment(stack.upload("held"))
    with (
        engine() as watched,
        plugin(stack.folder, stack.environment, tokens.VERTEX_DEPLOYED_MODEL, engine=watched.address) as killed,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(killed.create, given)
        until(lambda: list(watched.said), lambda said: STAGE in said)
        os.kill(killed.process.pid, signal.SIGKILL)
        assert running.exception(30) is not None
    with pytest.raises(Refused, match="the next `up` goes on") as caught:
        stack.deployed.create(given, timeout=2)
    assert caught.value.partial is not None, "a timeout keeps what runs in the state"
    stack.account.limit()
    outputs = stack.deployed.update(caught.value.partial[1], given)
    assert stack.deployed.create(given)[1] == outputs
    assert stack.ids() == [outputs["deployedModelId"]]
    assert stack.billed() == 1


def test_a_model_that_triton_cannot_load_fails_in_its_words_and_leaves_nothing(stack: Stack) -> None:
    uri = stack.account.put("repositories/broken", *NAMES)
    stack.account.blobs.bucket(BUCKET).blob("repositories/broken/iris/1/model.onnx").upload_from_string(b"no model")
    version = stack.account.upload(uri, default="digits")
    with pytest.raises(Refused) as caught:
        stack.deployed.create(stack.deployment(f"{version.model}@{version.model_version_id}"))
    assert caught.value.partial is None
    assert "FAILED_PRECONDITION: Model server" in caught.value.message
    assert "gcloud logging read" in caught.value.message
    assert stack.ids() == []


def test_a_quota_that_is_used_up_is_named_and_nothing_is_deployed(stack: Stack) -> None:
    stack.account.limit(quota={"NVIDIA_L4": 0})
    with pytest.raises(Refused, match="custom_model_serving_nvidia_l4_gpus"):
        stack.deployed.create(stack.deployment(stack.upload("quota")))
    assert stack.billed() == 0


def test_a_release_that_answers_wrongly_puts_the_split_back_and_a_canary_keeps_its_share(stack: Stack) -> None:
    _, old = stack.deployed.create(stack.deployment(stack.upload("good")))
    _, new = stack.deployed.create(stack.deployment(stack.upload("next")))
    before = stack.release.create(stack.activation(old["deployedModelId"]))[1]
    path = stack.folder / "iris" / smoke.FILE
    right = path.read_text()
    document = json.loads(right)
    document["expected"][0]["data"][0] = 77
    path.write_text(json.dumps(document))
    after = stack.activation(new["deployedModelId"], "b")
    try:
        with pytest.raises(Refused, match=r"1 of 1 models failed[\s\S]*model iris: ") as caught:
            stack.release.update(before, after)
    finally:
        path.write_text(right)
    assert caught.value.partial is None
    assert stack.split() == {old["deployedModelId"]: 100}
    assert stack.current()["release"] == before["release"]

    stable = {"stableDeployedModel": old["deployedModelId"], "stableRelease": before["release"]}
    trial = stack.release.update(before, {**after, "canary": {"weight": 10, **stable}})
    assert stack.split() == {old["deployedModelId"]: 90, new["deployedModelId"]: 10}
    assert stack.current()["release"] == before["release"]
    stack.set_split({new["deployedModelId"]: 100})
    drifted = stack.release.read(STORE, trial)
    assert drifted is not None
    assert stack.release.diff(drifted[1], {**after, "canary": {"weight": 10, **stable}}).diffs == ["canary"]
    stack.release.update(trial, after)
    assert stack.split() == {new["deployedModelId"]: 100}
    assert stack.current()["release"] == after["release"]


def test_what_was_deployed_by_hand_is_adopted_without_a_difference_and_mutated_in_place(stack: Stack) -> None:
    model = stack.upload("by-hand")
    stack.account.deploy(stack.endpoint, model, "4711", {"0": 100})
    adopted = stack.deployed.read(f"{stack.endpoint}/deployedModels/4711")
    assert adopted is not None
    given = stack.deployment(model, displayName="release")
    assert not stack.deployed.diff(adopted[1], given).diffs
    after = stack.deployed.update(adopted[1], {**given, "maxReplicas": 2})
    assert after["deployedModelId"] == "4711"
    refreshed = stack.deployed.read(f"{stack.endpoint}/deployedModels/4711", after)
    assert refreshed is not None
    assert refreshed[1] == after
    assert stack.billed() == 1


def test_a_replacing_update_undeploys_first_and_a_drain_takes_strays_away(stack: Stack) -> None:
    stack.account.deploy(stack.endpoint, stack.upload("stray"), "1", {"0": 100})
    stack.account.limit(quota={"NVIDIA_L4": 1})
    _, new = stack.deployed.create(stack.deployment(stack.upload("instead"), update="replace"))
    assert stack.ids() == [new["deployedModelId"]]
    assert "undeployed 1 before the new one (update: replace)" in stack.said
    stack.account.limit()
    stack.account.deploy(stack.endpoint, stack.upload("stray"), "2", {"0": 100})
    drain = {"project": PROJECT, "region": REGION, "endpoint": stack.endpoint}
    assert stack.drain.create(drain) == (stack.endpoint, drain)
    stack.drain.delete(drain)
    assert stack.ids() == []
    assert any(line.startswith("undeployed 2 (") for line in stack.said)


def test_parallel_deletions_wait_for_each_other(stack: Stack) -> None:
    made = [stack.deployed.create(stack.deployment(stack.upload(each)))[1] for each in ("left", "right")]
    stack.set_split({made[0]["deployedModelId"]: 60, made[1]["deployedModelId"]: 40})
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(stack.deployed.delete, made))
    assert stack.ids() == []
