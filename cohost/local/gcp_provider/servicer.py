"""The gcp provider: its configuration, its resource types and functions, behind the provider protocol."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from cohost.errors import CohostError
from cohost.local.bridge.resource import Resource
from cohost.local.bridge.servicer import BridgedProvider
from cohost.local.gcp_provider import configuration, invokes
from cohost.local.gcp_provider.api import Refused
from cohost.local.gcp_provider.registry import RESOURCES
from cohost.local.gcp_provider.resource import Call, Session


class GcpProvider(BridgedProvider[Session]):
    """The gcp provider."""

    package = "gcp"
    version = "10.2.0"
    resources: ClassVar = RESOURCES
    failures = (Refused, CohostError)

    def session(self, given: Mapping[str, Any], cancelled: threading.Event) -> Session:
        """Returns the configured provider."""
        return configuration.session(given, os.environ, cancelled)

    def call_of(self, session: Session, resource: Resource, given: Mapping[str, Any], timeout: float) -> Call:
        """Returns the request, in the resource's project and place or the provider's."""
        project = given.get("project") or session.project
        return Call(session, project, given.get("location") or session.region, timeout)

    def invoke(self, session: Session, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Returns what a function answers."""
        return invokes.invoke(session, token, arguments)

    def default_labels(self, session: Session) -> Mapping[str, str]:
        """Returns the provider's default labels."""
        return session.default_labels
