"""When two spellings of a value mean the same to the cloud."""

from __future__ import annotations

import json
from typing import Any


def alike(one: Any, other: Any) -> bool:
    """Tells whether two scalars mean the same: equal JSON texts, a number and its text, an ARN and its id."""
    if one == other:
        return True
    if not (isinstance(one, str | int | float) and isinstance(other, str | int | float)):
        return False
    first, second = str(one), str(other)
    if first == second or _canonical(first) == _canonical(second):
        return True
    return _is_arn_of(first, second) or _is_arn_of(second, first)


def sort_key(value: Any) -> str:
    """Returns a text by which values of any kind can be sorted."""
    return _canonical(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _canonical(text: str) -> str:
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text


def _is_arn_of(arn: str, identifier: str) -> bool:
    return arn.startswith("arn:") and bool(identifier) and arn.endswith(f"/{identifier}")
