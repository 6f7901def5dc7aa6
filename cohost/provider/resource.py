"""What a resource of the plugin is: a small class that knows nothing of gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from cohost.errors import CohostError, Problem
from cohost.provider.context import Context

Values = Mapping[str, Any]


class Change(Enum):
    """How one property differs."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"
    REPLACE = "replace"


@dataclass(frozen=True)
class State:
    """What `read` found.

    Attributes:
        id: The resource's id.
        inputs: The inputs that would make it.
        outputs: Its outputs.
    """

    id: str
    inputs: Values
    outputs: Values


class PartialFailure(CohostError):
    """An operation failed after it had changed something; the engine keeps the resource and updates it next.

    Attributes:
        outputs: What is true of the resource now.
    """

    def __init__(self, message: str, outputs: Values) -> None:
        self.outputs = outputs
        super().__init__(message)


class Resource(Protocol):
    """One type of resource. `inputs` are complete and known except in `check`, `diff` and `preview`.

    `outputs` of an earlier operation may lack properties after a partial failure, and the inputs of a
    resource that an older version of the plugin made.
    """

    def identify(self, inputs: Values) -> str:
        """The id of the resource that these inputs make."""
        ...

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterable[Problem]:
        """What is wrong with the inputs, each problem's key being the property's path.

        Args:
            context: The operation.
            olds: The inputs of before, or None for a new resource.
            news: The inputs, some perhaps UNKNOWN.
        """
        ...

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """What would change, by property path; changes nothing."""
        ...

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """The outputs that create (no `outputs`) or update would give; changes nothing."""
        ...

    def create(self, context: Context, inputs: Values) -> Values:
        """Makes the resource, or finishes what a killed create began, and returns its outputs.

        Raises:
            PartialFailure: Something was changed.
        """
        ...

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """What is really there, or None; without `outputs` it is an import."""
        ...

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Makes the resource as the new inputs say and returns its outputs.

        Raises:
            PartialFailure: Something was changed.
        """
        ...

    def delete(self, context: Context, outputs: Values) -> None:
        """Deletes the resource; one that is not there is no error."""
        ...
