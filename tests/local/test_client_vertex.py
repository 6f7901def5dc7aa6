"""The client against the Vertex AI emulator, found by the environment alone: two deployed models on one endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cohost.client import BadInput, Predictor, ServerError, UnknownModel, smoke
from cohost.client.vertex import VertexTransport
from cohost.release import ActiveRelease, ModelTarget
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.local.vertex_fixture import BUCKET, MODELS, PARENT, REGION, Project, running
from tests.unit.vertex_server import service_account


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, str]]:
    """An endpoint whose traffic goes to two deployed models in equal shares, of which one has not every model."""
    with running(tmp_path_factory.mktemp("client")) as project:
        name = project.endpoint("42")
        whole = project.upload(project.put("repositories/whole", "digits", "iris"))
        part = project.upload(project.put("repositories/part", "iris"))
        project.deploy(name, whole.model, "11", {"0": 100})
        project.deploy(name, part.model, "12", {"11": 50, "0": 50})
        targets = {model: ModelTarget("a" * 64, model) for model in ("digits", "iris")}
        current = ActiveRelease("c" * 64, "gcp", name, targets).to_json()
        project.blobs.bucket(BUCKET).blob("releases/current.json").upload_from_string(current)
        yield project, name


@pytest.fixture
def outputs(endpoint: tuple[Project, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """A stack's outputs, with the environment of a local stack."""
    project, name = endpoint
    key = service_account(tmp_path, f"{project.vertex.url}/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", project.storage.url)
    monkeypatch.setenv(VERTEX_ENDPOINT_OVERRIDE, f"{project.vertex.url}/")
    return {"platform": "gcp", "region": REGION, "endpoint": name, "store": f"gs://{BUCKET}"}


def test_a_reply_tells_which_of_the_deployed_models_answered(outputs: dict[str, object]) -> None:
    test = smoke.load(MODELS / "iris" / smoke.FILE)
    transport = VertexTransport(str(outputs["endpoint"]))
    answered: set[str] = set()
    for _ in range(200):
        reply = transport.infer_reply("iris", test.inputs())
        assert test.check(reply.outputs) is None
        answered.add(reply.deployed_model)
        if answered == {"11", "12"}:
            break
    assert answered == {"11", "12"}
    transport.close()


def test_a_predictor_of_the_stacks_outputs_calls_a_model_by_its_name(outputs: dict[str, object]) -> None:
    test = smoke.load(MODELS / "iris" / smoke.FILE)
    with Predictor.from_outputs(outputs) as predictor:
        assert predictor.models() == {"digits": "a" * 64, "iris": "a" * 64}
        assert test.check(predictor.infer("iris", test.inputs())) is None


def test_what_triton_refuses_arrives_in_tritons_words(outputs: dict[str, object]) -> None:
    with Predictor.from_outputs(outputs) as predictor:
        with pytest.raises(BadInput, match="unexpected inference input 'x'"):
            predictor.infer("iris", {"x": np.zeros((1, 1), np.float32)})
        with pytest.raises(UnknownModel, match="no model 'rose'"):
            predictor.infer("rose", {})
    transport = VertexTransport(str(outputs["endpoint"]))
    with pytest.raises(UnknownModel, match=r"^Request for unknown model: 'rose'"):
        transport.infer("rose", {"x": np.zeros((1, 1), np.float32)})


def test_tritons_other_paths_are_read_by_name(outputs: dict[str, object]) -> None:
    transport = VertexTransport(str(outputs["endpoint"]))
    listed, deployed = transport.read("v2/repository/index")
    assert {model["name"] for model in json.loads(listed)} == {"11": {"digits", "iris"}, "12": {"iris"}}[deployed]
    assert b"nv_gpu_memory_used_bytes" in transport.read("metrics")[0]


def test_an_endpoint_that_is_gone_is_no_unknown_model(outputs: dict[str, object]) -> None:
    with pytest.raises(ServerError, match="endpoints/43: HTTP 404"):
        VertexTransport(f"{PARENT}/endpoints/43").infer("iris", {"x": np.zeros((1, 1), np.float32)})
