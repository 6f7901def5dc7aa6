"""A request and a response as gcp-storage-emulator's handlers take them, without its web server.

Its own request parses bodies with the standard library's mail parser, line by line, which takes minutes for the
weights of a model; and JSON objects that are uploaded as media would be parsed and lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from cohost.local.gcs.storage import Asked, Refused

_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)')
_HASH: Final = re.compile(r"(crc32c|md5)=([\w+/]+=*)")


class Call:
    """One request.

    Attributes:
        method: GET, POST, …
        path: The path, percent-encoded, without the query.
        query: Values of the query by name.
        params: Names in the path, decoded; set by whoever finds the route.
        data: The body as its handler wants it: an object, bytes, or the parts of a multipart upload.
        base_url: Where this service answers, as the caller named it.
        full_url: The whole URL.
    """

    def __init__(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        """Takes a request.

        Args:
            method: Its method.
            target: Path and query as sent.
            headers: By lower-case name.
            body: As sent.

        Raises:
            Refused: The body is not what it is said to be.
        """
        self.method = method
        self._headers = headers
        self.base_url = f"http://{headers.get('host', '')}"
        self.full_url = self.base_url + target
        parts = urlsplit(self.full_url)
        self.path = parts.path
        self.query = parse_qs(parts.query, keep_blank_values=True)
        self.params: dict[str, str] = {}
        self.data = self._parsed(body)

    def match(self, found: re.Match[str]) -> None:
        """Takes the names in the path from the route's match."""
        self.params = {name: unquote(value) for name, value in found.groupdict().items()}

    def get_header(self, name: str, default: Any = None) -> Any:
        """Returns a header."""
        return self._headers.get(name.lower(), default)

    def one(self, name: str) -> str | None:
        """Returns a value of the query; None when it is not there."""
        return self.query[name][-1] if name in self.query else None

    def asked(self) -> Asked:
        """Returns what the request says of versions and checksums."""
        return Asked(
            generation=self.one("generation"),
            source_generation=self.one("sourceGeneration"),
            if_match=self.one("ifGenerationMatch"),
            if_not_match=self.one("ifGenerationNotMatch"),
            if_source_match=self.one("ifSourceGenerationMatch"),
            versions=(self.one("versions") or "").lower() == "true",
            hashes=dict(_HASH.findall(self.get_header("x-goog-hash", ""))),
        )

    def _parsed(self, body: bytes) -> Any:
        kind = self.get_header("content-type", "")
        if "upload_id" in self.query or self.one("uploadType") == "media":
            return body
        if kind.startswith("multipart/related"):
            return _parts(kind, body)
        if kind.startswith("application/json") and body:
            return _json(body)
        return body or None


@dataclass
class Answer:
    """The response to one request.

    Attributes:
        status: HTTP status; the handlers set it.
        headers: Names to values.
        body: The bytes.
    """

    status: Any = HTTPStatus.OK
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __setitem__(self, name: str, value: str) -> None:
        self.headers[name] = value

    def json(self, value: Any) -> None:
        """Answers JSON."""
        self["Content-Type"] = "application/json; charset=UTF-8"
        self.body = json.dumps(value).encode()

    def write(self, text: str) -> None:
        """Answers text."""
        self.body += text.encode()

    def write_file(self, content: bytes, content_type: str | None = None) -> None:
        """Answers bytes."""
        self["Content-Type"] = content_type or "application/octet-stream"
        self.body = content


def refusal(error: Refused) -> Answer:
    """Returns an error as Google words it ("JSON API: HTTP status and error codes")."""
    message = str(error)
    answer = Answer(error.status)
    errors = [{"message": message, "domain": "global", "reason": error.reason}]
    answer.json({"error": {"code": error.status.value, "message": message, "errors": errors}})
    return answer


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "parseError", f"Parse Error: {error}") from error


def _parts(kind: str, body: bytes) -> dict[str, Any]:
    """Takes a multipart upload apart: a part of JSON, then one of bytes, which may hold anything."""
    boundary = _BOUNDARY.search(kind)
    delimiter = b"--" + boundary[1].encode() if boundary else b"--"
    first = body.find(delimiter)
    second = body.find(b"\r\n" + delimiter, first + 1)
    last = body.rfind(b"\r\n" + delimiter + b"--")
    if boundary is None or first < 0 or not first < second < last:
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid", "Multipart body does not contain 2 parts.")
    _, meta = _part(body[first + len(delimiter) : second])
    head, content = _part(body[second + 2 + len(delimiter) : last])
    found = re.search(rb"(?i)^content-type:\s*([^\r\n]+)", head, re.MULTILINE)
    return {
        "meta": _json(meta),
        "content": content,
        "content-type": found[1].decode() if found else "application/octet-stream",
    }


def _part(part: bytes) -> tuple[bytes, bytes]:
    head, _, content = part.partition(b"\r\n\r\n")
    return head.strip(), content
