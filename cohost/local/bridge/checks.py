"""Check: names made up, defaults filled in, and every property that is wrong said at once."""

from __future__ import annotations

import difflib
import enum
import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cohost.local.bridge.properties import Properties
from cohost.local.bridge.resource import Name, Resource
from cohost.local.bridge.wire import UNKNOWN

DEFAULTS: Final = "__defaults"
"""Lists the inputs that were filled in here, as the real provider's bridge does: a made-up name can be told
from a given one by it."""
_RANDOM_CHARACTERS: Final = 7


class Mode(enum.Enum):
    """What the engine's own settings say of made-up names."""

    UNSET = "unset"
    PROPOSED = "proposed"
    ENFORCED = "enforced"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Naming:
    """What a name is made of.

    Attributes:
        urn: The resource.
        seed: The engine's random bytes for this resource; empty when it gives none.
        mode: What the engine's own settings say.
        proposed: The name those settings ask for.
    """

    urn: str
    seed: bytes = b""
    mode: Mode = Mode.UNSET
    proposed: str = ""


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
    default_labels: Mapping[str, str],
) -> tuple[dict[str, Any], list[Failure]]:
    """Returns the inputs with everything filled in, and what is wrong with them.

    Args:
        resource: The type.
        known: All input properties of the type.
        olds: The inputs of the last deployment; empty for a new resource.
        news: The inputs as the program gives them.
        naming: What a name is made of.
        default_labels: Labels (or tags) every resource gets.
    """
    inputs = {name: value for name, value in news.items() if value is not None and name != DEFAULTS}
    failures = list(_unknown("", inputs, known))
    failures += [
        Failure(name, f"{resource.token}: {name} is not supported here")
        for name in inputs
        if name in known and name not in resource.supported
    ]
    filled: dict[str, Any] = {}
    for path, value in resource.defaults.items():
        name, _, inner = path.partition(".")
        if inner:
            inputs = {key: _fill(given, inner, value) if key == name else given for key, given in inputs.items()}
        elif name not in inputs:
            filled[name] = olds[name] if _can_be_kept(name, olds) else value
    try:
        filled |= _names(resource.name, inputs, olds, naming)
    except _NameError as error:
        failures.append(Failure(error.property, str(error)))
    if default_labels and resource.labels in resource.supported:
        inputs[resource.labels] = {**default_labels, **(inputs.get(resource.labels) or {})}
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


def prefix_of(name: str) -> str:
    """Returns the prefix that a name was made from; empty when it was not."""
    made = re.fullmatch(r"(.+?)\d{26}", name)
    return made[1] if made else ""


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


def _fill(given: Any, path: str, value: Any) -> Any:
    """Returns a property's value with a default set inside it, wherever there is the object to hold it."""
    if isinstance(given, list):
        return [_fill(item, path, value) for item in given]
    if not isinstance(given, dict):
        return given
    name, _, inner = path.partition(".")
    if inner:
        return {key: _fill(item, inner, value) if key == name else item for key, item in given.items()}
    return {name: value, **given}


def _can_be_kept(name: str, olds: Mapping[str, Any]) -> bool:
    """An input filled in once stays as it is; without a list of those, every old input counts as one.

    pulumi-terraform-bridge, pkg/tfbridge/schema.go, useOldDefault.
    """
    return name in olds and (DEFAULTS not in olds or name in olds[DEFAULTS])


def _names(name: Name | None, inputs: Mapping[str, Any], olds: Mapping[str, Any], naming: Naming) -> dict[str, str]:
    """Returns the name to fill in; nothing where the type has none or the program says it."""
    if name is None:
        return {}
    given, prefix = name.property in inputs, inputs.get(name.prefix)
    if given and prefix:
        raise _NameError(name, f"{name.property} conflicts with {name.prefix}: give one of the two")
    if given or prefix:
        return {}
    kept = olds[name.property] if _can_be_kept(name.property, olds) else None
    return {name.property: kept or _make_name(name, naming)}


def _make_name(name: Name, naming: Naming) -> str:
    """Makes a name as info/autonaming.go of pulumi-terraform-bridge does."""
    if naming.mode is Mode.DISABLED:
        raise _NameError(name, "automatic naming is disabled but no explicit name was provided")
    if naming.mode is Mode.ENFORCED:
        return naming.proposed
    base = naming.proposed if naming.mode is Mode.PROPOSED else naming.urn.rpartition("::")[2]
    base = base.lower() if name.lower else base
    if name.begin and not base.startswith(name.begin):
        base = name.begin + base
    if naming.mode is Mode.PROPOSED:
        if len(base) > name.limit:
            raise _NameError(name, f"calculated name '{base}' exceeds maximum length of {name.limit}")
        return base
    if len(base) + 1 + _RANDOM_CHARACTERS > name.limit:
        raise _NameError(
            name, f"name '{base}-' plus {_RANDOM_CHARACTERS} random chars is longer than maximum length {name.limit}"
        )
    seed = naming.seed or os.urandom(32)
    suffix = hashlib.sha256(seed + naming.urn.encode()).hexdigest()[:_RANDOM_CHARACTERS]
    return f"{base}-{suffix}"


class _NameError(ValueError):
    """No name can be made."""

    def __init__(self, name: Name, reason: str) -> None:
        super().__init__(reason)
        self.property = name.property
