"""The provider's own configuration, and where it finds the local Google Cloud."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cohost.errors import CohostError
from cohost.local.bridge import loopback
from cohost.local.gcp_provider.api import Api
from cohost.local.gcp_provider.ledger import Ledger
from cohost.local.gcp_provider.resource import Session
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE

_STORAGE: Final = "STORAGE_EMULATOR_HOST"
_STATE: Final = "COHOST_LOCAL_GCP_STATE"


def session(given: Mapping[str, Any], environment: Mapping[str, str], cancelled: threading.Event) -> Session:
    """Returns a configured provider.

    Args:
        given: The provider's configuration, its names with or without "gcp:config:".
        environment: Where the endpoints stand, and project and region where the configuration has none.
        cancelled: Set when the deployment is cancelled.

    Raises:
        CohostError: There is no project or region, or an endpoint that is not on this machine.
    """
    storage = loopback.require(_STORAGE, environment.get(_STORAGE))
    vertex = loopback.require(VERTEX_ENDPOINT_OVERRIDE, environment.get(VERTEX_ENDPOINT_OVERRIDE))
    folder = environment.get(_STATE)
    if not folder:
        raise CohostError(f"{_STATE} is not set: {loopback.ONLY}")
    options = {name.rpartition(":")[2]: value for name, value in given.items()}
    return Session(
        project=options.get("project") or _from(environment, "project", "GOOGLE_CLOUD_PROJECT", "GOOGLE_PROJECT"),
        region=options.get("region") or _from(environment, "region", "GOOGLE_CLOUD_REGION", "GOOGLE_REGION"),
        default_labels=_map(options.get("defaultLabels")),
        cancelled=cancelled,
        storage=Api(storage),
        vertex=Api(vertex),
        ledger=Ledger(Path(folder)),
    )


def _from(environment: Mapping[str, str], what: str, *names: str) -> str:
    found = next((environment[name] for name in names if environment.get(name)), None)
    if found is None:
        raise CohostError(f"missing required configuration key gcp:{what}: the {what} to work in")
    return found


def _map(given: Any) -> dict[str, str]:
    return dict(json.loads(given) if isinstance(given, str) else given or {})
