"""The headers that authorise a call to Google Cloud, kept ready and renewed in time.

google-auth knows every kind of credentials, but leaves open which thread renews them, and makes the headers anew for
each call. Here a call reads one attribute, and one thread at a time renews.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from cohost.client.errors import AccessDenied, PredictionError, Retry, ServerError

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
# google-auth's own margin (`_helpers.REFRESH_THRESHOLD`): a metadata server gives the same token again before it.
_MARGIN_S: Final = 225.0
_AGAIN_S: Final = 5.0
_TIMEOUT_S: Final = 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Authorization:
    """Headers, when to renew them, and when they are of no more use, in seconds of the epoch."""

    headers: Mapping[str, str]
    renew: float
    end: float


class GoogleAuthorization:
    """The authorisation of calls; all methods may be called from many threads."""

    def __init__(self, credentials: Any = None) -> None:
        """Looks for nothing yet.

        Args:
            credentials: google-auth's credentials; None = Application Default Credentials of the environment.
        """
        self._credentials = credentials
        self._lock = threading.Lock()
        self._known: _Authorization | None = None

    def headers(self) -> Mapping[str, str]:
        """The headers of a call made now; renewed a few minutes before their token ends.

        Raises:
            AccessDenied: There are no credentials, or they are refused.
            ServerError: Whoever gives tokens cannot be reached.
        """
        known = self._known
        if known is not None and time.time() < known.renew:
            return known.headers
        return self._renewed(known)

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Asks for another token after a call with these headers was refused: it may have been revoked.

        Returns:
            Whether there are other headers now.
        """
        with self._lock:
            known = self._known
            if known is not None and known.headers is refused:
                if math.isinf(known.end):
                    return False
                try:
                    self._known = self._ask()
                except PredictionError as error:
                    _log.warning("%s", error)
                    return False
        return True

    def _renewed(self, known: _Authorization | None) -> Mapping[str, str]:
        usable = known if known is not None and time.time() < known.end else None
        # Who still has a token that holds does not wait for the thread that asks for the next one.
        if not self._lock.acquire(blocking=usable is None):
            assert usable is not None
            return usable.headers
        try:
            current = self._known
            if current is None or time.time() >= current.renew:
                current = self._known = self._next(usable)
            return current.headers
        finally:
            self._lock.release()

    def _next(self, usable: _Authorization | None) -> _Authorization:
        try:
            return self._ask(first=self._known is None)
        except PredictionError as error:
            if usable is None:
                raise
            _log.warning("the token stays until it ends: %s", error)
            return replace(usable, renew=time.time() + _AGAIN_S)

    def _ask(self, *, first: bool = False) -> _Authorization:
        """Headers with a new token, or on the first call with that which the credentials already hold."""
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
        from google.auth.transport.requests import Request

        try:
            credentials = self._found()
            if not (first and credentials.valid):
                credentials.refresh(partial(Request(), timeout=_TIMEOUT_S))
        except DefaultCredentialsError as error:
            remedy = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
            raise AccessDenied(f"Google credentials: {_line(error)}; {remedy}") from error
        except TransportError as error:
            raise ServerError(f"Google credentials: {_line(error)}", retry=Retry.BRIEFLY) from error
        except GoogleAuthError as error:
            raise AccessDenied(f"Google credentials: {_line(error)}") from error
        headers: dict[str, str] = {}
        credentials.apply(headers)
        return _authorization(headers, credentials.expiry)

    def _found(self) -> Any:
        if self._credentials is None:
            import google.auth

            self._credentials = google.auth.default(scopes=[_SCOPE])[0]
        return self._credentials


def _authorization(headers: Mapping[str, str], expiry: datetime | None) -> _Authorization:
    """Headers with a token that ends at `expiry`, which google-auth gives in UTC without saying so."""
    if expiry is None:
        return _Authorization(headers, math.inf, math.inf)
    now, end = time.time(), expiry.replace(tzinfo=UTC).timestamp()
    return _Authorization(headers, max(end - _MARGIN_S, (now + end) / 2), end)


def _line(error: Exception) -> str:
    """google-auth's words without the details it adds as further arguments, in one line."""
    return " ".join(str(error.args[0] if error.args else error).split())
