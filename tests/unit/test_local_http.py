from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from cohost.local.http import Request, Response, Server

LIMIT = 10


@pytest.fixture
def server() -> Iterator[Server]:
    """Answers with what it was asked."""

    def answer(request: Request) -> Response:
        body = b"too large" if request.body is None else request.body
        own = {"X-Path": request.path, "X-Query": request.query.get("q", ""), "X-Target": request.target}
        return Response(204 if request.path == "/nothing" else 200, own, body)

    with Server(0, answer, max_body=LIMIT) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_it_listens_on_the_loopback_interface_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_one_connection_carries_many_requests_whatever_their_bodies(server: Server) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)) as connection:
        connection.connect()
        opened = connection.sock
        for body, chunked, seen in [
            (b"plain", False, b"plain"),
            ([b"in ", b"chunks"], True, b"in chunks"),
            (bytes(LIMIT + 1), False, b"too large"),
            ([bytes(LIMIT), bytes(LIMIT)], True, b"too large"),
            (b"", False, b""),
        ]:
            connection.request("POST", "/a%20b?q=1", body=body, encode_chunked=chunked, headers=headers(chunked))
            answer = connection.getresponse()
            assert answer.read() == seen
            assert (answer.headers["X-Path"], answer.headers["X-Query"]) == ("/a b", "1")
            assert answer.headers["X-Target"] == "/a%20b?q=1"
            assert connection.sock is opened


def test_an_answer_without_content_says_nothing_of_its_length(server: Server) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)) as connection:
        for _ in range(2):
            connection.request("GET", "/nothing")
            answer = connection.getresponse()
            assert (answer.status, answer.read(), answer.headers["Content-Length"]) == (204, b"", None)


def headers(chunked: bool) -> dict[str, str]:
    return {"Transfer-Encoding": "chunked"} if chunked else {}


def test_a_client_that_asks_before_it_sends_its_body_is_told_to_go_on(server: Server) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.server_port), timeout=20)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"body")
        assert connection.recv(1000).endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(server: Server, request_bytes: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.server_port), timeout=20)) as connection:
        connection.sendall(request_bytes)
        with connection.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 400 ")
