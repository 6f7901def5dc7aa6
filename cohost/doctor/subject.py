"""Whose health is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cohost import settings
from cohost.errors import InputError
from cohost.settings import Settings

# A resource as Pulumi's state keeps it: `urn`, `type`, `id`, `outputs`.
Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """A stack, and what is known of it without asking anybody.

    Attributes:
        root: The folder of Pulumi.yaml.
        project: The project's name.
        stack: The stack's name.
        config: Every value of its configuration by full key.
        local: Whether it is on the emulators.
        needs_pulumi: Whether it is deployed by the `pulumi` command.
        resources: Reads what the stack's state holds; empty before the first `up`. What it raises of `CohostError`
            tells why that cannot be known.
    """

    root: Path
    project: str
    stack: str
    config: Mapping[str, str]
    local: bool
    needs_pulumi: bool
    resources: Callable[[], Sequence[Resource]]

    def settings(self) -> Settings:
        """The stack's settings.

        Raises:
            InputError: With everything wrong in them.
        """
        return settings.parse(self.config, stack=self.stack)

    @property
    def sound(self) -> Settings | None:
        """The stack's settings, or None when something is wrong in them."""
        try:
            return self.settings()
        except InputError:
            return None
