"""ActiveRelease in the real plugin's process, against the emulated SageMaker and real Triton."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from cohost import tokens
from cohost.artifact import digest
from cohost.client import BadInput, Predictor, smoke
from cohost.release import CURRENT_KEY, Release, archive_key, for_sagemaker, release_key
from tests.local.sagemaker_fixture import BUCKET, MODELS, REGION, VARIANT, Account, running, until
from tests.unit.plugin_process import Engine, Plugin, Refused, engine, plugin

TYPE, OTHER_TYPE = "ml.g5.xlarge", "ml.g5.2xlarge"
STORE = f"s3://{BUCKET}"
NAMES = ("digits", "iris")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture(scope="module")
def role(account: Account) -> str:
    return account.role("serving")


@pytest.fixture(scope="module")
def configs(account: Account, role: str) -> dict[str, str]:
    """Endpoint configurations by their instance type."""
    return {each: account.config(each.replace(".", "-"), role=role, instance_type=each) for each in (TYPE, OTHER_TYPE)}


@pytest.fixture(autouse=True)
def no_limits(account: Account) -> Iterator[None]:
    yield
    account.limit()


@pytest.fixture(scope="module")
def listening() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in NAMES:
        shutil.copytree(MODELS / name, tmp_path / name)
    entries = "\n".join(f"- {{name: {name}, owner: team, path: {name}}}" for name in NAMES)
    (tmp_path / "catalog.yaml").write_text(f"models:\n{entries}\n")
    return tmp_path


@dataclass
class Stack:
    """A store with artifacts, an endpoint, and the two plugins that keep them."""

    account: Account
    project: Path
    artifacts: Plugin
    release: Plugin
    said: list[str]
    endpoint: str = "shared"
    config: str = ""

    def inputs(self, **changes: Any) -> dict[str, Any]:
        models = {name: digest(self.project / name) for name in NAMES}
        return {
            "region": REGION,
            "store": STORE,
            "catalog": "catalog.yaml",
            "endpoint": self.endpoint,
            "endpointConfig": self.config,
            "variant": VARIANT,
            "models": models,
            "release": Release(models).digest,
            "gpu": True,
        } | changes

    def publish(self) -> dict[str, Any]:
        """Brings the models as they are into the store; returns the inputs of a release of them."""
        inputs = self.inputs()
        self.artifacts.create({name: inputs[name] for name in ("region", "store", "catalog", "models")})
        return inputs

    def get(self, key: str) -> bytes | None:
        client = self.account.client("s3")
        try:
            return client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None

    def current(self) -> Any:
        data = self.get(CURRENT_KEY)
        return json.loads(data) if data else None

    def put_current(self, models: dict[str, str], endpoint: str) -> None:
        document = for_sagemaker(models, endpoint).to_json()
        self.account.client("s3").put_object(Bucket=BUCKET, Key=CURRENT_KEY, Body=document)

    def change(self, name: str, *, broken: bool = False) -> None:
        """Gives a model other bytes: the same answers, or an operator that no ONNX Runtime knows."""
        path = self.project / name / "1" / "model.onnx"
        model = onnx.load(path)
        model.doc_string += "again "
        if broken:
            model.graph.node.append(helper.make_node("FromTheFuture", [], ["nothing"], domain="ai.example"))
            model.opset_import.append(helper.make_opsetid("ai.example", 1))
        path.write_bytes(model.SerializeToString(deterministic=True))


@pytest.fixture(scope="module")
def endpoint(account: Account, configs: dict[str, str]) -> Iterator[str]:
    """An endpoint that the tests of releases share."""
    account.endpoint("shared", configs[TYPE])
    yield "shared"
    account.remove("shared")


@pytest.fixture
def stack(account: Account, project: Path, endpoint: str, listening: Engine) -> Iterator[Stack]:
    config = account.describe(endpoint)["EndpointConfigName"]
    environment, address = account.environment(), listening.address
    with (
        plugin(project, environment, tokens.ARTIFACT_SET) as artifacts,
        plugin(project, environment, tokens.SAGEMAKER_ACTIVE_RELEASE, engine=address) as release,
    ):
        listening.said.clear()
        made = Stack(account, project, artifacts, release, listening.said, endpoint, config)
        yield made
        artifacts.delete(made.inputs())


def test_a_first_release_verifies_every_model_sees_the_gpu_and_tells_callers_what_models_expect(stack: Stack) -> None:
    given = stack.publish()
    assert stack.release.check(given) == {}
    assert stack.release.create(given, preview=True)[1] == given
    assert stack.current() is None, "a preview activates nothing"
    assert stack.release.create(given) == (STORE, given)
    assert "verified 2/2 models" in stack.said
    assert any(line.startswith("the GPU holds the models") for line in stack.said)
    assert stack.current() == {
        "schema": 1,
        "release": given["release"],
        "platform": "aws",
        "endpoint": "shared",
        "models": {name: {"digest": sha, "target": f"{name}/{sha}.tar.gz"} for name, sha in given["models"].items()},
    }
    outputs = {"platform": "aws", "region": REGION, "endpoint": "shared", "store": STORE}
    with Predictor.from_outputs(outputs) as predictor:
        test = smoke.load(MODELS / "digits" / smoke.FILE)
        assert test.check(predictor.infer("digits", test.inputs())) is None
        for wrong in ({"pixels": np.zeros((1, 63), np.float32)}, {"picture": np.zeros((1, 64), np.float32)}):
            with pytest.raises(BadInput, match=r"; expected: pixels FP32 \[-1, 64\]$"):
                predictor.infer("digits", wrong)


def test_one_changed_model_is_one_that_is_verified_and_the_others_stay_described(stack: Stack) -> None:
    before = stack.publish()
    stack.release.create(before)
    stack.change("iris")
    after = stack.publish()
    paths = {"release", 'models["iris"]'}
    assert stack.release.diff(before, after).detailedDiff.keys() == paths
    stack.said.clear()
    assert stack.release.update(before, after) == after
    assert "verified 1/1 models" in stack.said
    assert not any("GPU" in line for line in stack.said)
    assert stack.current()["models"]["iris"]["digest"] == after["models"]["iris"]
    document = json.loads(stack.get(release_key(after["release"])) or b"")
    assert document["inputs"] == {"digits": "pixels FP32 [-1, 64]", "iris": "measurements FP32 [-1, 4]"}


def test_a_model_that_triton_cannot_load_fails_in_tritons_words_and_leaves_the_release_before(stack: Stack) -> None:
    before = stack.publish()
    stack.release.create(before)
    active = stack.current()
    stack.change("iris", broken=True)
    after = stack.publish()
    with pytest.raises(Refused) as caught:
        stack.release.update(before, after)
    assert caught.value.partial is None, "the state stays as it was"
    assert "1 of 1 models failed their smoke test" in caught.value.message
    assert "model iris: " in caught.value.message
    assert "FromTheFuture" in caught.value.message
    assert stack.current() == active
    shutil.copy(MODELS / "iris/1/model.onnx", stack.project / "iris/1/model.onnx")
    assert stack.release.update(before, stack.publish()) == before


def test_a_release_that_somebody_else_wrote_meanwhile_is_not_overwritten(stack: Stack, configs: dict[str, str]) -> None:
    before = stack.publish()
    stack.release.create(before)
    theirs = {"digits": "e" * 64}
    config = next(each for each in (configs[TYPE], configs[OTHER_TYPE]) if each != stack.config)
    stack.account.control.update_endpoint(EndpointName="shared", EndpointConfigName=config)
    stack.change("iris")
    after = {**stack.publish(), "endpointConfig": config}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stack.release.update, before, after)
        until(lambda: list(stack.said), lambda said: any(line.startswith("endpoint shared: Updating") for line in said))
        stack.put_current(theirs, "theirs")
        refused = running.exception(120)
    assert isinstance(refused, Refused)
    assert "was written by somebody else" in refused.message
    assert stack.current()["endpoint"] == "theirs"


def test_an_update_that_sagemaker_took_back_fails_with_the_reason_and_is_done_by_the_next_up(
    stack: Stack, configs: dict[str, str]
) -> None:
    before = stack.publish()
    stack.release.create(before)
    active, old = stack.current(), stack.config
    wanted = next(each for each in (configs[TYPE], configs[OTHER_TYPE]) if each != old)
    stack.account.limit(capacity={OTHER_TYPE: 0, TYPE: 0})
    stack.account.control.update_endpoint(EndpointName="shared", EndpointConfigName=wanted)
    after = stack.inputs(endpointConfig=wanted)
    for olds in (before, {**before, "rolledBack": wanted}):
        with pytest.raises(Refused) as caught:
            stack.release.update(olds, after)
        assert "SageMaker took the endpoint update back: " in caught.value.message
        assert "capacity" in caught.value.message.lower()
        assert caught.value.partial == ("id", {**before, "rolledBack": wanted})
        assert stack.account.describe("shared")["EndpointConfigName"] == old
    assert stack.current() == active
    partial = {**before, "rolledBack": wanted}
    assert list(stack.release.diff(partial, after).detailedDiff) == ["endpointConfig"]
    assert stack.release.read(STORE, partial) == (before, before), "a refresh says what the endpoint runs"
    stack.account.limit()
    stack.said.clear()
    assert stack.release.update(partial, after) == after
    assert f"trying the update of shared to {wanted} again" in stack.said
    assert "verified 2/2 models" in stack.said, "another fleet is asked every model"
    assert stack.account.describe("shared")["EndpointConfigName"] == wanted


def test_killed_while_it_waits_the_release_is_made_by_the_next_create(stack: Stack, configs: dict[str, str]) -> None:
    wanted = next(each for each in (configs[TYPE], configs[OTHER_TYPE]) if each != stack.config)
    stack.account.control.update_endpoint(EndpointName="shared", EndpointConfigName=wanted)
    stack.config = wanted
    given = stack.publish()
    environment = stack.account.environment()
    with (
        engine() as watched,
        plugin(stack.project, environment, tokens.SAGEMAKER_ACTIVE_RELEASE, engine=watched.address) as killed,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(killed.create, given)
        until(lambda: list(watched.said), lambda said: bool(said))
        os.kill(killed.process.pid, signal.SIGKILL)
        assert running.exception(30) is not None
    assert stack.current() is None
    assert stack.release.create(given) == (STORE, given)
    assert stack.current()["release"] == given["release"]


def test_an_import_is_what_the_store_and_the_endpoint_say_and_drift_is_seen(stack: Stack) -> None:
    given = stack.publish()
    assert stack.release.read(STORE) is None
    stack.release.create(given)
    usual = {**given, "catalog": "model_artifacts/catalog.yaml"}
    assert stack.release.read(STORE) == (usual, usual)
    assert stack.release.read(STORE, given) == (given, given)
    stack.put_current({"digits": given["models"]["digits"]}, "shared")
    found = stack.release.read(STORE, given)
    assert found is not None
    assert stack.release.diff(found[1], given).detailedDiff.keys() == {"release", 'models["iris"]'}
    assert stack.release.update(found[1], given) == given


def test_delete_takes_away_this_endpoints_release_and_no_other(stack: Stack) -> None:
    given = stack.publish()
    stack.put_current(given["models"], "theirs")
    stack.release.delete(given)
    assert stack.current()["endpoint"] == "theirs"
    stack.put_current(given["models"], "shared")
    stack.release.delete(given)
    stack.release.delete(given)
    assert stack.current() is None
    assert stack.get(archive_key("digits", given["models"]["digits"])) is not None


def test_an_endpoint_that_is_not_there_is_named(stack: Stack) -> None:
    given = stack.publish()
    with pytest.raises(Refused, match=f"there is no endpoint nowhere in {REGION}: refresh, then `up`"):
        stack.release.create({**given, "endpoint": "nowhere"})
    assert stack.current() is None
