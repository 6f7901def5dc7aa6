"""From a stack's configuration to typed settings and a catalog, or to every problem at once.

Pure: configuration comes in as the engine hands it to a program (full keys, every value a string, maps and
lists as JSON), and nothing here knows Pulumi. docs/configuration.md describes the keys.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cohost import aws_rules, catalog, fleet, tokens, validation
from cohost.aws_settings import AwsSettings
from cohost.catalog import Catalog
from cohost.errors import InputError, Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from cohost.artifact import DigestCache

_REGION_KEY: Final = "aws:region"
# What stands in for values that are wrong, so that everything else is still looked at.
_STAND_IN: Final = {"platform": "aws", "region": "us-east-1", "endpointName": "shared-endpoint"}

_LONGEST_SHOWN: Final = 100

Location = tuple[int | str, ...]


def check(config: Mapping[str, str], *, stack: str) -> list[Problem]:
    """Returns everything wrong with a stack's configuration; empty when it is good.

    Args:
        config: Every value by its full key ("shared-endpoint:variant"), as the engine hands it to programs.
        stack: The stack's name.
    """
    return _read(config, stack)[1]


def parse(config: Mapping[str, str], *, stack: str) -> AwsSettings:
    """Returns a stack's settings; arguments as of `check`.

    Raises:
        InputError: With every problem found.
    """
    settings, problems = _read(config, stack)
    if problems:
        raise InputError(problems)
    return settings


def preflight(settings: AwsSettings, models: Catalog, *, cache: DigestCache | None = None) -> list[Problem]:
    """Returns everything wrong with a catalog on this fleet: the models, and their size on its disk."""
    instance = fleet.instance_type(settings.variant.instance_type)
    return validation.validate(models, max_bytes=instance.max_model_bytes if instance else None, cache=cache)


def prepare(
    config: Mapping[str, str], *, stack: str, root: Path, cache: DigestCache | None = None
) -> tuple[AwsSettings, Catalog]:
    """Returns a stack's settings and its catalog, both checked, before anything changes.

    Args:
        config: As of `check`.
        stack: The stack's name.
        root: The folder of Pulumi.yaml.
        cache: Where to note folders found good.

    Raises:
        InputError: With every problem found in either.
    """
    settings, problems = _read(config, stack)
    models: Catalog | None = None
    try:
        models = catalog.load(root / settings.catalog)
        problems += preflight(settings, models, cache=cache)
    except InputError as error:
        problems += error.problems
    if problems or models is None:
        raise InputError(problems)
    return settings, models


def _read(config: Mapping[str, str], stack: str) -> tuple[AwsSettings, list[Problem]]:
    """Returns settings (with stand-ins for what is wrong) and the problems."""
    values, faults = _decode(config, stack)
    platform = values.get("platform", "aws")
    if platform != "aws":
        # The other keys are another platform's: nothing can be said of them.
        return AwsSettings.model_validate(_STAND_IN), [_problem(stack, "platform", _platform_fault(platform))]
    settings, type_faults = _validate(values)
    faults += type_faults
    broken = {_path(location) for location, _ in faults}
    rules = [fault for fault in aws_rules.faults(settings) if not _stands_in(fault[0], broken)]
    problems = [_problem(stack, _path(location), message) for location, message in faults]
    return settings, sorted([*problems, *(_problem(stack, key, message) for key, message in rules)])


def _decode(config: Mapping[str, str], stack: str) -> tuple[dict[str, Any], list[tuple[Location, str]]]:
    """Returns the project's own values as the types want them: maps and lists read from their JSON."""
    values: dict[str, Any] = {"endpointName": f"{tokens.PROJECT}-{stack}"}
    faults: list[tuple[Location, str]] = []
    if _REGION_KEY in config:
        values["region"] = config[_REGION_KEY]
    structured = {field.alias for field in AwsSettings.model_fields.values() if _is_structured(field.annotation)}
    for full_key, text in config.items():
        namespace, _, key = full_key.partition(":")
        if namespace != tokens.PROJECT:
            continue
        try:
            # `region` is a setting of the aws provider, not one of ours.
            values["region?" if key == "region" else key] = json.loads(text) if key in structured else text
        except (ValueError, RecursionError):
            faults.append(((key,), f"must be a map of settings, not {_shown(text)}"))
    return values, faults


def _is_structured(annotation: Any) -> bool:
    if get_origin(annotation) is types.UnionType:
        return any(_is_structured(part) for part in get_args(annotation))
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, (BaseModel, dict, list, tuple))


def _validate(values: dict[str, Any]) -> tuple[AwsSettings, list[tuple[Location, str]]]:
    try:
        return _model(values), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    remaining: dict[str, Any] = json.loads(json.dumps(values))
    for detail in details:
        _drop(remaining, detail["loc"])
    return _model(_STAND_IN | remaining), [(detail["loc"], _explain(detail)) for detail in details]


def _model(values: dict[str, Any]) -> AwsSettings:
    # By the names of the configuration alone: Python's own would be a second, undocumented spelling.
    return AwsSettings.model_validate(values, by_alias=True, by_name=False)


def _drop(values: dict[str, Any], location: Location) -> None:
    """Removes what is at a location; of a list the whole, since an element would move the others."""
    *parents, last = [str(part) for part in location if part != "[key]"]
    for part in parents:
        inner = values.get(part)
        if not isinstance(inner, dict):
            values.pop(part, None)
            return
        values = inner
    values.pop(last, None)


def _explain(detail: ErrorDetails) -> str:
    """Says in a line what is wrong with a value and what would be right."""
    kind, message = detail["type"], detail["msg"]
    if kind == "missing":
        return _MISSING.get(_path(detail["loc"]), "is missing")
    if kind == "extra_forbidden":
        return _unknown(detail["loc"])
    if kind == "value_error":
        return str(detail.get("ctx", {}).get("error", message))
    if kind in ("bool_parsing", "bool_type"):
        message = "Input should be true or false"
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        message = "Input should be a map of settings"
    elif kind in ("tuple_type", "list_type"):
        message = "Input should be a list"
    wanted = message.replace("Input should be", "must be").split(", unable to")[0]
    return f"{wanted}, not {_shown(detail['input'])}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


_MISSING: Final = {
    "platform": 'is missing; this release knows "aws"',
    "region": "is missing; set it with `pulumi config set aws:region eu-west-1`",
}


def _platform_fault(platform: str) -> str:
    if platform == "gcp":
        return '"gcp" is not in this release; "aws" is'
    return f'{platform!r} is not a platform; this release knows "aws"'


def _unknown(location: Location) -> str:
    *parents, last = location
    names = _known_names(parents)
    near = get_close_matches(str(last), names, n=1)
    if location == ("region?",):
        return f"is not a setting of the project; the region is {_REGION_KEY}"
    return "is not a setting" + (f"; did you mean {near[0]}?" if near else f"; these are: {', '.join(names)}")


def _known_names(parents: Sequence[int | str]) -> list[str]:
    model: type[BaseModel] = AwsSettings
    for part in parents:
        field = next(field for field in model.model_fields.values() if field.alias == part)
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        model = field.annotation
    return sorted(field.alias or "" for field in model.model_fields.values() if field.alias != "region")


def _path(location: Location) -> str:
    return "".join(_steps(location)).removeprefix(".")


def _steps(location: Location) -> Iterator[str]:
    for part in location:
        if part != "[key]":
            yield f"[{part}]" if isinstance(part, int) else f".{part}"


def _stands_in(key: str, broken: set[str]) -> bool:
    """Whether a rule's fault comes of a stand-in: something wrong is at, in or around its key."""
    return any(key == path or key.startswith((f"{path}.", f"{path}[")) or path.startswith(f"{key}[") for path in broken)


def _problem(stack: str, path: str, message: str) -> Problem:
    key = _REGION_KEY if path == "region" else f"{tokens.PROJECT}:{path.removesuffix('?')}"
    return Problem(f"Pulumi.{stack}.yaml", key, message)
