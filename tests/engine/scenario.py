"""What is seen of a recorded step, and how two sightings compare."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

SECRET_MARK = "4dabf18193072939515e22adb298388d"
STACK_TYPE = "pulumi:pulumi:Stack"
KEPT = ("id", "inputs", "outputs", "initErrors", "protect", "retainOnDelete", "delete", "external")
KEPT_OPTIONS = ("additionalSecretOutputs", "customTimeouts", "ignoreChanges", "replaceOnChanges")
PAST = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "replace": "replaced",
    "import": "imported",
}
SIGNS = {"create": "+ ", "update": "~ ", "delete": "- ", "replace": "+-", "import": "= "}


def state(deployment: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Resources and pending operations of a deployment, in the recordings' form."""
    resources = [r for r in deployment.get("resources") or [] if not r["type"].startswith("pulumi:providers:")]
    pending = [
        {"operation": p["type"], "name": name(p["resource"]["urn"]), "type": p["resource"]["type"]}
        for p in deployment.get("pending_operations") or []
    ]
    return [resource(r) for r in resources], pending


def name(urn: str) -> str:
    return "stack" if f"::{STACK_TYPE}::" in urn else urn.rpartition("::")[2]


def resource(raw: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": raw["type"],
        "name": name(raw["urn"]),
        "qualifiedType": raw["urn"].split("::")[2],
    }
    for key in (*KEPT, *KEPT_OPTIONS):
        if raw.get(key):
            shown[key] = mask(raw[key])
    for key in ("parent", "deletedWith"):
        if raw.get(key):
            shown[key] = name(raw[key])
    if raw.get("dependencies"):
        shown["dependencies"] = sorted(name(urn) for urn in raw["dependencies"])
    if "propertyDependencies" in raw:
        shown["propertyDependencies"] = {
            key: sorted(name(urn) for urn in urns) for key, urns in raw["propertyDependencies"].items() if urns
        }
    return shown


def mask(given: Any) -> Any:
    if isinstance(given, dict):
        if SECRET_MARK in given:
            return {"secret": True}
        return {key: mask(item) for key, item in given.items()}
    return given


def count_lines(changes: Mapping[str, int], same: int, errored: int, *, preview: bool) -> list[str]:
    """The lines under "Resources:" as the pulumi command prints them."""
    seen = {op: number for op, number in changes.items() if number}
    lines = [
        f"{SIGNS[op]}{number} to {op}" if preview else f"{SIGNS[op]}{number} {PAST[op]}"
        for op, number in sorted(seen.items(), key=lambda item: list(PAST).index(item[0]))
    ]
    pieces = [f"{sum(seen.values())} changes"] if len(seen) > 1 else []
    pieces += [f"{same} unchanged"] if same else []
    return lines + ([". ".join(pieces)] if pieces else []) + ([f"{errored} errored"] if errored else [])


def difference(expect: Mapping[str, Any], seen: Mapping[str, Any]) -> str | None:
    """The first thing in which a step as seen is not as recorded; None when all holds."""
    for key in ("exitCode", "counts", "pendingOperations"):
        want, got = expect[key], seen[key]
        if (sorted(want) != sorted(got)) if key == "counts" else (want != got):
            return f"{key}: recorded {json.dumps(want)}, got {json.dumps(got)}"
    return (
        _calls_differ(expect["calls"], seen["calls"])
        or _order_differs(expect["resources"], expect["calls"], seen["calls"])
        or _resources_differ(expect["resources"], seen["resources"])
    )


def _calls_differ(expect: Iterable[Mapping[str, Any]], seen: Iterable[Mapping[str, Any]]) -> str | None:
    wanted, got = _by_resource(expect), _by_resource(seen)
    for resource_name in sorted({*wanted, *got}):
        a, b = wanted.get(resource_name, []), got.get(resource_name, [])
        for index in range(max(len(a), len(b))):
            one = a[index] if index < len(a) else None
            two = b[index] if index < len(b) else None
            if one != two:
                return f"call {index + 1} of {resource_name}: recorded {json.dumps(one)}, got {json.dumps(two)}"
    return None


def _by_resource(calls: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        grouped.setdefault(call["resource"], []).append(call)
    return {name: _ordered(of_one) for name, of_one in grouped.items()}


def _ordered(calls: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The calls with deletes that follow each other in the order of their ids: the engine's own is by chance."""
    runs = itertools.groupby(calls, key=lambda call: call["method"] == "Delete")
    return [call for deletes, run in runs for call in (sorted(run, key=lambda c: c["id"]) if deletes else run)]


def _order_differs(
    resources: Iterable[Mapping[str, Any]],
    expect: list[Mapping[str, Any]],
    seen: list[Mapping[str, Any]],
) -> str | None:
    """Whether calls of dependent resources, and the deletes after a replacement, come in another order."""
    pairs = {(r["name"], dependency) for r in resources for dependency in r.get("dependencies", ())}
    for one, two in pairs:
        want = [_brief(c) for c in expect if c["resource"] in (one, two)]
        got = [_brief(c) for c in seen if c["resource"] in (one, two)]
        if want != got:
            return f"order of calls of {one} and {two}: recorded {want}, got {got}"
    want_last, got_last = _trailing_deletes(expect), _trailing_deletes(seen)
    if want_last != got_last:
        return f"deletes after all else: recorded {want_last}, got {got_last}"
    return None


def _brief(call: Mapping[str, Any]) -> str:
    return f"{call['method']} {call['resource']}"


def _trailing_deletes(calls: list[Mapping[str, Any]]) -> Counter[str]:
    last = max((i for i, call in enumerate(calls) if call["method"] != "Delete"), default=-1)
    return Counter(_brief(call) for call in calls[last + 1 :])


def _resources_differ(expect: list[Mapping[str, Any]], seen: list[Mapping[str, Any]]) -> str | None:
    def key(item: Mapping[str, Any]) -> tuple[str, bool]:
        return item["name"], bool(item.get("delete"))

    wanted, got = {key(r): r for r in expect}, {key(r): r for r in seen}
    for which in sorted({*wanted, *got}):
        if wanted.get(which) != got.get(which):
            return f"state of {which[0]}: recorded {json.dumps(wanted.get(which))}, got {json.dumps(got.get(which))}"
    earlier: set[str] = set()
    for item in seen:
        missing = {item.get("parent"), *item.get("dependencies", ())} - {None} - earlier
        if missing:
            return f"state: {item['name']} stands before {', '.join(sorted(map(str, missing)))}, which it needs"
        earlier.add(item["name"])
    return None
