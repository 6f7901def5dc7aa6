"""The life cycle of a stack, from the first `up` to a clean account, as a user goes through it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cohost.client import Predictor, smoke
from tests.local.cloud import Cloud, cloud_of
from tests.local.project import Project, change_model, model_paths

RATE = 50


def test_a_stack_comes_up_stays_changes_by_one_model_and_goes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.operate("up")
    cloud = use(project, monkeypatch)
    assert first["summary"]["create"] > 20
    assert {"platform", "region", "endpoint", "store", "release"} <= first["outputs"].keys()
    plain_boto3_calls_a_model_and_reaches_nothing_outside_the_prefix(project, cloud)
    with Predictor.from_outputs(first["outputs"]) as predictor:
        every_model_answers_its_smoke_test(project, predictor)

    again = project.operate("up")
    assert {op: count for op, count in again["summary"].items() if count and op != "same"} == {}
    assert project.operate("refresh")["changes"] == []

    keys, endpoint, before = cloud.keys(), cloud.endpoint(), cloud.current()
    change_model(project, "iris")
    preview = project.operate("preview")
    assert model_paths(preview) == {'models["iris"]'}
    assert cloud.keys() == keys
    with calling(first["outputs"], project, "iris") as calls:
        changed = project.operate("up")
        wait_for_version(calls, cloud.current()["models"]["iris"]["digest"])
    assert calls.errors == []
    assert model_paths(changed) == {'models["iris"]'}
    uploaded = cloud.keys("models/").keys() - keys.keys()
    assert [key.split("/")[1] for key in uploaded] == ["iris"]
    assert {key: etag for key, etag in cloud.keys("models/").items() if key in keys} == {
        key: etag for key, etag in keys.items() if key.startswith("models/")
    }
    assert cloud.endpoint()["LastModifiedTime"] == endpoint["LastModifiedTime"]
    assert cloud.current()["release"] != before["release"]

    project.operate("destroy")
    assert cloud.leftovers() == {}


def test_another_instance_type_updates_the_endpoint_in_place_while_it_serves(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = small_project.operate("up")
    cloud = use(small_project, monkeypatch)
    config = cloud.endpoint()["EndpointConfigName"]
    small_project.configure({"shared-endpoint:variant": {"instanceType": "ml.g5.2xlarge"}})
    preview = small_project.cohost("local", "preview", "aws")
    assert "both fleets run, and cost" in preview.out
    with calling(first["outputs"], small_project, "digits") as calls:
        changed = small_project.operate("up")
    assert calls.errors == []
    assert calls.count > 0
    ops = {change["type"]: change["op"] for change in changed["changes"]}
    assert ops["aws:sagemaker/endpoint:Endpoint"] == "update"
    assert ops["aws:sagemaker/endpointConfiguration:EndpointConfiguration"] == "replace"
    assert cloud.endpoint()["EndpointConfigName"] != config
    small_project.operate("destroy")
    assert cloud.leftovers() == {}


def use(project: Project, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Points this process's AWS clients at the project's emulators."""
    cloud = cloud_of(project)
    for name, value in cloud.variables.items():
        monkeypatch.setenv(name, value)
    # It would go on with the credentials of the project before.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return cloud


def plain_boto3_calls_a_model_and_reaches_nothing_outside_the_prefix(project: Project, cloud: Cloud) -> None:
    test = json.loads((project.root / "model_artifacts/digits/smoke.json").read_text())
    runtime, target = cloud.client("sagemaker-runtime"), cloud.current()["models"]["digits"]["target"]

    def invoke(target_model: str) -> Any:
        return runtime.invoke_endpoint(
            EndpointName="shared-endpoint-aws",
            TargetModel=target_model,
            ContentType="application/octet-stream",
            Body=json.dumps(test["request"]),
        )

    labels = next(item for item in json.load(invoke(target)["Body"])["outputs"] if item["name"] == "label")
    assert labels["data"] == test["truth"]
    outside = "../releases/current.json"
    assert list(cloud.keys("releases/current.json")) == ["releases/current.json"]
    for absent in (outside, "releases/current.json", "digits/" + "0" * 64 + ".tar.gz"):
        with pytest.raises(ClientError, match="Failed to download model data") as refused:
            invoke(absent)
        response: Any = refused.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


def every_model_answers_its_smoke_test(project: Project, predictor: Predictor) -> None:
    names = predictor.models()
    assert len(names) >= 7
    for name in names:
        test = smoke.load(project.root / "model_artifacts" / name / smoke.FILE)
        assert test.check(predictor.infer(name, test.inputs())) is None


class Calls:
    """Calls of one model at a steady rate."""

    def __init__(self, outputs: dict[str, Any], test: smoke.SmokeTest, model: str) -> None:
        self.errors: list[str] = []
        self.versions: set[str] = set()
        self.count = 0
        self._predictor = Predictor.from_outputs(outputs, interval=0.5)
        self._test, self._model = test, model
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(index,)) for index in range(4)]

    def _run(self, index: int) -> None:
        due = time.monotonic() + index / RATE
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += len(self._threads) / RATE
            try:
                self._predictor.infer(self._model, self._test.inputs())
                self.versions.add(self._predictor.models()[self._model])
                self.count += 1
            except Exception as error:
                self.errors.append(repr(error))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._predictor.close()


@contextmanager
def calling(outputs: dict[str, Any], project: Project, model: str) -> Iterator[Calls]:
    """Calls a model 50 times a second for the length of the block."""
    calls = Calls(outputs, smoke.load(project.root / "model_artifacts" / model / smoke.FILE), model)
    calls.start()
    try:
        yield calls
    finally:
        calls.end()


def wait_for_version(calls: Calls, digest: str) -> None:
    deadline = time.monotonic() + 60
    while digest not in calls.versions:
        assert time.monotonic() < deadline, "callers never got the new version"
        time.sleep(0.05)
