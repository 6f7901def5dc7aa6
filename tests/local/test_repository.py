"""The model repository of a release, as the real Triton takes it."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cohost.local.process import Child
from cohost.local.triton import install
from cohost.local.triton.server import sweep
from cohost.release import CANARY
from cohost.repository import CANARY_FILES
from tests.unit.model_folders import write, write_model

_SECONDS = 60


@pytest.fixture
def vertex_triton(tmp_path: Path) -> Iterator[str]:
    """Triton with its Vertex AI front end and strict start, over a repository of the canary and two models."""
    server = install.wheel()
    if server is None:
        pytest.skip("the Triton wheel is not installed")
    repository = tmp_path / "repository"
    for path, data in CANARY_FILES.items():
        write(repository / path, data)
    for name in ("one", "two"):
        write_model(repository / name)
    mark = f"cohost-test-{uuid.uuid4().hex[:8]}"
    installed = install.from_wheel(server, tmp_path / "triton")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = [
        "--allow-vertex-ai=true",
        f"--vertex-ai-port={port}",
        f"--vertex-ai-default-model={CANARY}",
        "--allow-http=false",
        "--allow-grpc=false",
        "--allow-metrics=false",
        f"--model-repository={repository}",
        f"--backend-directory={installed.backends}",
        *(f"--backend-config={backend},shm-region-prefix-name={mark}" for backend in ("python", "onnxruntime")),
    ]
    routes = {"AIP_MODE": "PREDICTION", "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/predict"}
    with (tmp_path / "log").open("wb") as log:
        child = Child([*installed.command, *flags], env={**os.environ, **routes, **installed.environment}, output=log)
    try:
        yield _ready(f"http://127.0.0.1:{port}", child, tmp_path / "log")
    finally:
        child.kill()
        sweep(mark)


def _ready(url: str, child: Child, log: Path) -> str:
    deadline = time.monotonic() + _SECONDS
    while child.running() and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
            return url
        time.sleep(0.05)
    raise AssertionError(log.read_text()[-2000:])


def test_triton_on_vertex_ai_starts_with_the_canary_as_its_default_model_and_answers_by_it(vertex_triton: str) -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [4.5]}]}
    request = urllib.request.Request(f"{vertex_triton}/predict", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = json.load(answer)
    assert found["model_name"] == CANARY
    assert found["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [1], "data": [4.5]}]
