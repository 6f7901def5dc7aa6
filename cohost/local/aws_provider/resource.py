"""What a resource type tells about itself, and what it is given to talk to the cloud."""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cohost.errors import DeploymentError

_POLL_SECONDS = 0.25
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
        deadline = time.monotonic() + (self.timeout or limit)
        while not finished():
            if time.monotonic() > deadline:
                raise DeploymentError(f"{what}: timeout after {self.timeout or limit:g} s")
            if self.session.cancelled.wait(_POLL_SECONDS):
                raise DeploymentError(f"{what}: cancelled")


@dataclass(frozen=True)
class Name:
    """How a type gets a name when the program gives none.

    Attributes:
        property: The property that holds it.
        limit: Longest name allowed.
        prefix: The property that asks for a name beginning with it; empty when the type has none.
        begin: What every name of the type begins with.
        lower: Whether it must be lower case.
    """

    property: str = "name"
    limit: int = 255
    prefix: str = "namePrefix"
    begin: str = ""
    lower: bool = False


@dataclass(frozen=True)
class Change:
    """What an update is to do.

    Attributes:
        old: The properties as last recorded.
        new: The inputs wanted now.
        names: The top-level properties that differ.
    """

    old: Mapping[str, Any]
    new: Mapping[str, Any]
    names: frozenset[str]

    def touches(self, *names: str) -> bool:
        """Tells whether any of these properties differs."""
        return not self.names.isdisjoint(names)

    def tags(self) -> tuple[dict[str, str], list[str]]:
        """Returns the tags to set and the keys of the tags to remove."""
        before, after = self.old.get("tags") or {}, self.new.get("tags") or {}
        wanted = {key: value for key, value in after.items() if before.get(key) != value}
        return wanted, sorted(set(before) - set(after))


class Resource(abc.ABC):
    """A resource type.

    Paths name properties without the indices of lists: "productionVariants.modelName".

    Attributes:
        token: Its type token.
        supported: Input properties served; others are refused by name.
        name: How it is named; None when it has no name of its own.
        replaces: Paths of properties in which nothing can change in place; `region` always is one.
        replaces_by_presence: Paths of objects that can neither come nor go in place, but change inside.
        sets: Paths of lists whose order means nothing.
        computed: Input properties that keep the value they have when the program leaves them out; names and
            `region` always do.
        defaults: Path -> the value of a property that the program leaves out.
        gone: Error codes that say a resource does not exist.
        regional: Whether it lives in a region.
    """

    token: ClassVar[str]
    supported: ClassVar[frozenset[str]]
    name: ClassVar[Name | None] = None
    replaces: ClassVar[frozenset[str]] = frozenset()
    replaces_by_presence: ClassVar[frozenset[str]] = frozenset()
    sets: ClassVar[frozenset[str]] = frozenset()
    computed: ClassVar[frozenset[str]] = frozenset()
    defaults: ClassVar[Mapping[str, Any]] = {}
    gone: ClassVar[frozenset[str]] = frozenset()
    regional: ClassVar[bool] = True

    @abc.abstractmethod
    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the resource and waits as the real provider does; returns its id.

        Raises:
            ClientError: The cloud refuses; the engine is to know of nothing.
            DeploymentError: It came to nothing, and whatever is left of it the engine is not to know.
        """

    def complete(self, call: Call, resource_id: str, inputs: dict[str, Any]) -> None:  # noqa: B027 (most have nothing)
        """Sets what creation alone cannot; when this fails, the engine knows the resource with the reason.

        Args:
            call: The request.
            resource_id: The resource just created.
            inputs: Its inputs.
        """

    @abc.abstractmethod
    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the resource's properties as the cloud tells them.

        Args:
            call: The request.
            resource_id: The resource.
            known: Properties as far as they are known: its state, or its inputs when it was just created.

        Raises:
            ClientError: With a code in `gone` when it does not exist.
            Gone: It exists no more in any useful sense.
        """

    def imported(self, import_id: str) -> tuple[str, dict[str, Any]]:
        """Returns the id and what else is known of a resource from the id that a user imports it by.

        Raises:
            ValueError: The import id does not have the type's form.
        """
        return import_id, {}

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes the resource in place."""
        raise NotImplementedError(f"{self.token} cannot be updated in place")

    @abc.abstractmethod
    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the resource; an error that says it does not exist counts as done."""

    def is_gone(self, error: Exception) -> bool:
        """Tells whether an error says that the resource does not exist."""
        return isinstance(error, Gone) or (isinstance(error, ClientError) and code(error) in self.gone)


class Gone(Exception):
    """The resource does not exist any more."""


def code(error: ClientError) -> str:
    """Returns the error code the cloud gave."""
    return str(error.response.get("Error", {}).get("Code", ""))
