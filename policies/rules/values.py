"""Values of a resource as the engine hands them over: any of them, at any depth, may be unknown in a preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final


class Unknown:
    """What a value is that only an `up` will tell."""

    def __repr__(self) -> str:
        """What it is called in messages of tests."""
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


def at(props: Mapping[str, Any], *path: str) -> Any:
    """Returns the value at a path; None where there is none, UNKNOWN where it or what holds it is unknown."""
    value: Any = props
    for name in path:
        if value is UNKNOWN:
            return UNKNOWN
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def items(value: Any) -> Sequence[Any]:
    """Returns the known items of a list; none where there is no list, or an unknown one."""
    known = value if isinstance(value, (list, tuple)) else ()
    return [item for item in known if item is not UNKNOWN]


def entries(value: Any) -> Mapping[str, Any]:
    """Returns the known entries of a map; none where there is no map, or an unknown one."""
    known = value if isinstance(value, Mapping) else {}
    return {name: entry for name, entry in known.items() if entry is not UNKNOWN}


def differs(value: Any, wanted: Any) -> bool:
    """Whether a value is known, and another than the wanted one."""
    return value is not UNKNOWN and value != wanted


def missing(value: Any) -> bool:
    """Whether a value is known to be absent or empty."""
    return value is not UNKNOWN and not value


def number(value: Any) -> float | None:
    """Returns a number; None where it is absent or unknown."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def text(value: Any) -> str | None:
    """Returns a text; None where it is absent or unknown."""
    return value if isinstance(value, str) else None


def shown(value: Any) -> str:
    """Returns a value as a message shows it; whole numbers without the fraction that the wire gives them."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
