"""The refusal to reach anything but this machine."""

from __future__ import annotations

import urllib.parse
from typing import Final

from cohost.errors import CohostError

ONLY: Final = "this provider serves the local emulators only"
_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}


def require(name: str, url: str | None) -> str:
    """Returns a URL of this machine.

    Args:
        name: The variable that it stands in.
        url: The URL.

    Raises:
        CohostError: It is not set, or not on this machine.
    """
    if not url:
        raise CohostError(f"{name} is not set: {ONLY}")
    if urllib.parse.urlsplit(url).hostname not in _LOOPBACK:
        raise CohostError(f"{name}={url}: {ONLY}, on 127.0.0.1")
    return url
