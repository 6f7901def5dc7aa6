"""A preview of one stack, whatever command it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cohost.engine import PolicyResult
from cohost.urns import name_of, short_type

OPERATIONS: Final = ("create", "update", "replace", "delete", "same")
_CLOUDS: Final = {"aws": "AWS", "gcp": "GCP"}
STACK: Final = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Resource:
    """One resource as it is and as it would be.

    Attributes:
        urn: The resource.
        type: Its type token.
        op: create, update, replace, delete or same.
        diff: The property paths that change, as the provider names them.
        before: Its inputs in the state, None when it is not there yet. Secrets are masked by who made the preview.
        after: Its inputs after an `up`, None when it would be deleted.
    """

    urn: str
    type: str
    op: str
    diff: tuple[str, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """The resource's own name."""
        return name_of(self.urn)

    @property
    def short_type(self) -> str:
        """The type token without the module's file."""
        return short_type(self.type)

    @property
    def title(self) -> str:
        """Type and name, for a person."""
        return f"{self.short_type} {self.name}"


@dataclass(frozen=True)
class Preview:
    """What a change would do to one stack.

    Attributes:
        stack: The stack's name.
        resources: Every resource, unchanged ones where `complete`, in the order of the program.
        policies: What the policy pack found; None where none was asked or the preview does not tell.
        warnings: What the resources warn of.
        error: Why the preview failed, a line for each cause; empty when it did not.
        complete: Whether unchanged resources are among `resources`, so that a cost can be reckoned.
        local: Whether it was made on the local emulators.
    """

    stack: str
    resources: tuple[Resource, ...] = ()
    policies: tuple[PolicyResult, ...] | None = None
    warnings: tuple[str, ...] = ()
    error: str = ""
    complete: bool = True
    local: bool = False

    @property
    def cloud(self) -> str:
        """The cloud by the resources' types: "AWS", "GCP", or empty when nothing says."""
        packages = {resource.type.partition(":")[0] for resource in self.resources}
        return " and ".join(name for package, name in _CLOUDS.items() if package in packages)

    @property
    def changes(self) -> tuple[Resource, ...]:
        """What is not as before, the stack itself aside."""
        return tuple(resource for resource in self.resources if resource.op != "same" and resource.type != STACK)

    @property
    def counts(self) -> Mapping[str, int]:
        """Resources by operation, all five always, the stack itself aside."""
        found = Counter(resource.op for resource in self.resources if resource.type != STACK)
        return {op: found[op] for op in OPERATIONS}
