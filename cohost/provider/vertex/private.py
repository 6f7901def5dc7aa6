"""The way to an endpoint by private service connect: whether it is there, before anybody's calls are changed.

Source: "Use dedicated private endpoints based on Private Service Connect for online inference" (Google's
documentation): the service attachment comes with the first deployed model, and a forwarding rule to it is the user's.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cohost.errors import DeploymentError, Problem
from cohost.vertex_endpoint import PRIVATE_ADDRESS

if TYPE_CHECKING:
    from cohost.provider.context import Context
    from cohost.provider.vertex.traffic import Endpoint

_CONNECT_S: Final = 5.0
# A new forwarding rule takes a moment until it passes anything on.
_PATIENCE_S: Final = 60.0
_PORTS: Final = {"http": 80, "https": 443}


def address(path: str, value: Any) -> Iterator[Problem]:
    """Validates where a private endpoint answers."""
    if not isinstance(value, str) or not re.fullmatch(PRIVATE_ADDRESS, value):
        yield Problem("", path, f"is {value!r}; http:// or https:// and a name or an IPv4 address are expected")


def ensure_reachable(context: Context, endpoint: Endpoint, url: str) -> None:
    """Makes sure that something answers at an endpoint's private address, from here.

    Args:
        context: The operation.
        endpoint: The endpoint, for the remedy.
        url: Scheme and host, and a port if it is another than the scheme's own.

    Raises:
        DeploymentError: Nothing does; with the command that makes the way.
        OperationCancelled: The operation must end first.
    """
    parts, begin = urlsplit(url), time.monotonic()
    where = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
    for _ in context.polls(f"waiting for {url}"):
        try:
            socket.create_connection(where, _CONNECT_S).close()
            return
        except OSError as error:
            if time.monotonic() - begin > _PATIENCE_S:
                raise DeploymentError(_unreachable(endpoint, url, error)) from error
            context.status(f"waiting for {url}: {error}")
    raise AssertionError("polls ends by an exception only")


def _unreachable(endpoint: Endpoint, url: str, error: OSError) -> str:
    attachment = endpoint.service_attachment or "<serviceAttachment in `gcloud ai endpoints describe`>"
    return (
        f"nothing answers at {url} ({error}): deploy from a machine in a network that has a forwarding rule to this "
        "endpoint, `gcloud compute forwarding-rules create <name> --region <region> --network <network> "
        f"--address <reserved address> --target-service-attachment {attachment}`; with the rule there, run `up` again "
        "(docs/configuration.md, endpoint.address)"
    )
