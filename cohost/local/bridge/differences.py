"""Diff: what changed, which of it replaces the resource, and in which order.

What replaces follows Terraform's rules (hashicorp/terraform-plugin-sdk v2, helper/schema/schema.go, diffList and
diffSet): a property marked ForceNew does; an object marked so does when it comes or goes, but not by what changes
inside it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cohost.local.bridge.checks import DEFAULTS
from cohost.local.bridge.equality import alike, same_items
from cohost.local.bridge.resource import Resource
from cohost.local.bridge.wire import UNKNOWN

_MISSING: Any = object()
# What Terraform cannot tell from nothing given.
_EMPTY: Final = (None, "", False, 0, [], {})
_INDEX: Final = re.compile(r"\[\d+\]")


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

    @property
    def names(self) -> frozenset[str]:
        """The top-level properties that differ."""
        return frozenset(top(path) for path in self.changes)


@dataclass(frozen=True)
class _Found:
    """One change, with the value that came or went."""

    path: str
    kind: Kind
    value: Any


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
        ignored: Paths of properties whose changes do not count.
    """
    found: list[_Found] = []
    left_out = _computed(resource) - set(new_inputs)
    for name in sorted({*old_inputs, *new_inputs} - {DEFAULTS} - left_out):
        old, new = old_inputs.get(name, _MISSING), new_inputs.get(name, _MISSING)
        found += _changes(resource, name, state.get(name, old), old, new)
    counted = [change for change in found if not any(_within(change.path, path) for path in ignored)]
    changes = {change.path: change.kind for change in counted}
    # The provider's own copies, default labels included, are outputs that change with them.
    labels = {
        path.removeprefix(resource.labels): kind for path, kind in changes.items() if _within(path, resource.labels)
    }
    changes |= {f"{copy}{inner}": kind for copy in resource.label_copies for inner, kind in labels.items()}
    replaces = frozenset(change.path for change in counted if _replaces(resource, change))
    return Difference(changes, replaces, bool(replaces) and _name_is_given(resource, new_inputs))


def top(path: str) -> str:
    """Returns the top-level property of a path."""
    return path.partition(".")[0].partition("[")[0]


def _computed(resource: Resource) -> frozenset[str]:
    naming = {resource.name.property, resource.name.prefix} if resource.name else set[str]()
    return resource.computed | naming | resource.places


def _changes(resource: Resource, path: str, actual: Any, old: Any, new: Any) -> Iterator[_Found]:
    if isinstance(new, dict) and isinstance(actual, dict):
        before = old if isinstance(old, dict) else {}
        for name in sorted({*before, *new}):
            inner = before.get(name, _MISSING)
            there = actual.get(name, inner)
            yield from _changes(resource, f"{path}.{name}", there, inner, new.get(name, _MISSING))
    elif isinstance(new, list) and isinstance(actual, list):
        if _plain(path) in resource.sets and same_items(actual, new):
            return
        before = old if isinstance(old, list) else []
        for index in range(max(len(actual), len(new))):
            values = (_at(items, index) for items in (actual, before, new))
            yield from _changes(resource, f"{path}[{index}]", *values)
    elif new is _MISSING:
        if actual is not _MISSING and actual not in _EMPTY and (old is not _MISSING or path.endswith("]")):
            yield _Found(path, Kind.DELETE, actual)
    elif actual is _MISSING or actual is None:
        if new not in _EMPTY:
            yield _Found(path, Kind.ADD, new)
    elif new == UNKNOWN or not alike(actual, new):
        yield _Found(path, Kind.UPDATE, new)


def _replaces(resource: Resource, change: _Found) -> bool:
    path = _plain(change.path)
    fixed = resource.replaces | resource.places
    if path in resource.replaces_by_presence or any(_within(path, start) for start in fixed):
        return True
    if change.kind is Kind.UPDATE:
        return False
    return not (fixed | resource.replaces_by_presence).isdisjoint(_inside(path, change.value))


def _inside(path: str, value: Any) -> Iterator[str]:
    """Returns the paths of everything inside a value."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{path}.{name}"
            yield from _inside(f"{path}.{name}", item)
    elif isinstance(value, list):
        for item in value:
            yield from _inside(path, item)


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else _MISSING


def _plain(path: str) -> str:
    return _INDEX.sub("", path)


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
