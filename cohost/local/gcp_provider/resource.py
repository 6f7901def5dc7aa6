"""What the resource types of Google Cloud have in common, and what they are given to talk to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from cohost.local.bridge import resource as bridge
from cohost.local.bridge.resource import Change, Gone, Name
from cohost.local.bridge.waiting import wait
from cohost.local.gcp_provider.api import Api, Refused
from cohost.local.gcp_provider.ledger import Ledger

__all__ = ["Call", "Change", "Gone", "Name", "Resource", "Session"]


@dataclass(frozen=True)
class Session:
    """A configured provider.

    Attributes:
        project: Project of resources that name none.
        region: Region of resources that name none.
        default_labels: Labels for every resource that can carry labels.
        cancelled: Set when the deployment is cancelled; ends every wait.
        storage: The local Cloud Storage.
        vertex: The local Vertex AI.
        ledger: What has no emulator.
    """

    project: str
    region: str
    default_labels: Mapping[str, str]
    cancelled: threading.Event
    storage: Api
    vertex: Api
    ledger: Ledger


@dataclass(frozen=True)
class Call:
    """One request of the engine.

    Attributes:
        session: The provider it came to.
        project: Project of the resource.
        location: Region of the resource.
        timeout: Seconds it may take (the resource's customTimeouts); 0 = the type's own limit.
    """

    session: Session
    project: str
    location: str
    timeout: float = 0

    def wait(self, finished: Callable[[], bool], *, limit: float, what: str) -> None:
        """Asks again and again until something is finished, or raises as `cohost.local.bridge.waiting.wait`."""
        wait(finished, cancelled=self.session.cancelled, limit=self.timeout or limit, what=what)


class Resource(bridge.Resource):
    """A resource type of Google Cloud, in a project."""

    places: ClassVar[frozenset[str]] = frozenset({"project"})
    label_copies: ClassVar[tuple[str, ...]] = ("effectiveLabels", "pulumiLabels")
    # The provider says so of all it makes, unless addPulumiAttributionLabel is false.
    added_labels: ClassVar[Mapping[str, str]] = {"goog-pulumi-provisioned": "true"}

    def is_gone(self, error: Exception) -> bool:
        """Tells whether an error says that the resource does not exist."""
        return super().is_gone(error) or (isinstance(error, Refused) and error.status == HTTPStatus.NOT_FOUND)

    def sent_labels(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """Returns the labels as Google is given them."""
        return {**(inputs.get("labels") or {}), **self.added_labels}

    def told_labels(self, told: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, str]:
        """Returns what is left of the labels that the program gave; those of others are none of its business.

        Args:
            told: The labels as Google tells them.
            known: The resource's properties; without any, of an import, every label is one.
        """
        wanted = known.get("labels") or {} if known else set(told) - set(self.added_labels)
        return {name: told[name] for name in wanted if name in told}


class Kept(Resource):
    """A resource of which there is no emulator: it is kept in the ledger, and nothing more comes of it."""

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads what is kept."""
        found = call.session.ledger.get(self.token, resource_id)
        if found is None:
            raise Gone(f"{resource_id} does not exist")
        return found

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Forgets it."""
        call.session.ledger.remove(self.token, resource_id)

    def keep(self, call: Call, resource_id: str, record: Mapping[str, Any]) -> str:
        """Keeps a record; returns the resource's id."""
        call.session.ledger.put(self.token, resource_id, record)
        return resource_id
