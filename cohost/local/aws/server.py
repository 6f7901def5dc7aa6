"""The process: resources restored, IAM enforced, the port opened, then requests until the end."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Read when moto is imported: no cross-origin access for pages of a browser on this machine.
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from cohost.local import process
from cohost.local.aws import account, faithful, s3_requests
from cohost.local.aws.application import Application
from cohost.local.aws.persistence import Persistence

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def serve(folder: Path, port: int, end: threading.Event) -> None:
    """Serves the account kept in a folder, and prints the ready line.

    Args:
        folder: The state folder; made when missing.
        port: Port on 127.0.0.1; 0 for any free one.
        end: Ends the service when set.

    Raises:
        CohostError: The folder holds something that cannot be read.
        OSError: The port is taken.
    """
    faithful.apply()
    persistence = Persistence(folder)
    persistence.restore()
    if account.ensure_administrator():
        persistence.record_service("iam")
    account.write_credentials(folder)
    _enforce_iam()

    def record(service: str, environ: WSGIEnvironment, body: bytes) -> None:
        if service == "s3":
            named = s3_requests.named(environ, body)
            persistence.record_objects(named.bucket, named.keys, named.upload, named.part)
        else:
            persistence.record_service(service)

    server = make_server(process.LOOPBACK, port, Application(record), threaded=True, request_handler=_Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    process.announce(server.server_port)
    end.wait()
    server.shutdown()
    persistence.close()


def _enforce_iam() -> None:
    """Has moto check every request's signature and the caller's policies, from the first request on."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0


class _Handler(MotoRequestHandler):
    # Head and body go out in two writes; without this the second waits for the first one's acknowledgement.
    disable_nagle_algorithm = True

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Logs nothing: errors are logged where they happen."""
