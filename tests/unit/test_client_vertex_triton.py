"""The transport against a real Triton behind its own Vertex AI front end, whose predict route is rawPredict's path."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import urllib3
from google.auth.credentials import AnonymousCredentials

from cohost.client import BadInput, UnknownModel, smoke
from cohost.client.vertex import VertexTransport
from cohost.local.process import LOOPBACK, Child
from cohost.local.triton import install
from cohost.local.triton.server import sweep
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.unit.vertex_server import ENDPOINT, PATH, X

MODELS = Path(__file__).parents[2] / "model_artifacts"
MARK = f"client-vertex-{os.getpid()}"


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Triton behind its Vertex AI front end, with two models."""
    wheel = install.wheel()
    if wheel is None:
        pytest.skip("nvidia-pytriton is not installed")
    folder = tmp_path_factory.mktemp("triton")
    for name in ("digits", "iris"):
        shutil.copytree(MODELS / name, folder / "repository" / name, ignore=shutil.ignore_patterns(smoke.FILE))
    url, child = _started(folder, install.from_wheel(wheel, folder))
    try:
        yield url
    finally:
        child.kill()
        sweep(MARK)


def _started(folder: Path, triton: install.Installation) -> tuple[str, Child]:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    flags = ["--allow-vertex-ai=true", f"--vertex-ai-port={port}", "--vertex-ai-default-model=iris"]
    flags += ["--allow-http=false", "--allow-grpc=false", "--allow-metrics=false"]
    flags += [f"--model-repository={folder / 'repository'}", f"--backend-directory={triton.backends}"]
    flags += [f"--backend-config={backend},shm-region-prefix-name={MARK}" for backend in ("python", "onnxruntime")]
    routes = {"AIP_MODE": "PREDICTION", "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": PATH}
    log = folder / "triton.log"
    with log.open("wb") as output:
        child = Child([*triton.command, *flags], env={**os.environ, **triton.environment, **routes}, output=output)
    url, deadline = f"http://{LOOPBACK}:{port}", time.monotonic() + 60
    while child.running() and time.monotonic() < deadline:
        with suppress(urllib3.exceptions.HTTPError):
            if urllib3.request("GET", f"{url}/health", retries=False).status == 200:
                return url, child
        time.sleep(0.02)
    child.kill()
    raise AssertionError(log.read_text(errors="replace")[-2000:])


@pytest.fixture
def real(triton: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[VertexTransport]:
    monkeypatch.setenv(VERTEX_ENDPOINT_OVERRIDE, triton)
    transport = VertexTransport(ENDPOINT, credentials=AnonymousCredentials())
    yield transport
    transport.close()


@pytest.mark.parametrize("model", ["digits", "iris"])
def test_a_real_triton_answers_each_models_smoke_test(real: VertexTransport, model: str) -> None:
    test = smoke.load(MODELS / model / smoke.FILE)
    assert test.check(real.infer(model, test.inputs())) is None


def test_a_real_triton_refuses_unknown_models_and_bad_input_by_their_names(real: VertexTransport) -> None:
    with pytest.raises(UnknownModel, match="'nothing'"):
        real.infer("nothing", X)
    with pytest.raises(BadInput, match=r"pixels.*digits"):
        real.infer("digits", {"pixels": np.zeros((1, 63), np.float32)})
    with pytest.raises(BadInput, match=r"unexpected inference input 'x'"):
        real.infer("iris", X)


def test_a_real_triton_lists_its_models(real: VertexTransport) -> None:
    listed, _ = real.read("v2/repository/index")
    assert {model["name"]: model["state"] for model in json.loads(listed)} == {"digits": "READY", "iris": "READY"}
