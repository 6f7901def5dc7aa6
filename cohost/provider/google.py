"""Google Cloud as the plugin is configured: Application Default Credentials, or an account they impersonate.

Vertex AI is called over REST: its GAPIC clients build and check requests, and what they cannot do is plain JSON at
`/v1`. Both are found by gcloud's own property `api_endpoint_overrides/aiplatform` where it is set in the environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from cohost.provider.google_errors import GoogleError, failure_of, words
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE

if TYPE_CHECKING:
    from cohost.store import ObjectStore

__all__ = ["Google", "GoogleError", "GoogleSettings", "VertexClients", "endpoint_override", "words"]

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_S: Final = (10, 60)
_TRIES: Final = 4
# google.api_core retries these for reads (`retry.if_transient_error`), with 502 and 504, which proxies answer.
_TRANSIENT: Final = (429, 502, 503, 504)


@dataclass(frozen=True)
class GoogleSettings:
    """Provider configuration; never holds keys or tokens, because it is kept in the state.

    Attributes:
        impersonate: E-mail of a service account to act as, by the credentials of the environment, or None.
    """

    impersonate: str | None = None


class Google:
    """Makes clients of Vertex AI, of the store, and the credentials for both."""

    def __init__(self, settings: GoogleSettings | None = None) -> None:
        """Looks at nothing yet: a preview needs no credentials."""
        self._settings = settings or GoogleSettings()
        self._lock = RLock()
        self._clients: dict[str, VertexClients] = {}
        self._stores: dict[str, ObjectStore] = {}
        self._credentials: Any = None

    def credentials(self) -> Any:
        """The credentials of the environment, or those of the impersonated account.

        Raises:
            GoogleError: There are none.
        """
        with self._lock, words("looking for Google credentials"):
            if self._credentials is None:
                self._credentials = _credentials(self._settings)
            return self._credentials

    def clients(self, region: str) -> VertexClients:
        """The clients of Vertex AI in a region; made once, and safe to use from many threads."""
        with self._lock:
            if region not in self._clients:
                self._clients[region] = VertexClients(region, self.credentials())
            return self._clients[region]

    def store(self, url: str) -> ObjectStore:
        """The store of a `gs://` URL."""
        from cohost.gcs import GcsStore

        with self._lock:
            if url not in self._stores:
                self._stores[url] = GcsStore.open(url, credentials=self.credentials())
            return self._stores[url]

    def bucket_region(self, url: str) -> str:
        """The region of a `gs://` URL's bucket."""
        from cohost.gcs import GcsStore

        return GcsStore.open(url, credentials=self.credentials()).region()


def endpoint_override() -> str:
    """Where Vertex AI answers, in place of Google's own address; "" where that is left alone."""
    return os.environ.get(VERTEX_ENDPOINT_OVERRIDE, "").rstrip("/")


class VertexClients:
    """Vertex AI in one region."""

    def __init__(self, region: str, credentials: Any) -> None:
        """Connects to nothing yet.

        Args:
            region: As in "europe-west4".
            credentials: Of google-auth.
        """
        self.base: Final = endpoint_override() or f"https://{region}-aiplatform.googleapis.com"
        self._credentials = credentials
        self._lock = RLock()

    @property
    def models(self) -> Any:
        """The GAPIC ModelServiceClient (1 to 5 seconds for its first import)."""
        with self._lock:
            return self._models

    @property
    def endpoints(self) -> Any:
        """The GAPIC EndpointServiceClient (1 to 5 seconds for its first import)."""
        with self._lock:
            return self._endpoints

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """A JSON call; transient failures are tried again.

        Args:
            path: Below `/v1/`: "projects/p/locations/l/endpoints/1".
            query: Query parameters.

        Raises:
            GoogleError: Refused, or not reached.
        """
        return self._call("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A JSON call, tried again only when it certainly did not arrive.

        Args:
            path: Below `/v1/`, with the method: "projects/p/locations/l/operations/1:cancel".
            body: What is sent.

        Raises:
            GoogleError: Refused, or not reached.
        """
        return self._call("POST", path, json=body or {})

    def delete(self, path: str) -> dict[str, Any]:
        """A JSON call that deletes.

        Raises:
            GoogleError: Refused, or not reached.
        """
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        with words(f"calling {path}"):
            answer = self._session.request(method, f"{self.base}/v1/{path}", timeout=_TIMEOUT_S, **content)
            if answer.status_code >= 400:
                raise failure_of(answer)
            return answer.json() if answer.content else {}

    @cached_property
    def _session(self) -> Any:
        from google.auth.transport.requests import AuthorizedSession
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        # `connect` holds for every method: such a request has not arrived.
        retry = Retry(
            total=_TRIES,
            status_forcelist=_TRANSIENT,
            allowed_methods={"GET"},
            backoff_factor=0.3,
            raise_on_status=False,
        )
        session = AuthorizedSession(self._credentials)
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=32, max_retries=retry))
        return session

    @cached_property
    def _models(self) -> Any:
        from google.cloud.aiplatform_v1.services.model_service import ModelServiceClient

        return self._gapic(ModelServiceClient)

    @cached_property
    def _endpoints(self) -> Any:
        from google.cloud.aiplatform_v1.services.endpoint_service import EndpointServiceClient

        return self._gapic(EndpointServiceClient)

    def _gapic(self, client: Any) -> Any:
        from google.api_core.client_options import ClientOptions

        options = ClientOptions(api_endpoint=self.base)
        return client(transport="rest", credentials=self._credentials, client_options=options)


def _credentials(settings: GoogleSettings) -> Any:
    import google.auth

    found: Any = google.auth.default(scopes=[_SCOPE])[0]
    if settings.impersonate is None:
        return found
    from google.auth.impersonated_credentials import Credentials

    return Credentials(found, target_principal=settings.impersonate, target_scopes=[_SCOPE])
