"""moto's S3 and STS on the loopback interface, with a gate that holds uploads back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

REGION = "us-east-1"


class _Quiet(MotoRequestHandler):
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Logs nothing."""


class Gate:
    """Lets a number of uploads through, and holds the others until it is opened."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._let: float = float("inf")
        self.waiting = 0

    def let(self, count: int) -> None:
        """Lets so many more through, then none."""
        with self._changed:
            self._let = count
            self._changed.notify_all()

    def open(self) -> None:
        with self._changed:
            self._let = float("inf")
            self._changed.notify_all()

    def wait_for(self, waiting: int) -> None:
        """Waits until so many uploads stand before the gate."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.waiting >= waiting, timeout=60)

    def pass_through(self) -> None:
        with self._changed:
            self.waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._let > 0, timeout=120)
            self._let -= 1
            self.waiting -= 1


class S3:
    """The server, its gate, whether it lists, and the access keys that signed requests to S3."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.signers: set[str] = set()
        self.lists = True
        self._app = DomainDispatcherApplication(create_backend_app)
        self.server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server.server_port}",
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "NO_PROXY": "127.0.0.1",
        }

    @property
    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=REGION,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def _serve(self, environ: Any, respond: Any) -> Any:
        credential = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
        if len(credential) > 3 and credential[3] == "s3":
            self.signers.add(credential[0])
        if not self.lists and "list-type=2" in environ["QUERY_STRING"]:
            respond("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>no lists</Message></Error>"]
        if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].endswith(".tar.gz"):
            self.gate.pass_through()
        return self._app(environ, respond)


@contextmanager
def running() -> Iterator[S3]:
    s3 = S3()
    threading.Thread(target=s3.server.serve_forever, daemon=True).start()
    try:
        yield s3
    finally:
        s3.gate.open()
        s3.server.shutdown()
