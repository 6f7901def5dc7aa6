"""What is recorded of a resource: what the cloud tells, spelled as the program spelled it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cohost.local.bridge import properties
from cohost.local.bridge.checks import DEFAULTS
from cohost.local.bridge.equality import alike, same_items
from cohost.local.bridge.resource import Resource
from cohost.local.bridge.wire import UNKNOWN


def outputs(resource: Resource, inputs: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the properties to record: the inputs, and over them what the cloud tells."""
    settled = {name: _settle(value, inputs.get(name)) for name, value in actual.items()}
    merged = given(inputs) | settled
    known = properties.outputs(resource.token)
    return {name: value for name, value in merged.items() if name in known and value is not None}


def planned(resource: Resource, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a preview knows of a resource still to be created: the inputs; all else is unknown."""
    decided = properties.outputs(resource.token) - set(properties.inputs(resource.token)) | resource.computed
    computed: dict[str, Any] = dict.fromkeys(decided, UNKNOWN)
    if resource.name and resource.name.property not in inputs:
        computed[resource.name.property] = UNKNOWN
    computed |= dict.fromkeys(resource.places - set(inputs), UNKNOWN)
    return _with_copies(resource, computed | given(inputs))


def planned_update(resource: Resource, old: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a preview knows of a resource to be updated in place."""
    return _with_copies(resource, {**old, **given(inputs)})


def given(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs without the list of those that were filled in."""
    return {name: value for name, value in inputs.items() if name != DEFAULTS}


def refreshed_inputs(old_inputs: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs last given, as they would have to be to describe what there is now.

    As pulumi-terraform-bridge, extractInputsObject: what is gone is left out, and a default that has changed is
    none any more.

    Args:
        old_inputs: The inputs last given.
        actual: The properties as recorded now.
    """
    inputs = {name: _project(actual[name], value) for name, value in old_inputs.items() if name in actual}
    defaults = [name for name in old_inputs.get(DEFAULTS, []) if inputs.get(name) == old_inputs.get(name)]
    return inputs | ({DEFAULTS: defaults} if defaults else {})


def imported_inputs(resource: Resource, actual: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs that describe a resource just imported, without empty values and defaults.

    As pulumi-terraform-bridge, extractSchemaInputsObject; none of them counts as filled in, so that a program
    which leaves out the name replaces what it imported.
    """
    inputs = {
        name: value
        for name, value in actual.items()
        if name in resource.supported
        and value not in ("", False, [], {})
        and (name not in resource.defaults or resource.defaults[name] != value)
    }
    return {**inputs, DEFAULTS: []}


def _with_copies(resource: Resource, known: dict[str, Any]) -> dict[str, Any]:
    return known | resource.copied(known)


def _settle(actual: Any, wanted: Any) -> Any:
    """Returns the actual value, as the program wrote it where only order or spelling differs."""
    if isinstance(actual, dict) and isinstance(wanted, dict):
        return {name: _settle(value, wanted.get(name)) for name, value in actual.items()}
    if isinstance(actual, list) and isinstance(wanted, list):
        if same_items(actual, wanted):
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
