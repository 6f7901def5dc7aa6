"""Diff: what changed, which of it replaces the resource, and in which order."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cohost.local.aws_provider.checks import DEFAULTS
from cohost.local.aws_provider.equality import alike
from cohost.local.aws_provider.resource import Resource
from cohost.local.aws_provider.wire import UNKNOWN

_MISSING: Any = object()


class Kind(enum.Enum):
    """What happened to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Difference:
    """What an update would do.

    Attributes:
        changes: Property path -> what happened to it.
        replaces: The paths that cannot change in place.
        delete_first: Whether the old resource must go before the new one can come.
    """

    changes: Mapping[str, Kind]
    replaces: frozenset[str]
    delete_first: bool


def compare(
    resource: Resource,
    state: Mapping[str, Any],
    old_inputs: Mapping[str, Any],
    new_inputs: Mapping[str, Any],
    ignored: frozenset[str] = frozenset(),
) -> Difference:
    """Compares what there is with what is wanted.

    The real provider compares with the state, not with the old inputs: what the cloud changed on its own shows
    as a change to be undone. Values that only the cloud filled in are no change.

    Args:
        resource: The type.
        state: The resource's properties as last recorded.
        old_inputs: The inputs it was last given.
        new_inputs: The inputs wanted now.
        ignored: Top-level properties whose changes do not count.
    """
    changes: dict[str, Kind] = {}
    for name in sorted({*old_inputs, *new_inputs} - {DEFAULTS} - ignored):
        old, new = old_inputs.get(name, _MISSING), new_inputs.get(name, _MISSING)
        actual = state.get(name, old)
        changes.update(_changes(name, actual, old, new))
    fixed = resource.replaces | {"region"}
    replaces = frozenset(path for path in changes if any(_within(path, start) for start in fixed))
    return Difference(changes, replaces, bool(replaces) and _name_is_given(resource, new_inputs))


def _changes(path: str, actual: Any, old: Any, new: Any) -> Iterator[tuple[str, Kind]]:
    if isinstance(new, dict) and isinstance(actual, dict):
        before = old if isinstance(old, dict) else {}
        for name in sorted({*before, *new}):
            inner = before.get(name, _MISSING)
            yield from _changes(f"{path}.{name}", actual.get(name, inner), inner, new.get(name, _MISSING))
    elif isinstance(new, list) and isinstance(actual, list):
        before = old if isinstance(old, list) else []
        for index in range(max(len(actual), len(new))):
            yield from _changes(f"{path}[{index}]", _at(actual, index), _at(before, index), _at(new, index))
    elif new is _MISSING:
        if old is not _MISSING or (path.endswith("]") and actual is not _MISSING):
            yield path, Kind.DELETE
    elif actual is _MISSING or actual is None:
        yield path, Kind.ADD
    elif new == UNKNOWN or not alike(actual, new):
        yield path, Kind.UPDATE


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else _MISSING


def _within(path: str, start: str) -> bool:
    return path == start or path.startswith((f"{start}.", f"{start}["))


def _name_is_given(resource: Resource, inputs: Mapping[str, Any]) -> bool:
    """A resource whose name the program gives cannot stand beside its successor.

    pulumi-terraform-bridge, nameRequiresDeleteBeforeReplace: true whenever the naming property was not made up,
    even when the new name differs.
    """
    if resource.name is None:
        return False
    name = resource.name.property
    return name in inputs and name not in inputs.get(DEFAULTS, [])
