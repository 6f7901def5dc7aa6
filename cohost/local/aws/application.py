"""The WSGI application: one request at a time, recorded before it is answered."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SERVICES: Final = {
    "s3": "s3",
    "iam": "iam",
    "sts": "sts",
    "kms": "kms",
    "monitoring": "cloudwatch",
    "logs": "logs",
    "application-autoscaling": "applicationautoscaling",
}
"""Names that requests are signed for, and moto's names of those services."""

_ELSEWHERE: Final = {
    "sagemaker": "AWS_ENDPOINT_URL_SAGEMAKER",
    "servicequotas": "AWS_ENDPOINT_URL_SERVICE_QUOTAS",
    "ecr": "AWS_ENDPOINT_URL_ECR",
}
_SCOPE: Final = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_READS: Final = ("Get", "List", "Describe", "Filter", "Lookup", "Test", "Simulate")

log = logging.getLogger(__name__)


class Application:
    """Serves the supported services; everything else gets one clear error.

    Args:
        record: Called with (moto's service name, request, its body) after every request that may have changed
            something, before the answer is sent; what it raises becomes the answer.
    """

    def __init__(self, record: Callable[[str, WSGIEnvironment, bytes], None]) -> None:
        self._record = record
        self._moto = DomainDispatcherApplication(create_backend_app)
        # moto's backends are plain dictionaries without locks of their own.
        self._one_at_a_time = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        if environ["PATH_INFO"] == "/-/health":
            return _answer(start_response, "200 OK", "application/json", b'{"ok": true}')
        body = _take_body(environ)
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if scope is None:
            return _refuse(
                environ,
                start_response,
                "403 Forbidden",
                "MissingAuthenticationToken",
                "not signed with an Authorization header; presigned URLs are not supported here",
            )
        service = SERVICES.get(scope["service"])
        if service is None:
            return _refuse(
                environ, start_response, "501 Not Implemented", "NotSupportedHere", _advice(scope["service"])
            )
        return self._serve(service, environ, start_response, body)

    def _serve(
        self, service: str, environ: WSGIEnvironment, start_response: StartResponse, body: bytes
    ) -> Iterable[bytes]:
        try:
            with self._one_at_a_time:
                status, headers, answer = self._call(environ)
                if _changes(service, environ, body):
                    self._record(service, environ, body)
        except NotImplementedError as error:
            action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
            message = f"{service} {action or environ['REQUEST_METHOD']}: not supported here ({error})"
            return _refuse(environ, start_response, "501 Not Implemented", "NotSupportedHere", message)
        except Exception as error:
            log.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            message = f"{type(error).__name__}: {error}"
            # Not 5xx: clients would repeat a request that fails the same way each time.
            return _refuse(environ, start_response, "400 Bad Request", "EmulatorError", message)
        start_response(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else answer

    def _call(self, environ: WSGIEnvironment) -> tuple[str, list[tuple[str, str]], list[bytes]]:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            del exc_info
            started.append((status, headers))

        response = self._moto(environ, start)
        try:
            answer = list(response)
        finally:
            if close := getattr(response, "close", None):
                close()
        status, headers = started[-1]
        return status, headers, answer


def _take_body(environ: WSGIEnvironment) -> bytes:
    """Reads the whole body, so that a slow sender holds nobody up, and lays it back."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        body = environ["wsgi.input"].read(int(length))
    elif environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read()
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
    else:
        body = b""
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _changes(service: str, environ: WSGIEnvironment, body: bytes) -> bool:
    if service == "s3":
        return environ["REQUEST_METHOD"] not in {"GET", "HEAD"}
    action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if not action and (found := re.search(rb"(?:^|&)Action=(\w+)", body)):
        action = found[1].decode()
    return not action.startswith(_READS)


def _advice(service: str) -> str:
    variable = _ELSEWHERE.get(service)
    if variable:
        return f"{service} is served by another emulator: set {variable}"
    return f"{service} is not supported here; supported are {', '.join(sorted(SERVICES))}"


def _refuse(
    environ: WSGIEnvironment, start_response: StartResponse, status: str, code: str, message: str
) -> Iterable[bytes]:
    """Answers an error in the form the request's protocol expects."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    error = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        kind, body = "application/xml", f"<ErrorResponse>{error}</ErrorResponse>"
    elif scope is None or scope["service"] == "s3":
        kind, body = "application/xml", error
    else:
        kind, body = "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
    return _answer(start_response, status, kind, body.encode(), [("x-amzn-errortype", code)])


def _answer(
    start_response: StartResponse,
    status: str,
    kind: str,
    body: bytes,
    more: Iterable[tuple[str, str]] = (),
) -> Iterable[bytes]:
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *more])
    return [body]
