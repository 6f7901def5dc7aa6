"""Accounts of a project: those that the program makes, and Google's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from cohost.local.gcp_provider.resource import Call, Change, Kept
from cohost.local.vertex.names import project_number

__all__ = ["RESOURCES", "project_number"]

# IAM documentation, "Service agents".
_AGENTS: Final = {"aiplatform.googleapis.com": "gcp-sa-aiplatform"}


class Account(Kept):
    """A service account."""

    token = "gcp:serviceaccount/account:Account"
    supported: ClassVar = frozenset(
        {
            "accountId",
            "createIgnoreAlreadyExists",
            "deletionPolicy",
            "description",
            "disabled",
            "displayName",
            "project",
        }
    )
    replaces: ClassVar = frozenset({"accountId"})
    defaults: ClassVar = {"deletionPolicy": "DELETE"}

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Makes the account; one of the same name is refused."""
        email = f"{inputs['accountId']}@{call.project}.iam.gserviceaccount.com"
        identity = f"projects/{call.project}/serviceAccounts/{email}"
        if call.session.ledger.get(self.token, identity) and not inputs.get("createIgnoreAlreadyExists"):
            raise ValueError(
                f"Error creating service account: googleapi: Error 409: Service account {inputs['accountId']} already "
                f"exists within project projects/{call.project}., alreadyExists"
            )
        known = {
            "accountId": inputs["accountId"],
            "email": email,
            "member": f"serviceAccount:{email}",
            "name": identity,
            "uniqueId": str(int(hashlib.sha256(identity.encode()).hexdigest(), 16))[:21],
        }
        return self.keep(call, identity, known | _described(inputs))

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes what describes the account."""
        self.keep(call, resource_id, self.read(call, resource_id, change.old) | _described(change.new))


def _described(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "displayName": inputs.get("displayName", ""),
        "description": inputs.get("description", ""),
        "disabled": inputs.get("disabled", False),
    }


class ServiceIdentity(Kept):
    """Google's own account of a service; nothing reads it back, and it stays when it is deleted."""

    token = "gcp:projects/serviceIdentity:ServiceIdentity"
    supported: ClassVar = frozenset({"project", "service"})
    replaces: ClassVar = frozenset({"service"})

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Makes the account, or finds the one that there is.

        Raises:
            NotImplementedError: The service's account is not known here.
        """
        service = inputs["service"]
        if service not in _AGENTS:
            raise NotImplementedError(f"the service identity of {service} is not supported here")
        return f"projects/{call.project}/services/{service}"

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Tells the account's name."""
        service = resource_id.rpartition("/")[2]
        email = f"service-{project_number(call.project)}@{_AGENTS[service]}.iam.gserviceaccount.com"
        return {"service": service, "email": email, "member": f"serviceAccount:{email}"}

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Leaves it."""


class Service(Kept):
    """A Google API that is switched on."""

    token = "gcp:projects/service:Service"
    supported: ClassVar = frozenset(
        {
            *("checkIfServiceHasUsageOnDestroy", "deletionPolicy", "disableDependentServices", "disableOnDestroy"),
            *("project", "service"),
        }
    )
    replaces: ClassVar = frozenset({"service"})
    defaults: ClassVar = {"deletionPolicy": "DELETE"}

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Switches it on."""
        return self.keep(call, f"{call.project}/{inputs['service']}", {"service": inputs["service"]})

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Records how it is to be deleted."""

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Switches it off, unless it is to stay on."""
        if state.get("disableOnDestroy"):
            super().delete(call, resource_id, state)


RESOURCES = (Account(), ServiceIdentity(), Service())
