"""What is recorded of a resource: what the cloud tells, spelled as the program spelled it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cohost.local.aws_provider import properties
from cohost.local.aws_provider.checks import DEFAULTS
from cohost.local.aws_provider.equality import alike, sort_key
from cohost.local.aws_provider.resource import Resource
from cohost.local.aws_provider.wire import UNKNOWN


def outputs(resource: Resource, inputs: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the properties to record: the inputs, and over them what the cloud tells."""
    settled = {name: _settle(value, inputs.get(name)) for name, value in actual.items()}
    merged = {name: value for name, value in inputs.items() if name != DEFAULTS} | settled
    known = properties.outputs(resource.token)
    return {name: value for name, value in merged.items() if name in known and value is not None}


def planned(resource: Resource, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a preview knows of a resource still to be created: the inputs; all else is unknown."""
    computed = dict.fromkeys(properties.outputs(resource.token) - set(resource.supported), UNKNOWN)
    if resource.name and resource.name.property not in inputs:
        computed[resource.name.property] = UNKNOWN
    if resource.regional and "region" not in inputs:
        computed["region"] = UNKNOWN
    return computed | {name: value for name, value in inputs.items() if name != DEFAULTS}


def refreshed_inputs(resource: Resource, old_inputs: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs that describe what there is now.

    Args:
        resource: The type.
        old_inputs: The inputs last given; empty when the resource is being imported.
        actual: The properties as recorded now.
    """
    if not old_inputs:
        return {name: value for name, value in actual.items() if name in resource.supported}
    return {name: _project(actual[name], value) if name in actual else value for name, value in old_inputs.items()}


def _settle(actual: Any, wanted: Any) -> Any:
    """Returns the actual value, as the program wrote it where only order or spelling differs."""
    if isinstance(actual, dict) and isinstance(wanted, dict):
        return {name: _settle(value, wanted.get(name)) for name, value in actual.items()}
    if isinstance(actual, list) and isinstance(wanted, list):
        if sorted(map(sort_key, actual)) == sorted(map(sort_key, wanted)):
            return wanted
        if len(actual) == len(wanted):
            return [_settle(item, other) for item, other in zip(actual, wanted, strict=True)]
    return wanted if alike(actual, wanted) else actual


def _project(actual: Any, wanted: Any) -> Any:
    """Returns the actual value without what the program never said."""
    if isinstance(actual, dict) and isinstance(wanted, dict):
        return {name: _project(actual[name], value) for name, value in wanted.items() if name in actual}
    if isinstance(actual, list) and isinstance(wanted, list) and len(actual) == len(wanted):
        return [_project(item, other) for item, other in zip(actual, wanted, strict=True)]
    return actual
