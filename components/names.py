"""What is common to all components: names of physical resources, and how wrong arguments are reported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pulumi.errors import InputPropertiesError

# What generated physical names begin with; the deployer policy relies on it.
PREFIX: Final = "cohost"

# A property's path and what is wrong with it.
Fault = tuple[str, str]


def physical(name: str) -> str:
    """Returns the logical name from which Pulumi generates a physical one: it says whose it is in the account."""
    return f"{PREFIX}-{name}"


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
