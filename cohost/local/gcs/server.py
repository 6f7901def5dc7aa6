"""The process: the state opened, the port bound, then requests until the end."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

from cohost.local import process
from cohost.local.gcs.application import Application
from cohost.local.gcs.storage import Objects
from cohost.local.http import Request, Response, Server

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
    with process.alone(folder):
        storage = Objects(folder)
        application = Application(storage)
        server = Server(port, lambda request: _answered(application, request))
        threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        process.announce(server.server_port)
        end.wait()
        server.shutdown()
        storage.close()


def _answered(application: Application, request: Request) -> Response:
    answer = application.answer(request.method, request.target, request.headers, request.body or b"")
    return Response(int(answer.status), answer.headers, answer.body)
