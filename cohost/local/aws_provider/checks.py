"""Check: names made up, defaults filled in, and every property that is wrong said at once."""

from __future__ import annotations

import difflib
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cohost.local.aws_provider.properties import Properties
from cohost.local.aws_provider.resource import Name, Resource
from cohost.local.aws_provider.wire import UNKNOWN

DEFAULTS: Final = "__defaults"
"""Lists the inputs that were filled in here, as the real provider's bridge does: a made-up name can be told
from a given one by it."""
_RANDOM_CHARACTERS: Final = 7


@dataclass(frozen=True)
class Naming:
    """What a name is made of.

    Attributes:
        urn: The resource.
        seed: The engine's random bytes for this resource; empty when it gives none.
        proposed: The name the engine's own settings ask for; empty when they ask for none.
        disabled: Whether those settings forbid making up names.
    """

    urn: str
    seed: bytes = b""
    proposed: str = ""
    disabled: bool = False


@dataclass(frozen=True)
class Failure:
    """One wrong property."""

    property: str
    reason: str


def check(
    resource: Resource,
    known: Properties,
    olds: Mapping[str, Any],
    news: Mapping[str, Any],
    naming: Naming,
    default_tags: Mapping[str, str],
) -> tuple[dict[str, Any], list[Failure]]:
    """Returns the inputs with everything filled in, and what is wrong with them.

    Args:
        resource: The type.
        known: All input properties of the type.
        olds: The inputs of the last deployment; empty for a new resource.
        news: The inputs as the program gives them.
        naming: What a name is made of.
        default_tags: Tags every resource gets.
    """
    inputs = {name: value for name, value in news.items() if value is not None and name != DEFAULTS}
    failures = list(_unknown("", inputs, known))
    failures += [
        Failure(name, f"{resource.token}: {name} is not supported here")
        for name in inputs
        if name in known and name not in resource.supported
    ]
    filled = {name: value for name, value in resource.defaults.items() if name not in inputs}
    if resource.name and resource.name.property not in inputs and not inputs.get(resource.name.prefix):
        kept = olds.get(resource.name.property) if _was_made_up(resource.name, olds) else None
        try:
            filled[resource.name.property] = kept or _make_name(resource.name, naming)
        except ValueError as error:
            failures.append(Failure(resource.name.property, str(error)))
    if default_tags and "tags" in resource.supported:
        inputs["tags"] = {**default_tags, **(inputs.get("tags") or {})}
    inputs |= filled
    inputs[DEFAULTS] = sorted(filled)
    return inputs, failures


def with_name(resource: Resource, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs with a name made from the prefix, where the program gives only that."""
    name = resource.name
    if name is None or name.property in inputs or not inputs.get(name.prefix):
        return dict(inputs)
    # As the real provider: the time and a counter, in 26 digits, so that later names sort behind earlier ones.
    unique = time.strftime("%Y%m%d%H%M%S", time.gmtime()) + f"{time.time_ns() % 10**12:012d}"
    return {**inputs, name.property: f"{inputs[name.prefix]}{unique}"}


def _unknown(path: str, given: Any, known: Properties | None) -> list[Failure]:
    if known is None or given == UNKNOWN:
        return []
    if isinstance(given, list):
        return [failure for i, item in enumerate(given) for failure in _unknown(f"{path}[{i}]", item, known)]
    if not isinstance(given, dict):
        return []
    failures = []
    for name, value in given.items():
        place = f"{path}.{name}" if path else name
        if name in known:
            failures += _unknown(place, value, known[name])
        else:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"; did you mean {near[0]}?" if near else ""
            failures.append(Failure(place, f"unknown property {place}{advice}"))
    return failures


def _was_made_up(name: Name, olds: Mapping[str, Any]) -> bool:
    return name.property in olds.get(DEFAULTS, [])


def _make_name(name: Name, naming: Naming) -> str:
    if naming.proposed:
        return naming.proposed
    if naming.disabled:
        raise ValueError(f"{name.property} is required: making up names is switched off")
    logical = naming.urn.rpartition("::")[2]
    base = logical.lower() if name.lower else logical
    if name.begin and not base.startswith(name.begin):
        base = name.begin + base
    if len(base) + 1 + _RANDOM_CHARACTERS > name.limit:
        raise ValueError(
            f"name '{base}-' plus {_RANDOM_CHARACTERS} random chars is longer than maximum length {name.limit}"
        )
    seed = naming.seed or os.urandom(32)
    suffix = hashlib.sha256(seed + naming.urn.encode()).hexdigest()[:_RANDOM_CHARACTERS]
    return f"{base}-{suffix}"
