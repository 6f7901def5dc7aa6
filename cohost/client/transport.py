"""What every transport has in common: the protocol, pooled connections, retries within a deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from numpy.typing import NDArray

from cohost.client.errors import PredictionError, Retry, ServerError
from cohost.client.tensors import Arrays

# A model may need up to 360 s to load on SageMaker; a caller who waits that long says so.
DEFAULT_TIMEOUT: Final = 120.0
# SageMaker ends a response after 60 s and advises a socket timeout of 70 s (API reference of InvokeEndpoint).
ATTEMPT_TIMEOUT: Final = 70.0

_CONNECT_TIMEOUT: Final = 10.0
_CONNECTIONS: Final = 64
_BRIEF_TRIES: Final = 4
_FIRST_BACKOFF: Final = 0.1
_LONGEST_BACKOFF: Final = 5.0

T = TypeVar("T")


class Transport(Protocol):
    """A platform that serves models. All methods may be called from many threads."""

    def infer(self, target: str, inputs: Arrays, *, timeout: float = DEFAULT_TIMEOUT) -> dict[str, NDArray[Any]]:
        """The outputs of one call, retried where the platform says so.

        Args:
            target: What the platform calls the model.
            inputs: Array by input name.
            timeout: Seconds for everything, retries included.

        Raises:
            PredictionError: As its subclasses tell.
        """
        ...

    def target(self, model: str, version: str) -> str:
        """What the platform calls a model at a version other than the active one.

        Raises:
            PredictionError: The platform cannot reach it.
        """
        ...

    def close(self) -> None:
        """Closes the connections; the transport is of no more use."""
        ...


@dataclass(frozen=True)
class Reply:
    """An HTTP response, read to its end.

    Attributes:
        status: The HTTP status.
        headers: Its headers; names in any case.
        body: Its body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """Kept-alive connections to one server."""

    def __init__(self, url: str, *, ca_bundle: str | None = None) -> None:
        """Prepares the pool; connects to nothing yet.

        Args:
            url: Scheme, host and port.
            ca_bundle: File of trusted certificates; None = the system's.
        """
        self._where = url
        options: dict[str, Any] = {"maxsize": _CONNECTIONS}
        if url.startswith("https:") and ca_bundle:
            options["ca_certs"] = ca_bundle
        proxy = _proxy(url)
        manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
        self._pool = manager.connection_from_url(url)

    def send(self, method: str, path: str, *, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Reply:
        """Sends one request, once.

        Raises:
            ServerError: No answer. To be retried briefly where no byte of a response had come: a prediction
                changes nothing, so a request that was lost with its connection may be sent again.
        """
        seconds = max(min(timeout, ATTEMPT_TIMEOUT), 0.001)
        try:
            response = self._pool.urlopen(
                method,
                path,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=min(seconds, _CONNECT_TIMEOUT), read=seconds),
            )
        except urllib3.exceptions.ReadTimeoutError as error:
            raise ServerError(f"{self._where}: no answer within {seconds:.3g} s") from error
        except (urllib3.exceptions.NameResolutionError, urllib3.exceptions.SSLError) as error:
            raise ServerError(f"{self._where}: {error}") from error
        except urllib3.exceptions.HTTPError as error:
            raise ServerError(f"{self._where}: {error}", retry=Retry.BRIEFLY) from error
        try:
            return Reply(response.status, response.headers, response.read())
        except urllib3.exceptions.HTTPError as error:
            raise ServerError(f"{self._where}: the answer broke off: {error}") from error

    def close(self) -> None:
        """Closes the connections; the pool is of no more use."""
        self._pool.close()


def with_retries(attempt: Callable[[float], T], timeout: float) -> T:
    """Calls `attempt` with the seconds left until it succeeds, fails for good, or the deadline has come.

    Waits between tries grow exponentially with full jitter
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Raises:
        PredictionError: The last try's.
    """
    deadline = time.monotonic() + timeout
    tries = 0
    while True:
        tries += 1
        try:
            return attempt(deadline - time.monotonic())
        except PredictionError as error:
            wait = random.uniform(0, min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(tries, 10)))
            brief = error.retry is Retry.BRIEFLY and tries >= _BRIEF_TRIES
            if error.retry is Retry.NEVER or brief:
                raise
            if time.monotonic() + wait >= deadline:
                words = f"{error} (gave up after {tries} tries in {timeout:g} s)"
                raise type(error)(words, deployed_model=error.deployed_model) from error
        time.sleep(wait)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a TLS connection, as boto3 would use it."""
    parts = urlsplit(url)
    if parts.scheme != "https" or proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get("https")
