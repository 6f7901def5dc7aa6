"""Reading the price lists over the network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import urllib3

from cohost.errors import CohostError

_SECONDS: Final = 120
_PAGE: Final = 5000
_POOL: Final = urllib3.PoolManager(timeout=_SECONDS, retries=urllib3.Retry(3, backoff_factor=1))


def document(address: str) -> Any:
    """Returns a JSON document.

    Raises:
        CohostError: It cannot be had.
    """
    return json.loads(_get(address).data)


def lines(address: str) -> Iterator[str]:
    """Yields the lines of a text while it arrives.

    Raises:
        CohostError: It cannot be had.
    """
    answer = _get(address, preload_content=False)
    try:
        rest = b""
        for chunk in answer.stream(1 << 20):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode() + "\n" for line in whole)
        if rest:
            yield rest.decode()
    finally:
        answer.release_conn()


def skus(address: str, key: str) -> Iterator[dict[str, Any]]:
    """Yields the SKUs of a service of the Cloud Billing Catalog, page after page.

    Args:
        address: Of the service's SKUs.
        key: An API key; it goes into a header, so that no message about an address shows it.

    Raises:
        CohostError: They cannot be had.
    """
    token = ""
    while True:
        query = {"currencyCode": "USD", "pageSize": str(_PAGE)} | ({"pageToken": token} if token else {})
        page = json.loads(_get(address, fields=query, headers={"X-Goog-Api-Key": key}).data)
        yield from page.get("skus", [])
        token = page.get("nextPageToken", "")
        if not token:
            return


def _get(address: str, **how: Any) -> urllib3.BaseHTTPResponse:
    try:
        answer = _POOL.request("GET", address, **how)
    except urllib3.exceptions.HTTPError as error:
        raise CohostError(f"{address}: {error}") from None
    if answer.status != 200:
        raise CohostError(f"{address} answers {answer.status}")
    return answer
