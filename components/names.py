"""What is common to all components: names of physical resources, and how wrong arguments are reported."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from pulumi.errors import InputPropertiesError

_PREFIX: Final = "cohost"
# A bucket's name has 63 characters at most, of which Pulumi adds 8.
_STACK_CHARACTERS: Final = 32

# A property's path and what is wrong with it.
Fault = tuple[str, str]


def prefix(stack: str) -> str:
    """Returns what the generated names of a stack's resources begin with: they say whose they are in the account.

    Args:
        stack: The stack's name, of which lower-case letters, digits and hyphens are kept: a bucket's alphabet.
    """
    kept = re.sub(r"[^a-z0-9]+", "-", stack.lower())[:_STACK_CHARACTERS].strip("-")
    return f"{_PREFIX}-{kept}" if kept else _PREFIX


def refuse(component: str, faults: Iterable[Fault]) -> None:
    """Raises when there are faults, with all of them.

    Raises:
        InputPropertiesError: There are faults.
    """
    found = list(faults)
    if found:
        lines = "; ".join(f"{path}: {reason}" for path, reason in found)
        raise InputPropertiesError(
            f"{component}: {lines}", [{"property_path": path, "reason": reason} for path, reason in found]
        )
