"""Inputs of resources as a preview holds them: some may not be known yet, and numbers come as floats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One resource that a program declares.

    Attributes:
        type: Its type token.
        name: Its logical name.
        props: Its inputs under their wire names.
        region: Where it is; empty where nothing tells.
    """

    type: str
    name: str
    props: Mapping[str, Any]
    region: str

    def text(self, key: str) -> str:
        """Returns a text; empty where it is missing or not known yet."""
        value = self.props.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> Decimal | None:
        """Returns a number; None where it is missing or not known yet."""
        return as_number(self.props.get(key))


def as_number(value: Any) -> Decimal | None:
    """Returns a number as a decimal; None where it is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Decimal(str(value)) if is_number else None


def mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the maps of a list; none where it is missing or not known yet."""
    if isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, Mapping))
