"""When two spellings of a value mean the same to the cloud."""

from __future__ import annotations

import json
from typing import Any


def alike(one: Any, other: Any) -> bool:
    """Tells whether two scalars mean the same: equivalent policies, a number and its text, an ARN and its id."""
    if one == other:
        return True
    if not (isinstance(one, str | int | float) and isinstance(other, str | int | float)):
        return False
    first, second = _text(one), _text(other)
    if first == second or _canonical(first) == _canonical(second):
        return True
    return _is_arn_of(first, second) or _is_arn_of(second, first)


def same_items(some: list[Any], others: list[Any]) -> bool:
    """Tells whether two lists hold the same, in whatever order."""
    return sorted(map(_sort_key, some)) == sorted(map(_sort_key, others))


def _sort_key(value: Any) -> str:
    return _canonical(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _canonical(text: str) -> str:
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.dumps(_in_order(json.loads(text)), sort_keys=True)
    except ValueError:
        return text


def _in_order(value: Any) -> Any:
    """In a policy the order of a list means nothing, and a list of one is its only item.

    hashicorp/awspolicyequivalence, which the real provider compares policies with.
    """
    if isinstance(value, dict):
        return {name: _in_order(item) for name, item in value.items()}
    if isinstance(value, list):
        items = sorted((_in_order(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
        return items[0] if len(items) == 1 else items
    return value


def _is_arn_of(arn: str, identifier: str) -> bool:
    return arn.startswith("arn:") and bool(identifier) and arn.endswith(f"/{identifier}")
