"""Smoke tests on an endpoint, by the real transport to a server on the loopback interface."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from cohost.client import SageMakerTransport
from cohost.client.smoke import SmokeTest, Tensor
from cohost.errors import DeploymentError
from cohost.provider import verification
from cohost.provider.context import OperationCancelled
from tests.unit.provider_context import Operation
from tests.unit.runtime_server import (
    Answer,
    Request,
    Server,
    doubled,
    running,
    sagemaker_error,
    use_environment,
)

DIGEST = "a" * 64
MODELS = {f"model-{index:02d}": DIGEST for index in range(20)}
BROKEN = sagemaker_error(
    424, "ModelError", OriginalStatusCode=400, OriginalMessage='{"error":"load failed for model: no such operator"}'
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running() as server:
        use_environment(monkeypatch, server.url)
        yield server


@pytest.fixture
def transport(server: Server) -> Iterator[SageMakerTransport]:
    transport = SageMakerTransport("shared", "eu-central-1")
    yield transport
    transport.close()


def smoke_test(expected: float = 2.0) -> SmokeTest:
    x, y = np.ones((1, 2), np.float32), np.full((1, 2), expected, np.float32)
    return SmokeTest((Tensor("x", "FP32", x),), (Tensor("y", "FP32", y),), 1e-4)


TESTS = dict.fromkeys(MODELS, smoke_test())


def test_every_model_is_asked_once_by_its_own_target_and_the_progress_shows(
    server: Server, transport: SageMakerTransport
) -> None:
    operation = Operation()
    verification.verify(operation.context(), transport, MODELS, TESTS)
    assert sorted(request.target for request in server.invocations) == [f"{name}/{DIGEST}.tar.gz" for name in MODELS]
    assert operation.said[-1] == "verified 20/20 models"


def test_nothing_to_verify_asks_nobody(server: Server, transport: SageMakerTransport) -> None:
    verification.verify(Operation().context(), transport, {}, {})
    assert not server.requests


def test_every_failed_model_is_named_with_the_servers_words_or_what_differs(
    server: Server, transport: SageMakerTransport
) -> None:
    server.answer = lambda request: BROKEN if "model-03" in request.target else doubled(request)
    with pytest.raises(DeploymentError) as caught:
        verification.verify(Operation().context(), transport, MODELS, TESTS | {"model-07": smoke_test(expected=3.0)})
    head, *lines = str(caught.value).splitlines()
    assert head.startswith("2 of 20 models failed their smoke test")
    assert [line.partition(":")[0] for line in lines] == ["model model-03", "model model-07"]
    assert "load failed for model: no such operator" in lines[0]
    assert "'y'[0, 0] is 2" in lines[1]
    assert len(server.invocations) == 20


def test_of_many_failures_the_first_are_named_and_the_others_counted(
    server: Server, transport: SageMakerTransport
) -> None:
    server.answer = lambda _: BROKEN
    with pytest.raises(DeploymentError) as caught:
        verification.verify(Operation().context(), transport, MODELS, TESTS)
    assert str(caught.value).splitlines()[-1] == "and 10 more"


@pytest.mark.parametrize("ended_by", ["cancel", "deadline"])
def test_an_operation_that_must_end_waits_for_no_answer(
    server: Server, transport: SageMakerTransport, ended_by: str
) -> None:
    asked, release = threading.Event(), threading.Event()
    answered: list[Request] = []

    def hang(request: Request) -> Answer:
        asked.set()
        release.wait(60)
        answered.append(request)
        return doubled(request)

    server.answer = hang
    operation = Operation(seconds=2.0 if ended_by == "deadline" else 60.0)

    def cancel() -> None:
        asked.wait(60)
        operation.cancelled = ended_by == "cancel"

    threading.Thread(target=cancel).start()
    with pytest.raises(OperationCancelled, match="asking the models their smoke tests"):
        verification.verify(operation.context(), transport, MODELS, TESTS)
    assert not answered
    release.set()
    assert len(server.invocations) <= 8, "nobody else is asked"
