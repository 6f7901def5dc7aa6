"""The small server of `runtime_server`, answering as Vertex AI with Triton behind its front end does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cohost.client.vertex import CONTENT_TYPE, DEPLOYED_MODEL
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.unit import runtime_server
from tests.unit.runtime_server import Answer, Request, Server, running

ENDPOINT = "projects/p-1/locations/europe-west4/endpoints/42"
PATH = f"/v1/{ENDPOINT}:rawPredict"
X = {"x": np.array([[1.5, -2.0]], np.float32)}


def on_vertex(request: Request, model: Callable[[Request], Answer], headers: Mapping[str, str] | None = None) -> Answer:
    """The answer of a model written for SageMaker's front end, as Vertex AI's sends it.

    Args:
        request: With binary tensors.
        model: The model.
        headers: Those of the answer; None = as Triton 2.51 sends them.
    """
    size = request.headers["Content-Type"].removeprefix(CONTENT_TYPE)
    answer = model(replace(request, headers={"Content-Type": f"{runtime_server.CONTENT_TYPE}{size}"}))
    if headers is None:
        size = answer.headers["Content-Type"].removeprefix(runtime_server.CONTENT_TYPE)
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": size}
    return replace(answer, headers={**headers, DEPLOYED_MODEL: "7"})


def doubled(request: Request, headers: Mapping[str, str] | None = None) -> Answer:
    """A model that doubles its input "x"; arguments as of `on_vertex`."""
    return on_vertex(request, runtime_server.doubled, headers)


def google_error(code: int, status: str, message: str) -> Answer:
    """An error as Google's APIs send it."""
    document = {"error": {"code": code, "message": message, "status": status, "details": []}}
    return Answer(code, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(document).encode())


def triton_error(code: int, words: str) -> Answer:
    """An error as Triton sends it."""
    return Answer(code, {"Content-Type": "text/plain"}, json.dumps({"error": words}).encode())


@contextmanager
def vertex(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that this process takes for Vertex AI; every path is answered by its `answer`."""
    with running() as server:
        monkeypatch.setenv(VERTEX_ENDPOINT_OVERRIDE, f"{server.url}/")
        server.answer = doubled
        server.s3 = lambda request: server.answer(request)
        yield server


def service_account(folder: Path, token_uri: str) -> Path:
    """A key file of an account of nobody's."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    email = "caller@p-1.iam.gserviceaccount.com"
    key = {"type": "service_account", "project_id": "p-1", "private_key_id": "1", "private_key": pem.decode()}
    path = folder / "key.json"
    path.write_text(json.dumps({**key, "client_email": email, "token_uri": token_uri}))
    return path
