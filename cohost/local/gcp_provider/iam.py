"""IAM: roles of a project's own, and who has a role on what."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from cohost.local.gcp_provider.resource import Call, Change, Kept

_GRANT: Final = frozenset({"condition", "member", "role"})


class CustomRole(Kept):
    """A role of a project's own."""

    token = "gcp:projects/iAMCustomRole:IAMCustomRole"
    supported: ClassVar = frozenset(
        {"deletionPolicy", "description", "permissions", "project", "roleId", "stage", "title"}
    )
    replaces: ClassVar = frozenset({"roleId"})
    sets: ClassVar = frozenset({"permissions"})
    defaults: ClassVar = {"deletionPolicy": "DELETE", "stage": "GA"}

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Makes the role."""
        identity = f"projects/{call.project}/roles/{inputs['roleId']}"
        return self.keep(call, identity, {"name": identity, "roleId": inputs["roleId"]} | _described(inputs))

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes everything but the role's id."""
        self.keep(call, resource_id, self.read(call, resource_id, change.old) | _described(change.new))


def _described(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": inputs["title"],
        "description": inputs.get("description", ""),
        "permissions": inputs["permissions"],
        "stage": inputs["stage"],
        "deleted": False,
    }


class Grant(Kept):
    """One role for one member on one thing; it can only come and go.

    Attributes:
        on: The beginning of its id, made of the properties that name the thing.
    """

    on: ClassVar[str]

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Grants the role."""
        placed = {"project": call.project, "location": call.location, **inputs}
        title = (inputs.get("condition") or {}).get("title")
        parts = [self.on.format(**placed), inputs["role"], inputs["member"], *([title] if title else [])]
        record = {name: placed[name] for name in self.supported if name in placed}
        etag = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
        return self.keep(call, "/".join(parts), {**record, "etag": etag})

    def imported(self, import_id: str) -> tuple[str, dict[str, Any]]:
        """Returns the id of a grant from what it is imported by: thing, role and member, blanks between them."""
        return import_id.replace(" ", "/"), {}


class ProjectGrant(Grant):
    """On a project."""

    token = "gcp:projects/iAMMember:IAMMember"
    on = "{project}"
    supported: ClassVar = _GRANT | {"project"}
    replaces: ClassVar = _GRANT


class AccountGrant(Grant):
    """On a service account."""

    token = "gcp:serviceaccount/iAMMember:IAMMember"
    on = "{serviceAccountId}"
    supported: ClassVar = _GRANT | {"serviceAccountId"}
    replaces: ClassVar = supported
    places: ClassVar = frozenset()


class BucketGrant(Grant):
    """On a bucket."""

    token = "gcp:storage/bucketIAMMember:BucketIAMMember"
    on = "b/{bucket}"
    supported: ClassVar = _GRANT | {"bucket"}
    replaces: ClassVar = supported
    places: ClassVar = frozenset()


class KeyGrant(Grant):
    """On a key."""

    token = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
    on = "{cryptoKeyId}"
    supported: ClassVar = _GRANT | {"cryptoKeyId"}
    replaces: ClassVar = supported
    places: ClassVar = frozenset()


class RepositoryGrant(Grant):
    """On a repository of images."""

    token = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
    on = "projects/{project}/locations/{location}/repositories/{repository}"
    supported: ClassVar = _GRANT | {"location", "project", "repository"}
    replaces: ClassVar = _GRANT | {"repository"}
    places: ClassVar = frozenset({"location", "project"})


class EndpointGrant(Grant):
    """On an endpoint."""

    token = "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember"
    on = "projects/{project}/locations/{location}/endpoints/{endpoint}"
    supported: ClassVar = _GRANT | {"endpoint", "location", "project"}
    replaces: ClassVar = _GRANT | {"endpoint"}
    places: ClassVar = frozenset({"location", "project"})


RESOURCES = (
    CustomRole(),
    ProjectGrant(),
    AccountGrant(),
    BucketGrant(),
    KeyGrant(),
    RepositoryGrant(),
    EndpointGrant(),
)
