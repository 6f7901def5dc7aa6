"""What is common to all components: names of physical resources, and how wrong arguments are reported."""

from __future__ import annotations

from collections.abc import Iterable

from pulumi.errors import InputPropertiesError

from cohost.ownership import prefix

__all__ = ["Fault", "prefix", "refuse"]

# A property's path and what is wrong with it.
Fault = tuple[str, str]


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
