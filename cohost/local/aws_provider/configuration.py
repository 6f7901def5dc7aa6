"""The provider's own configuration, and the refusal to reach anything but this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, Final

from cohost.errors import CohostError
from cohost.local.aws_provider.resource import Session
from cohost.local.bridge import loopback

_ENDPOINT: Final = "AWS_ENDPOINT_URL"
_IGNORED: Final = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


def session(given: Mapping[str, Any], environment: Mapping[str, str], cancelled: threading.Event) -> Session:
    """Returns a configured provider.

    Args:
        given: The provider's configuration, its names with or without "aws:config:".
        environment: Where the endpoints stand, and the region where the configuration has none.
        cancelled: Set when the deployment is cancelled.

    Raises:
        CohostError: There is no region, or an endpoint that is not on this machine.
    """
    _require_loopback(environment)
    options = {name.rpartition(":")[2]: value for name, value in given.items()}
    region = options.get("region") or environment.get("AWS_REGION")
    if not region:
        raise CohostError("missing required configuration key aws:region: the region to work in")
    return Session(region, _default_tags(options), cancelled)


def _default_tags(options: Mapping[str, Any]) -> dict[str, str]:
    given = options.get("defaultTags") or {}
    parsed = json.loads(given) if isinstance(given, str) else given
    return dict(parsed.get("tags") or {})


def _require_loopback(environment: Mapping[str, str]) -> None:
    if environment.get(_IGNORED, "").lower() == "true":
        raise CohostError(f"{_IGNORED} is set: {loopback.ONLY}")
    loopback.require(_ENDPOINT, environment.get(_ENDPOINT))
    for name, url in environment.items():
        if name.startswith(_ENDPOINT) and url:
            loopback.require(name, url)
