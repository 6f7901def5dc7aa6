"""The one error tree of the project.

`CohostError` is what a command reports in one line and ends with exit code 1; `InputError` holds every
problem found in what the user wrote, and ends with exit code 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class CohostError(Exception):
    """An operation failed for a reason the user can act on; the message says what to do."""


class DeploymentError(CohostError):
    """The cloud (or its emulator) refused or failed what was asked; the message holds its own words."""


class StoreError(CohostError):
    """The object store refused or failed a call."""


class PreconditionFailed(StoreError):
    """Somebody else wrote the object first (HTTP 412 from If-Match or If-None-Match)."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with the user's input.

    Attributes:
        file: The file it stands in, as the user would name it (relative where possible); may be empty.
        key: The key or path inside the file ("models[2].owner"); may be empty.
        message: What is wrong and what would be right, without a final full stop.
    """

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.message) if part)


class InputError(CohostError):
    """Everything wrong with the user's input, all at once; nothing was changed.

    Attributes:
        problems: The problems, sorted by file and key.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
