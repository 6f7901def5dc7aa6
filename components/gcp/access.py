"""Roles for people and programs: who calls the endpoint, and who deploys the stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_gcp as gcp

from cohost import gcp_rules, permissions_gcp, tokens
from cohost.gcp_settings import Access
from cohost.gcs_layout import REPOSITORIES
from components.gcp.apis import Apis
from components.gcp.artifact_store import ArtifactStore
from components.gcp.shared_endpoint import SharedEndpoint
from components.gcp.stack import Stack
from components.names import Fault, refuse

# IAM reference, projects.roles.create, roleId.
_ID_CHARACTERS: Final = 64


@dataclass(frozen=True)
class _Part:
    """A part of a store: its name and what it is in words, and what the keys in it begin with."""

    title: str
    description: str
    prefixes: tuple[str, ...]


_ACTIVE: Final = _Part("releases", "Only what says which release is active", ("releases/",))
_ACTIVE_AND_COPIES: Final = _Part(
    "releases-and-repositories",
    "Only what says which release is active, and copies of artifacts",
    ("releases/", REPOSITORIES),
)


@dataclass(frozen=True, kw_only=True)
class CallerRoleArgs:
    """What a caller's roles are made of.

    Attributes:
        stack: Whose endpoint may be called.
        apis: What must be on before.
        store: The store whose active release may be read.
        endpoint: The endpoint.
        access: Who gets the roles.
    """

    stack: Stack
    apis: Apis
    store: ArtifactStore
    endpoint: SharedEndpoint
    access: Access = field(default_factory=Access)

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        return list(gcp_rules.access(self.access, key="access"))


class CallerRole(pulumi.ComponentResource):
    """What a caller needs: call the endpoint, and read which release is active.

    Attributes:
        roles: The roles' names: the first to grant on the endpoint, the second on the bucket.
    """

    roles: pulumi.Output[list[str]]

    def __init__(self, name: str, args: CallerRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the roles, and grants them.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.GCP_CALLER_ROLE, name, None, opts)
        call = _role(self, args, name, "Call the models of a shared endpoint", permissions_gcp.CALL)
        reader = f"{name}-releases"
        read = _role(self, args, reader, "Read which models are active", permissions_gcp.READ_RELEASES)
        for member in args.access.members:
            gcp.vertex.AiEndpointIamMember(
                f"{name}-{member}",
                project=args.stack.project,
                location=args.stack.region,
                endpoint=args.endpoint.number,
                role=call.name,
                member=member,
                opts=pulumi.ResourceOptions(parent=self),
            )
            _on_a_part(self, f"{reader}-{member}", args.store, _ACTIVE, read, member)
        self.roles = pulumi.Output.all(call.name, read.name).apply(list)
        self.register_outputs({"roles": self.roles})


@dataclass(frozen=True, kw_only=True)
class DeployerRoleArgs:
    """What a deployer's roles are made of.

    Attributes:
        stack: Which stack may be brought up to date.
        apis: What must be on before.
        store: Its store.
        access: Who gets the roles.
    """

    stack: Stack
    apis: Apis
    store: ArtifactStore
    access: Access = field(default_factory=Access)

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        return list(gcp_rules.access(self.access, key="access"))


class DeployerRole(pulumi.ComponentResource):
    """What somebody needs who keeps the stack up to date (`cohost.permissions_gcp` says what that is).

    Attributes:
        roles: The roles' names: to grant on the project, on the bucket, and on its `releases/` and `repositories/`.
    """

    roles: pulumi.Output[list[str]]

    def __init__(self, name: str, args: DeployerRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the roles, and grants them.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.GCP_DEPLOYER_ROLE, name, None, opts)
        title = "Keep a shared endpoint up to date: its {}"
        endpoint = _role(self, args, f"{name}-endpoint", title.format("endpoint"), permissions_gcp.ENDPOINT)
        store = _role(self, args, f"{name}-store", title.format("store"), permissions_gcp.STORE)
        activate = _role(self, args, f"{name}-activate", title.format("release"), permissions_gcp.ACTIVATE)
        child = pulumi.ResourceOptions(parent=self)
        for member in args.access.members:
            gcp.projects.IAMMember(
                f"{name}-endpoint-{member}",
                project=args.stack.project,
                role=endpoint.name,
                member=member,
                opts=child,
            )
            gcp.storage.BucketIAMMember(
                f"{name}-store-{member}", bucket=args.store.bucket, role=store.name, member=member, opts=child
            )
            _on_a_part(self, f"{name}-activate-{member}", args.store, _ACTIVE_AND_COPIES, activate, member)
        self.roles = pulumi.Output.all(endpoint.name, store.name, activate.name).apply(list)
        self.register_outputs({"roles": self.roles})


def _role(
    parent: pulumi.Resource,
    args: CallerRoleArgs | DeployerRoleArgs,
    name: str,
    title: str,
    permissions: Sequence[str],
) -> gcp.projects.IAMCustomRole:
    """A role of the project's own; one of this id that was deleted within a week comes back to life."""
    return gcp.projects.IAMCustomRole(
        name,
        role_id=args.stack.fixed(name, limit=_ID_CHARACTERS, separator="_"),
        title=title,
        description=f"Of {args.stack.owner}",
        permissions=list(permissions),
        stage="GA",
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(args.apis.enabled)),
    )


def _on_a_part(
    parent: pulumi.Resource,
    name: str,
    store: ArtifactStore,
    part: _Part,
    role: gcp.projects.IAMCustomRole,
    member: str,
) -> None:
    """Grants a role on a part of a store, and on nothing else in it."""
    gcp.storage.BucketIAMMember(
        name,
        bucket=store.bucket,
        role=role.name,
        member=member,
        condition={
            "title": part.title,
            "description": part.description,
            "expression": store.bucket.apply(lambda bucket: permissions_gcp.below(bucket, *part.prefixes)),
        },
        opts=pulumi.ResourceOptions(parent=parent),
    )
