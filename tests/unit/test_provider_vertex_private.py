from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from cohost.errors import DeploymentError
from cohost.provider.vertex import private
from cohost.provider.vertex.traffic import Endpoint
from tests.unit.provider_context import Operation

ATTACHMENT = "projects/tenant-tp/regions/europe-west4/serviceAttachments/gkedpm-1"


def endpoint(attachment: str = ATTACHMENT) -> Endpoint:
    name = "projects/p/locations/europe-west4/endpoints/7"
    return Endpoint(name, split={}, deployed={}, etag="1", service_attachment=attachment)


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that is taken and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_an_address_that_answers_is_waited_for_no_longer(listening: int) -> None:
    operation = Operation()
    private.ensure_reachable(operation.context(), endpoint(), f"http://127.0.0.1:{listening}")
    assert operation.said == []


def test_an_address_that_does_not_answer_fails_with_the_command_that_makes_the_way(
    nobody: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "_PATIENCE_S", 0.1)
    url = f"http://127.0.0.1:{nobody}"
    with pytest.raises(DeploymentError, match=rf"nothing answers at {url} .*--target-service-attachment {ATTACHMENT}`"):
        private.ensure_reachable(Operation().context(), endpoint(), url)
    with pytest.raises(DeploymentError, match="gcloud ai endpoints describe"):
        private.ensure_reachable(Operation().context(), endpoint(attachment=""), url)


def test_an_address_is_given_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, int]] = []

    def connect(where: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(where)
        if len(tried) < 3:
            raise TimeoutError("timed out")
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    operation = Operation()
    private.ensure_reachable(operation.context(), endpoint(), "https://7.prediction.p.vertexai.goog")
    assert tried == [("7.prediction.p.vertexai.goog", 443)] * 3
    assert operation.said[0] == "waiting for https://7.prediction.p.vertexai.goog: timed out"


@pytest.mark.parametrize("value", ["10.0.0.5", "ftp://10.0.0.5", "http://", "http://a/b", "http://a:80", "", None, 7])
def test_what_is_no_address_is_refused(value: object) -> None:
    (problem,) = private.address("address", value)
    assert problem.key == "address"


@pytest.mark.parametrize("value", ["http://10.0.0.5", "https://7-europe-west4-1.prediction.p.vertexai.goog"])
def test_an_address_is_scheme_and_host(value: str) -> None:
    assert list(private.address("address", value)) == []
