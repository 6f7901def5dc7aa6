from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from google.auth.credentials import AnonymousCredentials

from cohost.client import (
    AccessDenied,
    BadInput,
    ModelNotReady,
    PredictionError,
    Predictor,
    ServerError,
    Throttled,
    UnknownModel,
)
from cohost.client.vertex import CONTENT_TYPE, DEPLOYED_MODEL, REDIRECT, VertexTransport
from cohost.errors import InputError
from cohost.release import ActiveRelease, ModelTarget
from cohost.store import ObjectInfo
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.unit import runtime_server
from tests.unit.runtime_server import Answer, Request, Server
from tests.unit.vertex_server import ENDPOINT, PATH, X, doubled, google_error, triton_error, vertex

UNKNOWN = triton_error(404, "Request for unknown model: 'digits' is not found")
QUOTA = google_error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for online prediction requests")
UNAVAILABLE = google_error(503, "UNAVAILABLE", "The service is currently unavailable.")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with vertex(monkeypatch) as server:
        yield server


@pytest.fixture
def transport(server: Server) -> Iterator[VertexTransport]:
    transport = VertexTransport(ENDPOINT, credentials=AnonymousCredentials())
    yield transport
    transport.close()


def test_a_call_sends_binary_tensors_past_the_front_end_to_the_model(
    server: Server, transport: VertexTransport
) -> None:
    np.testing.assert_array_equal(transport.infer("digits", X)["y"], [[3.0, -4.0]])
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", PATH)
    assert request.headers[REDIRECT] == "v2/models/digits/infer"
    size = int(request.headers["Content-Type"].removeprefix(CONTENT_TYPE))
    assert json.loads(request.body[:size])["inputs"][0]["datatype"] == "FP32"
    assert request.body[size:] == X["x"].tobytes()


def test_a_reply_tells_which_deployed_model_answered(transport: VertexTransport) -> None:
    reply = transport.infer_reply("digits", X)
    assert reply.deployed_model == "7"
    np.testing.assert_array_equal(reply.outputs["y"], [[3.0, -4.0]])


def test_tritons_other_paths_are_read_through_the_same_route(server: Server, transport: VertexTransport) -> None:
    server.answer = lambda _: Answer(200, {"Content-Type": "text/plain", DEPLOYED_MODEL: "7"}, b"nv_gpu_utilization 0")
    assert transport.read("metrics") == (b"nv_gpu_utilization 0", "7")
    assert server.requests[0].headers[REDIRECT] == "metrics"


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/octet-stream"}])
def test_binary_answers_are_read_though_their_header_size_was_lost_on_the_way(
    server: Server, transport: VertexTransport, headers: Mapping[str, str]
) -> None:
    server.answer = lambda request: doubled(request, headers)
    values = np.frombuffer(b'}{"]' * 5, np.float32)[None]
    np.testing.assert_array_equal(transport.infer("digits", {"x": values})["y"], values * np.float32(2))


def test_an_answer_with_the_documented_content_type_or_in_json_is_read_too(
    server: Server, transport: VertexTransport
) -> None:
    size = len(runtime_server.prediction({"y": X["x"]}).body) - X["x"].nbytes
    server.answer = lambda request: doubled(request, {"Content-Type": f"{CONTENT_TYPE}{size}"})
    np.testing.assert_array_equal(transport.infer("digits", X)["y"], [[3.0, -4.0]])
    document = {"outputs": [{"name": "y", "datatype": "BYTES", "shape": [2], "data": ["a", "é"]}]}
    server.answer = lambda _: Answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())
    assert transport.infer("digits", X)["y"].tolist() == [b"a", "é".encode()]


@pytest.mark.parametrize("error", [QUOTA, UNAVAILABLE, Answer(429), Answer(503, {}, b"no healthy upstream")])
def test_what_is_temporary_is_tried_again(server: Server, transport: VertexTransport, error: Answer) -> None:
    server.script(error, error, doubled)
    np.testing.assert_array_equal(transport.infer("digits", X)["y"], [[3.0, -4.0]])
    assert len(server.requests) == 3
    assert len({request.body for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (UNKNOWN, UnknownModel, "unknown model: 'digits'"),
        (google_error(404, "NOT_FOUND", '{"error":"Request for unknown model: \'digits\'"}'), UnknownModel, "digits"),
        (
            google_error(404, "NOT_FOUND", "Endpoint `42` not found."),
            ServerError,
            "endpoints/42: .*not found.*DNS name",
        ),
        (Answer(404, {"Content-Type": "text/html"}, b"<html>\nError 404"), ServerError, "endpoints/42: .*DNS name"),
        (triton_error(400, "[request id: <id_unknown>] unexpected shape"), BadInput, "^unexpected shape"),
        (google_error(400, "INVALID_ARGUMENT", '{"error":"unexpected shape"}'), BadInput, "^unexpected shape"),
        (google_error(400, "INVALID_ARGUMENT", "Request payload size exceeds"), BadInput, "payload size"),
        (google_error(413, "INVALID_ARGUMENT", "too large"), BadInput, "too large"),
        (google_error(400, "FAILED_PRECONDITION", "no deployed model"), ServerError, "endpoints/42: .*no deployed"),
        (google_error(401, "UNAUTHENTICATED", "invalid credentials"), AccessDenied, "invalid credentials"),
        (google_error(403, "PERMISSION_DENIED", "denied on x"), AccessDenied, "denied on x.*aiplatform.endpoints.pred"),
        (triton_error(500, "CUDA failure 700"), ServerError, "HTTP 500: CUDA failure 700"),
        (Answer(200, {"Content-Type": "text/html"}, b"<html>"), ServerError, "not a response"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_everything_else_is_tried_once_and_says_why(
    server: Server, transport: VertexTransport, answer: Answer, expected: type[PredictionError], words: str
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(expected, match=words):
        transport.infer("digits", X)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(QUOTA, Throttled), (UNAVAILABLE, ServerError), (triton_error(400, "Model is not ready"), ModelNotReady)],
)
def test_tries_end_at_the_deadline_with_the_last_error(
    server: Server, transport: VertexTransport, answer: Answer, expected: type[PredictionError]
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(expected, match="gave up after"):
        transport.infer("digits", X, timeout=0.6)
    assert len(server.requests) >= 2


def test_an_error_tells_which_deployed_model_failed(server: Server, transport: VertexTransport) -> None:
    server.answer = lambda _: replace(UNKNOWN, headers={**UNKNOWN.headers, DEPLOYED_MODEL: "7"})
    with pytest.raises(UnknownModel) as refused:
        transport.infer("digits", X)
    assert refused.value.deployed_model == "7"
    server.answer = lambda _: replace(UNAVAILABLE, headers={**UNAVAILABLE.headers, DEPLOYED_MODEL: "8"})
    with pytest.raises(ServerError, match="gave up after") as given_up:
        transport.infer("digits", X, timeout=0.1)
    assert given_up.value.deployed_model == "8"
    server.answer = lambda _: UNKNOWN
    with pytest.raises(UnknownModel) as anybodys:
        transport.infer("digits", X)
    assert anybodys.value.deployed_model == ""


def test_a_connection_lost_before_any_answer_is_tried_again(server: Server, transport: VertexTransport) -> None:
    def hang_up(_: Request) -> Answer:
        raise ConnectionAbortedError

    server.script(hang_up, doubled)
    np.testing.assert_array_equal(transport.infer("digits", X)["y"], [[3.0, -4.0]])
    assert len(server.requests) == 2


def test_one_after_another_calls_share_one_connection(server: Server, transport: VertexTransport) -> None:
    for _ in range(20):
        transport.infer("digits", X)
    server.script(UNAVAILABLE, UNKNOWN)
    with pytest.raises(UnknownModel):
        transport.infer("digits", X)
    assert len({request.client for request in server.requests}) == 1


def test_one_transport_serves_many_threads_with_each_its_own_answer(server: Server) -> None:
    transport = VertexTransport(ENDPOINT, credentials=AnonymousCredentials())

    def call(number: int) -> bool:
        outputs = transport.infer("digits", {"x": np.full((1, 3), number, np.float32)})
        return bool((outputs["y"] == 2 * number).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(200)))
    assert len({request.client for request in server.requests}) <= 8


def test_a_request_larger_than_the_endpoint_takes_is_refused_before_it_is_sent_with_the_remedy(
    server: Server, transport: VertexTransport
) -> None:
    fits = {"x": np.zeros((1, 390_000), np.float32)}
    large = {"x": np.zeros((1, 400_000), np.float32)}
    transport.infer("digits", fits)
    with pytest.raises(BadInput, match=r"1,600,\d+ bytes.* 1,572,864 .*fewer rows.*dedicated endpoint"):
        transport.infer("digits", large)
    dedicated = VertexTransport(ENDPOINT, dedicated_dns="42.dns", credentials=AnonymousCredentials())
    dedicated.infer("digits", large)
    with pytest.raises(BadInput, match=r"10,485,760 .*fewer rows a call$"):
        dedicated.infer("digits", {"x": np.zeros((1, 2_700_000), np.float32)})
    assert len(server.requests) == 2


def test_another_version_is_refused_because_vertex_ai_reaches_only_the_active_one(
    server: Server, transport: VertexTransport
) -> None:
    with pytest.raises(UnknownModel, match=r"'bbb' of 'digits'.*only the active release"):
        transport.target("digits", "bbb")
    assert not server.requests


@pytest.mark.parametrize("endpoint", ["42", "projects/p/locations/l", f"{ENDPOINT}/x", f"{ENDPOINT}:rawPredict", ""])
def test_an_endpoint_that_is_no_full_name_is_refused_with_the_form_it_has(endpoint: str) -> None:
    with pytest.raises(InputError, match="projects/<project>/locations/<region>/endpoints/<id>"):
        VertexTransport(endpoint)


@pytest.mark.parametrize(
    ("dns", "address", "url"),
    [
        (None, None, "https://europe-west4-aiplatform.googleapis.com"),
        ("42.europe-west4-1.prediction.vertexai.goog", None, "https://42.europe-west4-1.prediction.vertexai.goog"),
        (None, "http://10.128.0.5", "http://10.128.0.5"),
    ],
)
def test_a_shared_endpoint_is_called_at_its_regions_address_and_others_at_their_own(
    monkeypatch: pytest.MonkeyPatch, dns: str | None, address: str | None, url: str
) -> None:
    asked = []

    class Recorded:
        def __init__(self, url: str) -> None:
            asked.append(url)

    monkeypatch.delenv(VERTEX_ENDPOINT_OVERRIDE, raising=False)
    monkeypatch.setattr("cohost.client.vertex.Connections", Recorded)
    assert VertexTransport(ENDPOINT, dedicated_dns=dns, private_address=address).url == url
    assert asked == [url]


def test_importing_the_transport_imports_nothing_of_google() -> None:
    script = "import sys, cohost.client.vertex; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"google.auth", "google.api_core", "requests"} & set(loaded.split())


class Store:
    """A store of the active release."""

    url = "gs://models-bucket"

    def __init__(self, models: Mapping[str, str]) -> None:
        targets = {name: ModelTarget(digest, name) for name, digest in models.items()}
        self._data = ActiveRelease("c" * 64, "gcp", ENDPOINT, targets).to_json()

    def head(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, len(self._data), "1")

    def get(self, key: str) -> tuple[bytes, str]:
        return self._data, "1"


def test_a_stacks_outputs_are_all_that_a_predictor_needs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"platform": "gcp", "region": "europe-west4", "endpoint": ENDPOINT, "store": "gs://models-bucket"}
    opened = []

    def open_store(url: str, **_: Any) -> Any:
        opened.append(url)
        return Store({"digits": "a" * 64})

    monkeypatch.setattr("cohost.client.predictor.open_store", open_store)
    monkeypatch.setattr("google.auth.default", lambda **_: (AnonymousCredentials(), None))
    with Predictor.from_outputs(outputs, interval=3600) as predictor:
        np.testing.assert_array_equal(predictor.infer("digits", X)["y"], [[3.0, -4.0]])
        with pytest.raises(UnknownModel, match="did you mean 'digits'"):
            predictor.infer("digit", X)
        with pytest.raises(UnknownModel, match="only the active release"):
            predictor.infer("digits", X, version="b" * 64)
    with pytest.raises(BadInput, match="dedicated endpoint"):
        Predictor.from_outputs(outputs, interval=3600).infer("digits", {"x": np.zeros((1, 400_000), np.float32)})
    for own in ({"dns": "42.europe-west4-1.prediction.vertexai.goog"}, {"address": "http://10.128.0.5"}):
        there = Predictor.from_outputs({**outputs, **own}, interval=3600)
        there.infer("digits", {"x": np.zeros((1, 400_000), np.float32)})
    assert [request.headers[REDIRECT] for request in server.requests] == ["v2/models/digits/infer"] * 3
    assert set(opened) == {"gs://models-bucket"}
    with pytest.raises(InputError, match="projects/<project>"):
        Predictor.from_outputs({**outputs, "endpoint": "42"})
