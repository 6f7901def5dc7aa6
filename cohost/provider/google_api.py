"""Calls of Google's other services, which answer plain JSON: quotas, APIs, images, policies of a project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from cohost.provider.google import words

_TIMEOUT_S: Final = (3, 10)


def override(service: str) -> str:
    """The variable of gcloud's own property `api_endpoint_overrides/<service>`, which this project follows.

    Args:
        service: As in "serviceusage".
    """
    return f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}"


def call(
    credentials: Any,
    service: str,
    path: str,
    *,
    doing: str,
    method: str = "GET",
    query: Mapping[str, Any] | None = None,
    host: str | None = None,
) -> dict[str, Any]:
    """One call, tried once, and given up after a few seconds.

    Args:
        credentials: Of google-auth.
        service: As in "serviceusage"; its address is `https://<service>.googleapis.com` unless overridden.
        path: With the version, percent-encoded: "v1/projects/p/services:batchGet".
        doing: What is tried, for the message: "asking the Service Usage API".
        method: GET, or POST for reads that take a body, which is empty here.
        query: Query parameters; a list is sent as one of each.
        host: The first part of the address, where it is not the service's name: "europe-west4-aiplatform".

    Raises:
        GoogleError: Refused, or not reached.
    """
    from google.api_core.exceptions import from_http_response
    from google.auth.transport.requests import AuthorizedSession

    base = os.environ.get(override(service), "").rstrip("/") or f"https://{host or service}.googleapis.com"
    with words(doing):
        # Its own signature knows a number of seconds only, that of requests also one for each half.
        session: Any = AuthorizedSession(credentials)
        with session:
            answer = session.request(method, f"{base}/{path}", params=query, timeout=_TIMEOUT_S)
        if answer.status_code >= 400:
            raise from_http_response(answer)
        return answer.json()


def listed(
    credentials: Any, service: str, path: str, *, of: str, doing: str, query: Mapping[str, Any], host: str | None = None
) -> list[dict[str, Any]]:
    """Every item of a list, page by page.

    Args:
        credentials: As of `call`, as all that is not said here.
        service: See there.
        path: See there.
        of: The field that holds the items: "endpoints".
        doing: See there.
        query: See there.
        host: See there.

    Raises:
        GoogleError: Refused, or not reached.
    """
    items: list[dict[str, Any]] = []
    token = ""
    while True:
        asked = {**query, **({"pageToken": token} if token else {})}
        page = call(credentials, service, path, doing=doing, query=asked, host=host)
        items += page.get(of, [])
        token = page.get("nextPageToken", "")
        if not token:
            return items
