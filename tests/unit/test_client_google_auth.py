from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError, TransportError

from cohost.client import AccessDenied, ServerError
from cohost.client.google_auth import GoogleAuthorization
from cohost.client.vertex import VertexTransport
from tests.unit.runtime_server import Answer, Server
from tests.unit.vertex_server import ENDPOINT, X, doubled, google_error, service_account, vertex


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with vertex(monkeypatch) as server:
        yield server


class Tokens(Credentials):
    """Credentials whose tokens are numbered, and last for `lifetime` seconds."""

    def __init__(self, lifetime: float = 3600, billed: str | None = None) -> None:
        super().__init__()
        self._quota_project_id: str | None = billed
        self.lifetime = lifetime
        self.given = 0
        self.fails = False

    def refresh(self, request: Callable[..., Any]) -> None:
        if self.fails:
            raise RefreshError("invalid_grant: account not found", {"error": "invalid_grant"})
        self.given += 1
        self.token = f"token-{self.given}"
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=self.lifetime)


def test_a_token_is_asked_for_once_and_sent_with_every_call_of_every_thread(server: Server) -> None:
    transport = VertexTransport(ENDPOINT, credentials=Tokens())
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: transport.infer("digits", X), range(50)))
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer token-1"}


def test_a_token_that_the_credentials_already_hold_is_used() -> None:
    credentials = Tokens()
    credentials.refresh(lambda: None)
    assert GoogleAuthorization(credentials).headers()["authorization"] == "Bearer token-1"


def test_a_token_is_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    authorization = GoogleAuthorization(Tokens(3600))
    assert authorization.headers()["authorization"] == "Bearer token-1"
    begin = time.time()
    monkeypatch.setattr(time, "time", lambda: begin + 3300)
    assert authorization.headers()["authorization"] == "Bearer token-1"
    monkeypatch.setattr(time, "time", lambda: begin + 3500)
    assert authorization.headers()["authorization"] == "Bearer token-2"


def test_a_token_of_a_short_life_is_not_renewed_for_every_call() -> None:
    credentials = Tokens(60)
    authorization = GoogleAuthorization(credentials)
    assert {authorization.headers()["authorization"] for _ in range(5)} == {"Bearer token-1"}


def test_a_token_that_holds_is_used_while_another_thread_asks_for_the_next_and_when_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    credentials = Tokens(3600)
    authorization = GoogleAuthorization(credentials)
    authorization.headers()
    begin = time.time()
    monkeypatch.setattr(time, "time", lambda: begin + 3500)
    asked, release = threading.Event(), threading.Event()

    def slow(_: Any) -> None:
        asked.set()
        assert release.wait(30)
        raise RefreshError("later")

    monkeypatch.setattr(credentials, "refresh", slow)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(authorization.headers)
        assert asked.wait(30)
        assert authorization.headers()["authorization"] == "Bearer token-1"
        release.set()
        assert waiting.result()["authorization"] == "Bearer token-1"
    monkeypatch.setattr(time, "time", lambda: begin + 3700)
    with pytest.raises(AccessDenied, match="later"):
        authorization.headers()


def test_a_token_that_was_revoked_is_replaced_once(server: Server) -> None:
    credentials = Tokens()
    transport = VertexTransport(ENDPOINT, credentials=credentials)
    transport.infer("digits", X)
    denied = google_error(401, "UNAUTHENTICATED", "invalid credentials")
    server.answer = lambda request: denied if request.headers["authorization"] == "Bearer token-1" else doubled(request)
    transport.infer("digits", X)
    assert credentials.given == 2
    server.answer = lambda _: denied
    with pytest.raises(AccessDenied, match="invalid credentials"):
        transport.infer("digits", X)
    assert credentials.given == 3


def test_credentials_that_are_refused_say_why_in_one_line(server: Server) -> None:
    credentials = Tokens()
    credentials.fails = True
    with pytest.raises(AccessDenied, match=r"^Google credentials: invalid_grant: account not found$"):
        VertexTransport(ENDPOINT, credentials=credentials).infer("digits", X)
    assert not server.requests


def test_who_gives_tokens_is_named_when_nobody_answers_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: Any) -> None:
        raise TransportError("metadata.google.internal: refused")

    credentials = Tokens()
    monkeypatch.setattr(credentials, "refresh", lost)
    with pytest.raises(ServerError, match=r"^Google credentials: metadata.google.internal: refused"):
        VertexTransport(ENDPOINT, credentials=credentials).infer("digits", X)
    assert not server.requests


def test_the_project_to_bill_is_sent_where_the_credentials_name_one(server: Server) -> None:
    credentials = Tokens(billed="billed")
    VertexTransport(ENDPOINT, credentials=credentials).infer("digits", X)
    assert server.requests[0].headers["x-goog-user-project"] == "billed"


def test_missing_credentials_are_named_with_the_command_that_makes_them(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with pytest.raises(AccessDenied, match=r"nothing\.json.*gcloud auth application-default login"):
        VertexTransport(ENDPOINT).infer("digits", X)
    assert not server.requests


def test_application_default_credentials_are_those_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = service_account(tmp_path, f"{server.url}/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    token = {"access_token": "given", "expires_in": 3600, "token_type": "Bearer"}
    given = Answer(200, {"Content-Type": "application/json"}, json.dumps(token).encode())
    server.answer = lambda request: given if request.path == "/token" else doubled(request)
    transport = VertexTransport(ENDPOINT)
    for _ in range(2):
        transport.infer("digits", X)
    asked, *calls = server.requests
    assert parse_qs(asked.body.decode())["assertion"]
    assert [call.headers["authorization"] for call in calls] == ["Bearer given"] * 2
