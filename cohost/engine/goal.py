"""What a program asks for with one registration: the wire's request as an engine value, or a refusal by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pulumi.runtime.proto import alias_pb2, resource_pb2

from cohost.engine.state import PROVIDER_PREFIX, STACK_TYPE, ResourceState
from cohost.engine.values import from_struct
from cohost.errors import CohostError


class Refused(CohostError):
    """The program uses something the embedded engine does not do; the message names it."""


_UNSUPPORTED: Final = {
    "remote": "remote components",
    "provider": "explicit providers",
    "replace_with": "the option replaceWith",
    "replacement_trigger": "the option replacementTrigger",
    "transforms": "the option transforms",
    "hooks": "the option hooks",
    "hideDiffs": "the option hideDiffs",
    "envVarMappings": "the option envVarMappings",
    "state_migrations": "state migrations",
    "snippetId": "snippets",
    "packageRef": "parameterized packages",
}
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Goal:
    """One registration.

    Attributes:
        state: The resource as wanted: no id, no outputs, the URN in place.
        version: The version of the package's SDK; empty when unknown.
        delete_before_replace: The option, None when not given.
        aliases: URNs the resource may have had before.
    """

    state: ResourceState
    version: str
    delete_before_replace: bool | None
    aliases: tuple[str, ...]


def make_urn(stack: str, project: str, type_: str, name: str, parent: str) -> str:
    """The URN of a resource; a parent other than the stack itself qualifies its type."""
    parent_type = qualified_type(parent)
    prefix = f"{parent_type}$" if parent and parent_type != STACK_TYPE else ""
    return f"urn:pulumi:{stack}::{project}::{prefix}{type_}::{name}"


def qualified_type(urn: str) -> str:
    """The type part of a URN, with those of its parents."""
    return urn.split("::", 3)[2] if urn else ""


def parse_goal(
    request: resource_pb2.RegisterResourceRequest, stack: str, project: str, former: Mapping[str, str]
) -> Goal:
    """Reads a registration.

    Args:
        request: As the SDK sends it.
        stack: The stack's name.
        project: The project's name.
        former: Of resources taken over by an alias in this run, the URN they had before.

    Raises:
        Refused: It asks for something unsupported.
    """
    _refuse(request)
    urn = make_urn(stack, project, request.type, request.name, request.parent)
    state = ResourceState(
        urn=urn,
        type=request.type,
        custom=request.custom,
        inputs=from_struct(request.object),
        parent=request.parent,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={k: tuple(sorted(v.urns)) for k, v in sorted(request.propertyDependencies.items())},
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        deleted_with=request.deletedWith,
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        custom_timeouts=_timeouts(request.customTimeouts),
        import_id=request.importId,
    )
    defined = request.deleteBeforeReplaceDefined or request.deleteBeforeReplace
    return Goal(
        state=state,
        version=request.version,
        delete_before_replace=request.deleteBeforeReplace if defined else None,
        aliases=tuple(dict.fromkeys(_aliases(request, stack, project, former))),
    )


def _refuse(request: resource_pb2.RegisterResourceRequest) -> None:
    # The SDK sends an empty `hooks` with every resource.
    given = {field.name for field, value in request.ListFields() if field.name != "hooks" or value.ByteSize()}
    if request.type.startswith(PROVIDER_PREFIX):
        given.add("provider")
    for name, words in _UNSUPPORTED.items():
        if name in given:
            raise Refused(f"{request.type} {request.name}: the embedded engine does not support {words}")


def _timeouts(message: resource_pb2.RegisterResourceRequest.CustomTimeouts) -> dict[str, float]:
    return {field.name: _seconds(text) for field, text in message.ListFields()}


def _seconds(text: str) -> float:
    parts = re.findall(r"([\d.]+)(ns|us|µs|ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Refused(f"{text!r} is no duration (expected the form 1h30m)")
    seconds = sum((float(number) * _UNITS[unit] for number, unit in parts), 0.0)
    return int(seconds) if seconds.is_integer() else seconds


def _aliases(
    request: resource_pb2.RegisterResourceRequest, stack: str, project: str, former: Mapping[str, str]
) -> list[str]:
    urns = [
        *request.aliasURNs,
        *(_alias_urn(alias, request, stack, project, former) for alias in request.aliases),
    ]
    parent_was = former.get(request.parent)
    if parent_was is not None:
        urns.extend(_inherited(urn, request.parent, parent_was) for urn in [_own(request, stack, project), *urns])
    return urns


def _own(request: resource_pb2.RegisterResourceRequest, stack: str, project: str) -> str:
    return make_urn(stack, project, request.type, request.name, request.parent)


def _alias_urn(
    alias: alias_pb2.Alias,
    request: resource_pb2.RegisterResourceRequest,
    stack: str,
    project: str,
    former: Mapping[str, str],
) -> str:
    if alias.urn:
        return alias.urn
    spec = alias.spec
    parent = "" if spec.noParent else spec.parentUrn or request.parent
    if spec.parentUrn:
        parent = former.get(parent, parent)
    return make_urn(
        spec.stack or stack,
        spec.project or project,
        spec.type or request.type,
        spec.name or request.name,
        parent,
    )


def _inherited(urn: str, parent: str, parent_was: str) -> str:
    """The URN a child had under its parent's former URN, its name following the parent's."""
    head, project, types, name = urn.split("::", 3)
    parent_name, name_was = parent.split("::", 3)[3], parent_was.split("::", 3)[3]
    if name.startswith(parent_name):
        name = name_was + name.removeprefix(parent_name)
    return make_urn(head.removeprefix("urn:pulumi:"), project, types.rpartition("$")[2], name, parent_was)
