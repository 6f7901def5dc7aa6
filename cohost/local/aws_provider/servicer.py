"""The aws provider: its configuration, its resource types and functions, behind the provider protocol."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from cohost.errors import CohostError
from cohost.local.aws_provider import configuration, invokes
from cohost.local.aws_provider.registry import RESOURCES
from cohost.local.aws_provider.resource import Call, Session
from cohost.local.bridge.resource import Resource
from cohost.local.bridge.servicer import BridgedProvider


class AwsProvider(BridgedProvider[Session]):
    """The aws provider."""

    package = "aws"
    version = "7.51.1"
    resources: ClassVar = RESOURCES
    failures = (ClientError, BotoCoreError, CohostError)

    def session(self, given: Mapping[str, Any], cancelled: threading.Event) -> Session:
        """Returns the configured provider."""
        return configuration.session(given, os.environ, cancelled)

    def call_of(self, session: Session, resource: Resource, given: Mapping[str, Any], timeout: float) -> Call:
        """Returns the request, in the resource's region or the provider's."""
        region = given.get("region") if resource.places else None
        return Call(session, region or session.region, timeout)

    def invoke(self, session: Session, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Returns what a function answers."""
        return invokes.invoke(session, token, arguments)

    def default_labels(self, session: Session) -> Mapping[str, str]:
        """Returns the provider's default tags."""
        return session.default_tags
