from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from cohost.client import BadInput, ModelNotReady, Predictor, ServerError, TritonTransport, UnknownModel
from cohost.client.tensors import encode
from tests.unit.runtime_server import Answer, Request, Server, running

X = {"pixels": np.zeros((1, 63), np.float32)}
METADATA = {"name": "digits", "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}]}


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


def error(status: int, words: str) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps({"error": words}).encode())


def test_a_model_is_called_by_its_name_with_binary_tensors(server: Server) -> None:
    def answer(request: Request) -> Answer:
        body, size = encode({"label": np.array([[7]])})
        text = body[:size].replace(b'"inputs"', b'"outputs"')
        return Answer(200, {"Inference-Header-Content-Length": str(len(text))}, text + body[size:])

    server.answer = answer
    with Predictor(TritonTransport(server.url)) as predictor:
        assert predictor.infer("digits", X)["label"].item() == 7
        assert predictor.models() == {}
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v2/models/digits/infer")
    size = int(request.headers["Inference-Header-Content-Length"])
    assert json.loads(request.body[:size])["inputs"][0]["shape"] == [1, 63]


def test_bad_input_names_what_the_model_expects(server: Server) -> None:
    words = "[request id: <id_unknown>] unexpected shape for input 'pixels' for model 'digits'"
    metadata = Answer(200, {}, json.dumps(METADATA).encode())
    server.answer = lambda request: metadata if request.method == "GET" else error(400, words)
    server.s3 = server.answer
    with pytest.raises(BadInput, match=r"^unexpected shape .* expected: pixels FP32 \[-1, 64\]$"):
        TritonTransport(server.url).infer("digits", X)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(404, "Request for unknown model: 'digits' is not found"), UnknownModel),
        (error(400, "Request for unknown model: 'digits' is not found"), UnknownModel),
        (error(500, "out of memory"), ServerError),
    ],
)
def test_errors_are_told_apart(server: Server, answer: Answer, expected: type[Exception]) -> None:
    server.answer = lambda _: answer
    with pytest.raises(expected):
        TritonTransport(server.url).infer("digits", X)
    assert len(server.requests) == 1


def test_a_model_that_is_loading_is_waited_for_until_the_deadline(server: Server) -> None:
    server.answer = lambda _: error(400, "Request for model 'digits' version 1: Model is not ready")
    with pytest.raises(ModelNotReady, match="gave up"):
        TritonTransport(server.url).infer("digits", X, timeout=0.5)


def test_a_version_is_refused_by_name(server: Server) -> None:
    with pytest.raises(UnknownModel, match="digits"):
        Predictor(TritonTransport(server.url)).infer("digits", X, version="a" * 64)
    assert not server.requests
