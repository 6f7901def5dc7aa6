"""The keys of settings, parts of maps one by one: "machine.type"."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel


def keys(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a model with its default, or "required"."""
    default = model.model_construct()
    for name, each in model.model_fields.items():
        inner = each.annotation
        if isinstance(inner, types.UnionType):
            inner = get_args(inner)[0]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{path}{each.alias}.")
        else:
            yield f"{path}{each.alias}", "required" if each.is_required() else getattr(default, name)


def leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that values give."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
