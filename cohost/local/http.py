"""HTTP/1.1 on the loopback interface: requests in, responses out, no word of any cloud."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from cohost.local.process import LOOPBACK

_LOG: Final = logging.getLogger(__name__)
_CHUNK: Final = 1 << 20
_MAX_LINE: Final = 8192


@dataclass(frozen=True)
class Request:
    """A request as it came.

    Attributes:
        method: GET, POST, …
        path: The path, percent-decoded, without the query.
        query: The query's last value for each name.
        headers: Lower-case header names to values.
        body: The body; None when it was larger than the server takes.
        target: Path and query as sent.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = b""
    target: str = ""


@dataclass(frozen=True)
class Response:
    """A response; the length of its body is added on the way."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class MalformedError(Exception):
    """What came is not HTTP."""


class Server(ThreadingHTTPServer):
    """Answers each request by a function, each connection in a thread of its own."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, answer: Callable[[Request], Response], *, max_body: int = sys.maxsize) -> None:
        """Binds the port.

        Args:
            port: Port on 127.0.0.1; 0 = any free one.
            answer: Answers a request.
            max_body: Bytes of a body that are kept; of a larger one nothing is.

        Raises:
            OSError: The port is taken.
        """
        super().__init__((LOOPBACK, port), _Handler)
        self.answer, self.max_body = answer, max_body

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs what went wrong, unless the client has merely gone."""
        del request
        if not isinstance(sys.exc_info()[1], ConnectionError):
            _LOG.exception("a connection from %s failed", client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Head and body leave in one write.
    wbufsize = -1
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def _serve(self) -> None:
        try:
            body = self._read_body()
        except (MalformedError, ValueError) as error:
            self.close_connection = True
            self._send(Response(400, {"Content-Type": "text/plain"}, f"not a request: {error}".encode()))
            return
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, unquote(parts.path), query, headers, body, self.path)
        self._send(self.server.answer(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _serve  # noqa: N815

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:  # which must not have one (RFC 9110, 8.6)
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status != 204:
            self.wfile.write(response.body)
        self.wfile.flush()

    def _read_body(self) -> bytes | None:
        """Reads the whole body, so that the connection can go on, and keeps it unless it is too large."""
        kept: list[bytes] = []
        size = 0
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        for part in self._chunks() if chunked else self._plain():
            size += len(part)
            if size <= self.server.max_body:
                kept.append(part)
            else:
                kept.clear()
        return b"".join(kept) if size <= self.server.max_body else None

    def _plain(self) -> Any:
        length = int(self.headers.get("Content-Length", 0))
        if length < 0:
            raise MalformedError("negative Content-Length")
        yield from self._exactly(length)

    def _chunks(self) -> Any:
        while size := int(self._line().partition(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line():
            pass

    def _exactly(self, size: int) -> Any:
        while size:
            part = self.rfile.read(min(size, _CHUNK))
            if not part:
                raise MalformedError("the body is cut short")
            size -= len(part)
            yield part

    def _line(self) -> bytes:
        line = self.rfile.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            raise MalformedError("a line of the chunked body is cut short")
        return line.strip()

    def handle_expect_100(self) -> bool:
        """Says that the body may come; at once, since the client waits for it."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: errors are logged where they happen."""
