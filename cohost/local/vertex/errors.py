"""What the emulated service refuses, as Google's clients expect to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.rpc import code_pb2

# google.rpc.Code's comments: the HTTP status of each code.
_HTTP: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class VertexError(Exception):
    """An answer other than success, or the end of an operation that failed.

    Attributes:
        status: Name of the google.rpc.Code, such as FAILED_PRECONDITION.
        message: Text for the caller.
        details: Messages of google.rpc as JSON, each with its `@type`.
        http: HTTP status; that of the code unless the container answered with another.
        headers: Headers of the answer beside those of every error.
    """

    def __init__(
        self,
        status: str,
        message: str,
        *,
        details: Sequence[dict[str, Any]] = (),
        http: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = list(details)
        self.http = http or _HTTP.get(status, 500)
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The body of the answer (google.aip.dev/193)."""
        error = {"code": self.http, "message": self.message, "status": self.status}
        return {"error": {**error, **({"details": self.details} if self.details else {})}}

    def rpc(self) -> dict[str, Any]:
        """The `error` of an operation: google.rpc.Status, whose code is gRPC's number."""
        error: dict[str, Any] = {"code": code_pb2.Code.Value(self.status), "message": self.message}
        return {**error, **({"details": self.details} if self.details else {})}


def status_of(http: int) -> str:
    """Returns the name of the code that an HTTP status stands for."""
    return next((name for name, number in _HTTP.items() if number == http), "INTERNAL" if http >= 500 else "UNKNOWN")


def invalid(message: str) -> VertexError:
    """The refusal of a request that is wrong whatever the state of things."""
    return VertexError("INVALID_ARGUMENT", message)


def precondition(message: str) -> VertexError:
    """The refusal of a request that is wrong as things stand."""
    return VertexError("FAILED_PRECONDITION", message)


def malformed(message: str) -> VertexError:
    """The refusal of a body that is not the JSON of the method's request."""
    text = f"Invalid JSON payload received. {message}"
    violation = {"description": text}
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
    return VertexError("INVALID_ARGUMENT", text, details=details)


def missing(kind: str, name: str) -> VertexError:
    """The answer about something that does not exist."""
    return VertexError("NOT_FOUND", f"{kind} `{name}` not found.")


def unsupported(what: str) -> VertexError:
    """The answer to whatever Vertex AI does and this emulator does not."""
    return VertexError("UNIMPLEMENTED", f"{what} is not supported here: this is the local Vertex AI")


def over_quota(metric: str) -> VertexError:
    """The answer when a project's quota does not cover what was asked for (vertex-ai-samples#3479)."""
    return VertexError(
        "RESOURCE_EXHAUSTED",
        f"The following quota metrics exceed quota limits: aiplatform.googleapis.com/{metric}",
    )
