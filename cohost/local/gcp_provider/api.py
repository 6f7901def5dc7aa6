"""JSON over HTTP to the emulators."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from cohost.client.google_auth import GoogleAuthorization
from cohost.errors import DeploymentError

_CREDENTIALS: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_TIMEOUT_SECONDS: Final = 60


class Refused(Exception):
    """The service answered with an error.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """A service; all methods may be called from many threads."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet.

        Args:
            url: Where it answers.
        """
        self._url = url.rstrip("/")
        # Loopback addresses never go through a proxy of the user's.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._authorization = GoogleAuthorization() if os.environ.get(_CREDENTIALS) else None

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: str | None
    ) -> dict[str, Any]:
        """Returns what the service answers; nothing is an empty object.

        Args:
            method: GET, POST, PATCH or DELETE.
            path: Below the service's address, percent-encoded where need be.
            body: What to send.
            query: Query parameters; those that are None are left out.

        Raises:
            Refused: It answered with an error.
            DeploymentError: It cannot be reached.
        """
        given = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
        url = f"{self._url}/{path}" + (f"?{given}" if given else "")
        headers = {"Content-Type": "application/json", **(self._authorization.headers() if self._authorization else {})}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise Refused(error.code, _words(error.read()) or f"{method} {path}: HTTP {error.code}") from error
        except OSError as error:
            raise DeploymentError(f"{self._url} cannot be reached: {error}") from error


def _words(body: bytes) -> str:
    """Returns the message of Google's error body; empty when it is none."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
