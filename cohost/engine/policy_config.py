"""What each policy of a pack is set to: the pack's defaults, what it sets itself, and what its user does.

The order and the checks are the real engine's (pulumi/pulumi, pkg/resource/analyzer/config.go); beyond them a name
that the pack does not have is refused here, since a mistyped one would set nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from google.protobuf import json_format
from pulumi.runtime.proto import analyzer_pb2

from cohost.engine.model import PolicyPack
from cohost.engine.values import from_struct, to_struct
from cohost.errors import InputError, Problem

LEVEL: Final = "enforcementLevel"
LEVELS: Final = {
    "advisory": analyzer_pb2.ADVISORY,
    "mandatory": analyzer_pb2.MANDATORY,
    "remediate": analyzer_pb2.REMEDIATE,
    "disabled": analyzer_pb2.DISABLED,
}
# Stands for every policy of the pack; only its level counts.
_ALL: Final = "all"


@dataclass(frozen=True)
class _Setting:
    level: int
    properties: Mapping[str, Any] = field(default_factory=dict)


def reconcile(info: analyzer_pb2.AnalyzerInfo, pack: PolicyPack) -> dict[str, analyzer_pb2.PolicyConfig]:
    """Returns the configuration that the pack is to be given.

    Raises:
        InputError: The user's settings do not fit the pack.
    """
    file = str(pack.config_file or "")
    if pack.config and not info.supportsConfig:
        raise InputError([Problem(file, "", f"policy pack {info.name} takes no settings; leave the file out")])
    settings = {policy.name: _Setting(policy.enforcementLevel, _defaults(policy)) for policy in info.policies}
    initial = {
        name: {LEVEL: _name(config.enforcementLevel), **from_struct(config.properties)}
        for name, config in info.initialConfig.items()
    }
    settings = _with(_with(settings, initial), pack.config)
    problems = [*_unknown(file, pack, info), *_misfits(file, info, settings)]
    if problems:
        raise InputError(problems)
    return {
        name: analyzer_pb2.PolicyConfig(enforcementLevel=setting.level, properties=to_struct(setting.properties))  # pyright: ignore[reportArgumentType]
        for name, setting in settings.items()
    }


def _with(settings: Mapping[str, _Setting], given: Mapping[str, Mapping[str, Any]]) -> dict[str, _Setting]:
    result = dict(settings)
    if LEVEL in given.get(_ALL, {}):
        result = {name: replace(setting, level=LEVELS[given[_ALL][LEVEL]]) for name, setting in result.items()}
    for name in given.keys() & result.keys():
        properties = dict(given[name])
        level = LEVELS[properties.pop(LEVEL)] if LEVEL in properties else result[name].level
        result[name] = _Setting(level, {**result[name].properties, **properties})
    return result


def _defaults(policy: analyzer_pb2.PolicyInfo) -> dict[str, Any]:
    schema = from_struct(policy.configSchema.properties)
    return {name: declared["default"] for name, declared in schema.items() if "default" in declared}


def _name(level: int) -> str:
    return next(name for name, number in LEVELS.items() if number == level)


def _unknown(file: str, pack: PolicyPack, info: analyzer_pb2.AnalyzerInfo) -> Iterator[Problem]:
    names = sorted(policy.name for policy in info.policies)
    for name in pack.config.keys() - {*names, _ALL}:
        yield Problem(file, name, f"is no policy of {info.name}, which has: {', '.join(names)}")


def _misfits(file: str, info: analyzer_pb2.AnalyzerInfo, settings: Mapping[str, _Setting]) -> Iterator[Problem]:
    # Only a stack with a pack needs the library; it takes a tenth of a second to import.
    from jsonschema import Draft7Validator

    for policy in info.policies:
        schema = json_format.MessageToDict(policy.configSchema)
        found = Draft7Validator({"type": "object", **schema}).iter_errors(dict(settings[policy.name].properties))
        for error in found:
            yield Problem(file, ".".join([policy.name, *map(str, error.absolute_path)]), error.message)
