from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cohost.client import (
    AccessDenied,
    BadInput,
    ModelNotReady,
    PredictionError,
    SageMakerTransport,
    ServerError,
    Throttled,
    UnknownModel,
)
from tests.unit.runtime_server import (
    CONTENT_TYPE,
    Answer,
    Request,
    Server,
    doubled,
    inputs_of,
    prediction,
    running,
    sagemaker_error,
    use_environment,
)

X = {"x": np.array([[1.5, -2.0]], np.float32)}
TARGET = "digits/" + "a" * 64 + ".tar.gz"
NOT_READY = sagemaker_error(429, "ModelNotReadyException", "Model is not ready for inference.")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running() as server:
        use_environment(monkeypatch, server.url)
        yield server


@pytest.fixture
def transport(server: Server) -> Iterator[SageMakerTransport]:
    transport = SageMakerTransport("shared-endpoint-dev", "eu-central-1")
    yield transport
    transport.close()


def model_error(status: int, message: str) -> Answer:
    original = {
        "OriginalStatusCode": status,
        "OriginalMessage": message,
        "ErrorCode": "CLIENT_ERROR_FROM_MODEL",
    }
    return sagemaker_error(424, "ModelError", f'Received error ({status}) from primary: "{message}"', **original)


def test_a_call_sends_binary_tensors_to_the_target_model_and_reads_binary_tensors(
    server: Server, transport: SageMakerTransport
) -> None:
    outputs = transport.infer(TARGET, X)
    np.testing.assert_array_equal(outputs["y"], [[3.0, -4.0]])
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/endpoints/shared-endpoint-dev/invocations")
    assert request.target == TARGET
    size = int(request.headers["Content-Type"].removeprefix(CONTENT_TYPE))
    assert json.loads(request.body[:size])["inputs"][0]["datatype"] == "FP32"
    assert request.body[size:] == X["x"].tobytes()


def test_a_json_answer_is_read_too(server: Server, transport: SageMakerTransport) -> None:
    document = {"outputs": [{"name": "y", "datatype": "BYTES", "shape": [2], "data": ["a", "é"]}]}
    server.answer = lambda _: Answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())
    assert transport.infer(TARGET, X)["y"].tolist() == [b"a", "é".encode()]


@pytest.mark.parametrize("token", ["", "of/a+session=="])
def test_every_request_carries_the_signature_that_botocore_computes(
    server: Server, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    SageMakerTransport("shared-endpoint-dev", "eu-central-1").infer(TARGET, X)
    (sent,) = server.requests
    authorization = sent.headers["Authorization"]
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "content-type", "x-amzn-sagemaker-target-model"} <= set(signed)
    again = AWSRequest(
        "POST", server.url + sent.path, headers={name: sent.headers[name] for name in signed}, data=sent.body
    )
    again.context["timestamp"] = sent.headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials("AKIAIOSFODNN7EXAMPLE", "not-a-secret"), "sagemaker", "eu-central-1")
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    assert authorization.endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    "error",
    [
        NOT_READY,
        sagemaker_error(400, "ThrottlingException", "Rate exceeded"),
        sagemaker_error(429, "ThrottlingException", "Rate exceeded"),
        sagemaker_error(503, "ServiceUnavailable"),
        Answer(503, {}, b"upstream connect error"),
        Answer(429, {}, b""),
    ],
    ids=lambda error: f"{error.status}-{error.headers.get('x-amzn-ErrorType', '').partition(':')[0]}",
)
def test_what_sagemaker_calls_temporary_is_tried_again(
    server: Server, transport: SageMakerTransport, error: Answer
) -> None:
    server.script(error, error, doubled)
    np.testing.assert_array_equal(transport.infer(TARGET, X)["y"], [[3.0, -4.0]])
    assert len(server.requests) == 3
    assert len({request.body for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (
            model_error(400, '{"error":"unexpected shape for input \'x\'"}'),
            BadInput,
            "unexpected shape for input",
        ),
        (model_error(500, '{"error":"CUDA failure 700"}'), ServerError, "CUDA failure 700"),
        (model_error(400, '{"error":"load failed for model: bad file"}'), ServerError, "cannot be loaded"),
        (
            sagemaker_error(400, "ValidationError", "Endpoint e of account 1 not found."),
            ServerError,
            "not found",
        ),
        (sagemaker_error(400, "ValidationError", "1 validation error"), BadInput, "1 validation error"),
        (
            sagemaker_error(400, "ValidationError", "Failed to download model data(bucket: b, key: k)"),
            UnknownModel,
            "Failed to download",
        ),
        (sagemaker_error(403, "AccessDeniedException", "not authorized"), AccessDenied, "not authorized"),
        (sagemaker_error(403, "ExpiredTokenException"), AccessDenied, "ExpiredTokenException"),
        (sagemaker_error(500, "InternalFailure"), ServerError, "InternalFailure"),
        (sagemaker_error(530, "InternalDependencyException"), ServerError, "InternalDependencyException"),
        (sagemaker_error(413, "RequestEntityTooLarge"), BadInput, "too large"),
        (Answer(200, {"Content-Type": "text/html"}, b"<html>"), ServerError, "not a response"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_everything_else_is_tried_once_and_says_why(
    server: Server,
    transport: SageMakerTransport,
    answer: Answer,
    expected: type[PredictionError],
    words: str,
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(expected, match=words):
        transport.infer(TARGET, X)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(NOT_READY, ModelNotReady), (sagemaker_error(400, "ThrottlingException"), Throttled)],
)
def test_tries_end_at_the_deadline_with_the_last_error(
    server: Server, transport: SageMakerTransport, answer: Answer, expected: type[PredictionError]
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(expected, match="gave up after"):
        transport.infer(TARGET, X, timeout=1.0)
    assert len(server.requests) >= 2


def test_an_answer_that_does_not_come_ends_the_call_and_is_not_asked_for_again(
    server: Server, transport: SageMakerTransport
) -> None:
    release = threading.Event()

    def hang(_: Request) -> Answer:
        release.wait(30)
        return Answer()

    server.answer = hang
    with pytest.raises(ServerError, match="no answer within"):
        transport.infer(TARGET, X, timeout=0.3)
    release.set()
    assert len(server.requests) == 1


def test_a_connection_that_the_server_closed_is_replaced(server: Server, transport: SageMakerTransport) -> None:
    server.answer = lambda request: Answer(
        200, prediction(inputs_of(request)).headers, prediction(inputs_of(request)).body, close=True
    )
    for _ in range(5):
        transport.infer(TARGET, X)
    assert len(server.requests) == 5


def test_a_connection_lost_before_any_answer_is_tried_again_and_one_lost_within_it_is_not(
    server: Server, transport: SageMakerTransport
) -> None:
    def hang_up(_: Request) -> Answer:
        raise ConnectionAbortedError

    server.script(hang_up, doubled)
    np.testing.assert_array_equal(transport.infer(TARGET, X)["y"], [[3.0, -4.0]])
    assert len(server.requests) == 2
    server.script(Answer(200, {"Content-Type": f"{CONTENT_TYPE}10"}, b"half", cut=100), doubled)
    with pytest.raises(ServerError, match="broke off"):
        transport.infer(TARGET, X)
    assert len(server.requests) == 3


def test_nobody_listening_is_reported_after_a_few_tries_whatever_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        use_environment(monkeypatch, url)
        started = time.monotonic()
        with pytest.raises(ServerError, match="refused"):
            SageMakerTransport("e", "eu-central-1").infer(TARGET, X, timeout=600)
        assert time.monotonic() - started < 60


def test_one_after_another_calls_share_one_connection(server: Server, transport: SageMakerTransport) -> None:
    for _ in range(20):
        transport.infer(TARGET, X)
    server.script(NOT_READY, doubled)
    transport.infer(TARGET, X)
    assert len({request.client for request in server.requests}) == 1


def test_one_transport_serves_many_threads_with_each_its_own_answer(
    server: Server, transport: SageMakerTransport
) -> None:
    def call(number: int) -> bool:
        outputs = transport.infer(TARGET, {"x": np.full((1, 3), number, np.float32)})
        return bool((outputs["y"] == 2 * number).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(200)))
    assert len({request.client for request in server.requests}) <= 8


def test_a_version_is_the_digest_of_an_artifact(transport: SageMakerTransport) -> None:
    assert transport.target("digits", "b" * 64) == "digits/" + "b" * 64 + ".tar.gz"
    with pytest.raises(UnknownModel, match="64 hex digits"):
        transport.target("digits", "latest")


@pytest.mark.parametrize(
    ("region", "fips", "host"),
    [
        ("eu-central-1", "", "runtime.sagemaker.eu-central-1.amazonaws.com"),
        ("cn-north-1", "", "runtime.sagemaker.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "true", "runtime.sagemaker.us-gov-west-1.amazonaws.com"),
        ("us-east-1", "true", "runtime-fips.sagemaker.us-east-1.amazonaws.com"),
    ],
)
def test_the_runtime_is_found_in_every_partition(
    monkeypatch: pytest.MonkeyPatch, region: str, fips: str, host: str
) -> None:
    use_environment(monkeypatch, "")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", fips)
    from cohost.client.signing import AwsRuntime

    assert urlsplit(AwsRuntime(region).url).hostname == host


def test_the_runtimes_own_endpoint_variable_goes_before_the_general_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.url)
    SageMakerTransport("e", "eu-central-1").infer(TARGET, X)
    assert len(server.requests) == 1


def test_missing_credentials_and_a_missing_region_are_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(AccessDenied, match="no AWS credentials"):
        SageMakerTransport("e", "eu-central-1").infer(TARGET, X)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PredictionError, match="region"):
        SageMakerTransport("e")
    assert not server.requests
