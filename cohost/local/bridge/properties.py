"""The property names of each resource type: `properties.json`, taken from the pulumi_aws package.

Importing pulumi_aws's own types costs seconds, the file milliseconds. `python -m
cohost.local.bridge.properties` writes it anew from the installed package; a test holds the two together.
"""

from __future__ import annotations

import functools
import importlib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_PROVIDERS: Final = Path(__file__).parents[1]

Properties = Mapping[str, Any]
"""Name -> the properties inside it, or None where it holds no object."""


@functools.cache
def inputs(token: str) -> Properties:
    """Returns the input properties of a type."""
    return _read(_package(token))[token]["inputs"]


@functools.cache
def outputs(token: str) -> frozenset[str]:
    """Returns the names of all properties a resource of this type has once created."""
    return frozenset(_read(_package(token))[token]["outputs"])


def generate(tokens: Iterable[str]) -> dict[str, Any]:
    """Returns what the file should hold for these types, from the installed package."""
    return {token: _describe(token) for token in tokens}


def write(package: str, tokens: Iterable[str]) -> None:
    """Writes the file of a package ("aws", "gcp") anew."""
    _file(package).write_text(json.dumps(generate(tokens), indent=1, sort_keys=True) + "\n")


def _package(token: str) -> str:
    return token.partition(":")[0]


def _file(package: str) -> Path:
    return _PROVIDERS / f"{package}_provider" / "properties.json"


@functools.cache
def _read(package: str) -> dict[str, Any]:
    return json.loads(_file(package).read_text())


def _describe(token: str) -> dict[str, Any]:
    package, place, name = token.split(":")
    # The packages load their services lazily, and one whose part is imported before itself never gets whole.
    kind = getattr(importlib.import_module(f"pulumi_{package}.{place.partition('/')[0]}"), name)
    module = importlib.import_module(kind.__module__)
    from pulumi._types import resource_types

    # Where a property's type has the same name, a resource's arguments are its "InitArgs".
    arguments = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
    return {
        "inputs": _inside(arguments, ()),
        "outputs": sorted(resource_types(kind)),
    }


def _inside(kind: Any, above: tuple[Any, ...]) -> dict[str, Any] | None:
    """Returns the properties of an input type, or of the input type inside an Optional, a list or an Input."""
    from pulumi._types import input_type_types, is_input_type

    if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and is_input_type(kind):
        if kind in above or kind.__name__ == "PolicyDocumentArgs":
            return None
        return {name: _inside(inner, (*above, kind)) for name, inner in sorted(input_type_types(kind).items())}
    for argument in typing.get_args(kind):
        found = _inside(argument, above)
        if found is not None:
            return found
    return None
