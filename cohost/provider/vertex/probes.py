"""Probes of a container: checked as inputs, and turned into Google's messages and back.

An input is the JSON of google.cloud.aiplatform.v1.Probe (model.proto, google-cloud-aiplatform 2.7.0), whose members are
those of Kubernetes: `{httpGet: {path, port}, periodSeconds, failureThreshold}`. How period and timeout go together is
left to Google: its two comments on them contradict each other, and its own client's tests give both the same value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from cohost.errors import Problem
from cohost.provider import properties
from cohost.provider.properties import Validator, entry
from cohost.provider.values import UNKNOWN
from cohost.provider.vertex import checks

NAMES: Final = ("startupProbe", "healthProbe", "livenessProbe")
# What Google takes where none is given (model.proto).
_USUAL: Final = {
    "periodSeconds": 10,
    "timeoutSeconds": 1,
    "failureThreshold": 3,
    "successThreshold": 1,
    "initialDelaySeconds": 0,
}
_USUAL_SCHEME: Final = "HTTP"


def _command(path: str, value: Any) -> Iterator[Problem]:
    yield from properties.texts(path, value)
    if value == []:
        yield Problem("", path, "is empty; the command and its arguments are expected")


def _headers(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield Problem("", path, f"is {value!r}; a list of {{name, value}} is expected")
        return
    for index, header in enumerate(value):
        yield from _members(f"{path}[{index}]", header, _HEADER, required=("name",))


_HEADER: Final[Mapping[str, Validator]] = {"name": properties.text, "value": checks.any_text}
_ACTIONS: Final[Mapping[str, Mapping[str, Validator]]] = {
    "exec": {"command": _command},
    "httpGet": {
        "path": checks.route,
        "port": checks.port,
        "host": properties.text,
        "scheme": checks.matching("HTTPS?", "HTTP or HTTPS"),
        "httpHeaders": _headers,
    },
    "grpc": {"port": checks.port, "service": checks.any_text},
    "tcpSocket": {"port": checks.port, "host": properties.text},
}
# Kubernetes demands these (its Container v1 core API); Google's messages say nothing.
_REQUIRED: Final = ("command", "port")
_TIMES: Final[Mapping[str, Validator]] = {
    name: checks.from_zero if usual == 0 else properties.count for name, usual in _USUAL.items()
}


def probe(path: str, value: Any) -> Iterator[Problem]:
    """A probe with one action, whose members all are known."""
    actions = {name: _action(members) for name, members in _ACTIONS.items()}
    found = list(_members(path, value, {**actions, **_TIMES}))
    yield from found
    if isinstance(value, Mapping) and len(given := [name for name in _ACTIONS if name in value]) != 1:
        yield Problem("", path, f"has {' and '.join(given) or 'no action'}; one of {', '.join(_ACTIONS)} is expected")


def message(value: Mapping[str, Any]) -> Any:
    """A google.cloud.aiplatform_v1.types.Probe of an input."""
    from google.cloud.aiplatform_v1.types import Probe
    from google.protobuf import json_format

    made = Probe()
    json_format.ParseDict(dict(value), Probe.pb(made))
    return made


def told(container: Any) -> dict[str, dict[str, Any]]:
    """The probes that a ModelContainerSpec has, as inputs by their names."""
    from google.cloud.aiplatform_v1.types import Probe
    from google.protobuf import json_format

    messages = (container.startup_probe, container.health_probe, container.liveness_probe)
    found = {name: json_format.MessageToDict(Probe.pb(each)) for name, each in zip(NAMES, messages, strict=True)}
    return {name: each for name, each in found.items() if each}


def unusual(value: Mapping[str, Any]) -> dict[str, Any]:
    """A probe without what Google takes by itself: two that mean the same are equal then."""
    left = {name: each for name, each in value.items() if name not in _USUAL or each != _USUAL[name]}
    get = left.get("httpGet")
    if isinstance(get, Mapping) and get.get("scheme") == _USUAL_SCHEME:
        left["httpGet"] = {name: each for name, each in get.items() if name != "scheme"}
    return left


def _action(members: Mapping[str, Validator]) -> Validator:
    required = [name for name in _REQUIRED if name in members]
    return lambda path, value: _members(path, value, members, required)


def _members(
    path: str, value: Any, validators: Mapping[str, Validator], required: Collection[str] = ()
) -> Iterator[Problem]:
    if value is UNKNOWN:
        return
    if not isinstance(value, Mapping):
        yield Problem("", path, f"is {value!r}; {{{', '.join(validators)}}} is expected")
        return
    for name in required:
        if value.get(name) is None:
            yield Problem("", entry(path, name), "is missing")
    for name, item in value.items():
        if name not in validators:
            yield Problem("", entry(path, name), f"there is no such member; there are: {', '.join(validators)}")
        elif item is not UNKNOWN and item is not None:
            yield from validators[name](entry(path, name), item)
