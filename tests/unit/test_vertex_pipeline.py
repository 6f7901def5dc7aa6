from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from google.cloud.aiplatform_v1.types import PipelineJob
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from cohost import training_steps
from scripts.pipeline import vertex
from tests.unit.google_key import service_account
from tests.unit.test_provider_google import Server, serving

protos: Any = pipeline_spec_pb2

IMAGE = f"europe-west4-docker.pkg.dev/acme/serving/training@sha256:{'0a' * 32}"
PARENT = "projects/acme/locations/europe-west4"
OUTPUTS = {
    "platform": "gcp",
    "region": "europe-west4",
    "endpoint": f"{PARENT}/endpoints/1",
    "store": "gs://cohost-dev-models",
}
GIVEN = ("dev", "--image", IMAGE, "--service-account", "trainer@acme.iam.gserviceaccount.com")


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack with these outputs, without the command that would tell them."""
    monkeypatch.setattr(vertex, "connect", lambda given: SimpleNamespace(outputs=OUTPUTS))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["vertex", *arguments])
    return vertex.main()


def test_the_pipeline_is_one_that_kubeflows_own_definition_takes() -> None:
    parsed: Any = json_format.ParseDict(vertex.spec(IMAGE), protos.PipelineSpec())
    assert parsed.pipeline_info.name == "cohost-training"
    assert set(parsed.root.dag.tasks) == {"train", "evaluate", "push"}


def test_the_kept_file_is_the_pipeline_that_is_sent() -> None:
    assert vertex.FILE.read_text() == vertex.written(), "python -m scripts.pipeline.vertex --write"
    assert yaml.safe_load(vertex.FILE.read_text()) == vertex.spec()


def test_every_placeholder_of_a_command_is_a_thing_that_the_step_is_given_or_makes() -> None:
    spec = vertex.spec()
    for name, component in spec["components"].items():
        line = " ".join(spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]["args"])
        inputs, outputs = component["inputDefinitions"], component["outputDefinitions"]
        wanted = {f"$.inputs.parameters['{key}']" for key in inputs["parameters"]}
        wanted |= {f"$.inputs.artifacts['{key}'].path" for key in inputs.get("artifacts", {})}
        wanted |= {f"$.outputs.artifacts['{key}'].path" for key in outputs["artifacts"]}
        assert {part.partition("}}")[0] for part in line.split("{{")[1:]} == wanted, name


def test_a_step_takes_what_a_step_before_it_makes_and_waits_for_it() -> None:
    spec = vertex.spec()
    for task in spec["root"]["dag"]["tasks"].values():
        for source in task["inputs"].get("artifacts", {}).values():
            made = source["taskOutputArtifact"]
            component = spec["components"][f"comp-{made['producerTask']}"]
            assert made["outputArtifactKey"] in component["outputDefinitions"]["artifacts"]
            assert made["producerTask"] in task["dependentTasks"]


def test_vertex_and_sagemaker_run_the_same_modules() -> None:
    modules = [
        executor["container"]["command"][2] for executor in vertex.spec()["deploymentSpec"]["executors"].values()
    ]
    place = {"model": "", "floor": "", "store": ""}
    every = training_steps.steps(read=lambda step, name: "", write=lambda name: "", **place)
    assert modules == [step.module for step in every]


@pytest.mark.usefixtures("deployed")
def test_what_is_sent_is_a_pipeline_job_by_googles_own_definition(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *GIVEN, "--floor", "0.95", "--print") == 0
    body = json.loads(capsys.readouterr().out)
    kind: Any = PipelineJob
    job = kind.pb(kind())
    json_format.ParseDict(body, job)
    assert dict(job.runtime_config.parameter_values)["floor"].number_value == 0.95
    assert job.service_account == "trainer@acme.iam.gserviceaccount.com"
    assert body["runtimeConfig"]["gcsOutputDirectory"] == "gs://cohost-dev-models/pipelines"
    used = {each["container"]["image"] for each in body["pipelineSpec"]["deploymentSpec"]["executors"].values()}
    assert used == {IMAGE}


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    with serving(Server()) as made:
        key = tmp_path / "key.json"
        key.write_text(json.dumps(service_account(f"{made.url}/token")))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", made.url)
        yield made


@pytest.mark.usefixtures("deployed")
def test_a_run_is_started_in_the_endpoints_project_and_region_and_its_name_is_told(
    google: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
    google.answers = [(200, token), (200, {"name": f"{PARENT}/pipelineJobs/7"})]
    assert run(monkeypatch, *GIVEN) == 0
    assert capsys.readouterr().out == f"{PARENT}/pipelineJobs/7\n"
    assert [(method, path) for method, path, _ in google.asked][-1] == ("POST", f"/v1/{PARENT}/pipelineJobs")


@pytest.mark.usefixtures("deployed")
def test_a_refusal_of_google_ends_the_command_with_its_words(
    google: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
    refusal = {"error": {"code": 403, "message": "not allowed to act as", "status": "PERMISSION_DENIED"}}
    google.answers = [(200, token), (403, refusal)]
    assert run(monkeypatch, *GIVEN) == 1
    assert "not allowed to act as" in capsys.readouterr().err


def test_everything_that_is_missing_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--local") == 2
    named = [line.removeprefix("error: ").partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert named == ["--image", "--local", "--service-account", "STACK"]


def test_a_stack_on_aws_is_sent_to_its_own_pipeline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {**OUTPUTS, "endpoint": "shared-endpoint-dev"}
    monkeypatch.setattr(vertex, "connect", lambda given: SimpleNamespace(outputs=outputs))
    assert run(monkeypatch, *GIVEN) == 2
    assert "is not a stack on GCP" in capsys.readouterr().err
