"""The process: the state opened, the port bound, then requests until the end."""

from __future__ import annotations

import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from cohost.errors import CohostError
from cohost.folder_lock import held
from cohost.local import process
from cohost.local.gcs.application import Application
from cohost.local.gcs.storage import Objects

_LOG: Final = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.05


def serve(folder: Path, port: int, end: threading.Event) -> None:
    """Serves the buckets kept in a folder, and prints the ready line.

    Args:
        folder: The state folder; made when missing.
        port: Port on 127.0.0.1; 0 for any free one.
        end: Ends the service when set.

    Raises:
        CohostError: Another process serves the folder.
        OSError: The port is taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The emulator's handlers log every miss as an error.
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    logging.getLogger("api").setLevel(logging.CRITICAL)
    with held(folder, wait=False) as alone:
        if not alone:
            raise CohostError(f"another process serves {folder}")
        storage = Objects(folder)
        server = _Server(port, Application(storage))
        threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        process.announce(server.server_port)
        end.wait()
        server.shutdown()
        storage.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, application: Application) -> None:
        super().__init__((process.LOOPBACK, port), _Handler)
        self.application = application

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs what went wrong, unless the client has merely gone."""
        del request
        if not isinstance(sys.exc_info()[1], ConnectionError):
            _LOG.exception("a connection from %s failed", client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go out in two writes; without this the second waits for the first one's acknowledgement.
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def _serve(self) -> None:
        body = self._body()
        if body is None:  # the client has gone in the middle of it: nothing of it counts
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.application.answer(self.command, self.path, headers, body)
        self.send_response(int(answer.status))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if len(answer.body):
            self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunked()
        return self._exactly(int(self.headers.get("Content-Length", 0)))

    def _chunked(self) -> bytes | None:
        parts: list[bytes] = []
        while size := int(self.rfile.readline().partition(b";")[0].strip() or b"0", 16):
            part = self._exactly(size)
            if part is None:
                return None
            parts.append(part)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _exactly(self, size: int) -> bytes | None:
        body = self.rfile.read(size)
        return body if len(body) == size else None

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: errors are logged where they happen."""
