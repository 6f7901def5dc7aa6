"""What the resource types of AWS have in common, and what they are given to talk to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cohost.local.bridge import resource as bridge
from cohost.local.bridge.resource import Change, Gone, Name
from cohost.local.bridge.waiting import wait

__all__ = ["Call", "Change", "Gone", "Name", "Resource", "Session", "code"]

_clients_lock = threading.Lock()  # boto3 sessions are not made for several threads; clients are


@dataclass(frozen=True)
class Session:
    """A configured provider.

    Attributes:
        region: Region of resources that name none.
        default_tags: Tags for every resource that can carry tags.
        cancelled: Set when the deployment is cancelled; ends every wait.
    """

    region: str
    default_tags: Mapping[str, str]
    cancelled: threading.Event
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, region: str) -> Any:
        """Returns the boto3 client of a service in a region, as the environment points it."""
        with _clients_lock:
            if (service, region) not in self._clients:
                config = Config(retries={"mode": "standard", "max_attempts": 3})
                self._clients[service, region] = boto3.client(service, region_name=region, config=config)
            return self._clients[service, region]


@dataclass(frozen=True)
class Call:
    """One request of the engine.

    Attributes:
        session: The provider it came to.
        region: Region of the resource.
        timeout: Seconds it may take (the resource's customTimeouts); 0 = the type's own limit.
    """

    session: Session
    region: str
    timeout: float = 0

    def client(self, service: str) -> Any:
        """Returns the boto3 client of a service in the resource's region."""
        return self.session.client(service, self.region)

    def wait(self, finished: Callable[[], bool], *, limit: float, what: str) -> None:
        """Asks again and again until something is finished.

        Args:
            finished: Asked a few times a second.
            limit: Seconds to wait unless the resource says otherwise.
            what: What is waited for, for the error message.

        Raises:
            DeploymentError: The time is up or the deployment was cancelled.
        """
        wait(finished, cancelled=self.session.cancelled, limit=self.timeout or limit, what=what)


class Resource(bridge.Resource):
    """A resource type of AWS.

    Attributes:
        gone: Error codes that say a resource does not exist.
    """

    gone: ClassVar[frozenset[str]] = frozenset()
    places: ClassVar[frozenset[str]] = frozenset({"region"})
    labels: ClassVar[str] = "tags"
    label_copies: ClassVar[tuple[str, ...]] = ("tagsAll",)

    def is_gone(self, error: Exception) -> bool:
        """Tells whether an error says that the resource does not exist."""
        return super().is_gone(error) or (isinstance(error, ClientError) and code(error) in self.gone)


def code(error: ClientError) -> str:
    """Returns the error code the cloud gave."""
    return str(error.response.get("Error", {}).get("Code", ""))
