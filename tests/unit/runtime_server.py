"""A small HTTP server that answers as SageMaker's runtime, S3 and Triton do, over real sockets."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cohost.client.tensors import decode, encode

CONTENT_TYPE = "application/vnd.sagemaker-triton.binary+json;json-header-size="


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    client: tuple[str, int]

    @property
    def target(self) -> str:
        return self.headers["X-Amzn-SageMaker-Target-Model"]


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    close: bool = False
    cut: int = 0
    """Bytes of the body that are promised but never sent."""


def sagemaker_error(status: int, code: str, message: str = "words", **members: Any) -> Answer:
    """An error as the REST-JSON protocol serialises it."""
    body = json.dumps({"Message": message, **members}).encode()
    return Answer(status, {"x-amzn-ErrorType": f"{code}:http://internal.amazon.com/coral/com.amazonaws/"}, body)


def prediction(outputs: Mapping[str, NDArray[Any]]) -> Answer:
    """Outputs as Triton's SageMaker front end sends them: a V2 header and binary tensors."""
    body, size = encode(outputs)
    header = json.loads(body[:size])
    header["outputs"] = header.pop("inputs")
    text = json.dumps(header).encode()
    return Answer(200, {"Content-Type": f"{CONTENT_TYPE}{len(text)}"}, text + body[size:])


def inputs_of(request: Request) -> dict[str, NDArray[Any]]:
    """The tensors of a binary request."""
    size = int(request.headers["Content-Type"].removeprefix(CONTENT_TYPE))
    header = json.loads(request.body[:size])
    header["outputs"] = header.pop("inputs")
    text = json.dumps(header).encode()
    return decode(text + request.body[size:], len(text))


def doubled(request: Request) -> Answer:
    """A model that doubles its input "x"."""
    return prediction({"y": inputs_of(request)["x"] * np.float32(2)})


class Server(ThreadingHTTPServer):
    """Answers with `answer` and keeps what it was asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Callable[[Request], Answer] = doubled
        self.requests: list[Request] = []
        self.objects: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def invocations(self) -> list[Request]:
        return [request for request in self.requests if request.path.startswith("/endpoints/")]

    def script(self, *answers: Answer | Callable[[Request], Answer]) -> None:
        """Gives these answers one after the other, the last one for ever."""
        rest = list(answers)
        lock = threading.Lock()

        def answer(request: Request) -> Answer:
            with lock:
                chosen = rest.pop(0) if len(rest) > 1 else rest[0]
            return chosen if isinstance(chosen, Answer) else chosen(request)

        self.answer = answer

    def s3(self, request: Request) -> Answer:
        """GetObject and HeadObject of `objects`, by "/bucket/key"."""
        data = self.objects.get(request.path.partition("?")[0])
        if data is None:
            return Answer(404, {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchKey</Code></Error>")
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        return Answer(200, {"ETag": etag, "Content-Type": "binary/octet-stream"}, data)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One segment per answer: no waiting for delayed acknowledgements.
    wbufsize = -1
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, self.headers, body, self.client_address)  # pyright: ignore[reportArgumentType]
        self.server.requests.append(request)
        invocation = self.path.startswith(("/endpoints/", "/v2/"))
        answer = self.server.answer(request) if invocation else self.server.s3(request)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) + answer.cut))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()
        self.close_connection = self.close_connection or answer.close or bool(answer.cut)

    do_GET = do_HEAD = do_POST = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def running() -> Iterator[Server]:
    """A server on a free port of the loopback interface, ended afterwards."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def use_environment(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Points every AWS service of this process at `url`, with credentials of no account."""
    for name in (
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
