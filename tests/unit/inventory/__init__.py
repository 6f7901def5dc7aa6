"""What a stack registers, as YAML files beside this one: the values that matter, and only those.

`default.yaml` is whole; the file of a variant holds what it adds to that, removes from it and changes in it.
`python -m tests.unit.inventory` writes all of them anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.unit.mocks import Recording, Registered, run_main

FOLDER = Path(__file__).parent
COMMAND = "python -m tests.unit.inventory"
DEFAULT = "default"

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},
    "given-key": {"encryption": {"kmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/given"}},
    "production": {"production": "true"},
    "vpc": {
        "network": {
            "subnetIds": ["subnet-0a", "subnet-0b"],
            "securityGroupIds": ["sg-0a"],
            "isolation": True,
        }
    },
    "autoscaling": {"variant": {"minInstances": 1, "maxInstances": 3, "invocationsPerInstance": 600}},
    "no-rollback": {"rollback": {"enabled": False}},
    "no-alarms": {"alarms": {"enabled": False}},
    "notify": {"alarms": {"notify": ["arn:aws:sns:eu-west-1:123456789012:alerts"]}},
    "target-models": {"caller": {"targetModels": ["digits/*"]}},
    "training": {
        "training": {
            "enabled": True,
            "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/training@sha256:0a",
        }
    },
    "everything-given": {
        "endpointName": "models",
        "image": {"uri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/triton@sha256:0a"},
        "inferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-3-1",
        "verify": {"gpu": False},
        "forceDestroy": "true",
        "logRetentionDays": "7",
        "tags": {"team": "ml"},
    },
}


def taken(variant: str) -> dict[str, Any]:
    """What the program registers now, in the form of the files."""
    default = _inventory(DEFAULT)
    return default if variant == DEFAULT else _difference(default, _inventory(variant))


def kept(variant: str) -> dict[str, Any]:
    """What the file says."""
    return yaml.safe_load((FOLDER / f"{variant}.yaml").read_text())


def write(variant: str) -> None:
    """Writes the file."""
    content = yaml.safe_dump(taken(variant), sort_keys=False, width=120)
    (FOLDER / f"{variant}.yaml").write_text(f"# {COMMAND}\n{content}")


@cache
def _inventory(variant: str) -> dict[str, Any]:
    recording = run_main(VARIANTS[variant])
    entries = {_title(resource): _entry(resource, recording) for resource in recording.custom}
    return {title: entries[title] for title in sorted(entries)}


def _title(resource: Registered) -> str:
    package, module, name = resource.type.split(":")
    return f"{package}:{module.partition('/')[0]}:{name} {resource.name}"


def _entry(resource: Registered, recording: Recording) -> dict[str, Any]:
    before = [recording.resources[urn] for urn in resource.request.dependencies]
    entry = {
        "parent": resource.parent,
        "after": sorted(_title(other) for other in before if other.custom),
        "options": resource.options,
        "inputs": {name: _plain(name, value) for name, value in sorted(resource.inputs.items())},
    }
    return {name: value for name, value in entry.items() if value}


def _plain(name: str, value: Any) -> Any:
    """Policies by statement and pipelines by step, which have tests of their own; no digest, which training changes."""
    if name in ("policy", "assumeRolePolicy"):
        return [_statement(statement) for statement in json.loads(value)["Statement"]]
    if name == "pipelineDefinition":
        return [step["Name"] for step in json.loads(value)["Steps"]]
    if name in ("models", "release"):
        return f"({name})"
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain("", item) for item in value]
    if isinstance(value, dict):
        return {key: _plain("", item) for key, item in sorted(value.items())}
    return value


def _statement(statement: Mapping[str, Any]) -> str:
    keys = sorted(key for condition in statement.get("Condition", {}).values() for key in condition)
    return statement["Sid"] + (f" if {', '.join(keys)}" if keys else "")


def _difference(default: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    changed = {
        title: dict(_changes("", default[title], other[title]))
        for title in other
        if title in default and default[title] != other[title]
    }
    found = {
        "added": {title: entry for title, entry in other.items() if title not in default},
        "removed": [title for title in default if title not in other],
        "changed": changed,
    }
    return {name: value for name, value in found.items() if value}


def _changes(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from _changes(f"{path}.{name}".lstrip("."), before.get(name), after.get(name))
    elif before != after:
        yield path, after
