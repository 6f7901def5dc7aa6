"""What a resource type tells about itself, whatever the cloud."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


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
        replaces: Paths of properties in which nothing can change in place; those of `places` always are.
        replaces_by_presence: Paths of objects that can neither come nor go in place, but change inside.
        sets: Paths of lists whose order means nothing.
        computed: Input properties that keep the value they have when the program leaves them out; names and
            `places` always do.
        defaults: Path -> the value of a property that the program leaves out.
        places: Properties that say where it is, and come from the provider's configuration when left out.
        labels: The property that holds its labels or tags.
        label_copies: Outputs that repeat them, with what the provider adds to every resource.
        added_labels: What the provider adds.
    """

    token: ClassVar[str]
    supported: ClassVar[frozenset[str]]
    name: ClassVar[Name | None] = None
    replaces: ClassVar[frozenset[str]] = frozenset()
    replaces_by_presence: ClassVar[frozenset[str]] = frozenset()
    sets: ClassVar[frozenset[str]] = frozenset()
    computed: ClassVar[frozenset[str]] = frozenset()
    defaults: ClassVar[Mapping[str, Any]] = {}
    places: ClassVar[frozenset[str]] = frozenset()
    labels: ClassVar[str] = "labels"
    label_copies: ClassVar[tuple[str, ...]] = ()
    added_labels: ClassVar[Mapping[str, str]] = {}

    @abc.abstractmethod
    def create(self, call: Any, inputs: dict[str, Any]) -> str:
        """Creates the resource and waits as the real provider does; returns its id.

        What it raises says that the engine is to know of nothing.
        """

    def complete(self, call: Any, resource_id: str, inputs: dict[str, Any]) -> None:  # noqa: B027 (most have nothing)
        """Sets what creation alone cannot; when this fails, the engine knows the resource with the reason.

        Args:
            call: The request.
            resource_id: The resource just created.
            inputs: Its inputs.
        """

    @abc.abstractmethod
    def read(self, call: Any, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the resource's properties as the cloud tells them.

        Args:
            call: The request.
            resource_id: The resource.
            known: Properties as far as they are known: its state, or its inputs when it was just created.

        Raises:
            Gone: It exists no more in any useful sense; or the cloud's own error that `is_gone` knows.
        """

    def imported(self, import_id: str) -> tuple[str, dict[str, Any]]:
        """Returns the id and what else is known of a resource from the id that a user imports it by.

        Raises:
            ValueError: The import id does not have the type's form.
        """
        return import_id, {}

    def update(self, call: Any, resource_id: str, change: Change) -> None:
        """Changes the resource in place."""
        raise NotImplementedError(f"{self.token} cannot be updated in place")

    @abc.abstractmethod
    def delete(self, call: Any, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the resource; an error that says it does not exist counts as done."""

    def is_gone(self, error: Exception) -> bool:
        """Tells whether an error says that the resource does not exist."""
        return isinstance(error, Gone)

    def copied(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the outputs that repeat the labels among the known properties."""
        if self.labels not in self.supported:
            return {}
        return {name: {**(known.get(self.labels) or {}), **self.added_labels} for name in self.label_copies}


class Gone(Exception):
    """The resource does not exist any more."""
