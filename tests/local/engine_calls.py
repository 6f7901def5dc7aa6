"""The life cycle of a stack on one of the engines, and every provider call that it makes.

`python -m tests.local.engine_calls [STACK...]` records those of the real engine (the `pulumi` command in PATH), each
stack's in the file that LIVES names.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cohost.local import emulators
from tests.local.project import CHECKOUT, Project, change_model, scratch_project

HOOK = Path(__file__).with_name("calls")
# How an engine and a provider meet and part; says nothing of resources.
MEETING = {"Handshake", "Attach", "GetPluginInfo", "Cancel"}
# A service of the real engine that our providers do not use, and chance.
OF_THE_RUN = ("resourceStatusAddress", "resourceStatusToken", "randomSeed")
CHANCE = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=-)[0-9a-f]{7}\b|\bA[0-9A-Z]{20}\b|\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?"
    r'|(?<="etag": ")[^"]+'
)
# What a deployed model's logical name ends with: another at every change of a model.
RELEASE = re.compile(r"(?<=-)[0-9a-f]{12}$")


@dataclass(frozen=True)
class Life:
    """What differs between the stacks.

    Attributes:
        recording: File of the real engine's calls.
        fleet: Key of the setting that says which machines there are.
        other: Another machine type, as the value of that setting.
        absent: One that there is none of, under `limits`.
        limits: The limits of the emulated account.
    """

    recording: Path
    fleet: str
    other: Mapping[str, Any]
    absent: Mapping[str, Any]
    limits: Mapping[str, Any]


LIVES = {
    "aws": Life(
        Path(__file__).with_name("life_cycle_calls.json"),
        fleet="variant",
        other={"instanceType": "ml.g5.2xlarge"},
        absent={"instanceType": "ml.g5.4xlarge"},
        limits={"capacity": {"ml.g5.4xlarge": 0}},
    ),
    "gcp": Life(
        Path(__file__).with_name("life_cycle_calls_gcp.json"),
        fleet="machine",
        other={"type": "g2-standard-12"},
        absent={"type": "n1-standard-8", "accelerator": "NVIDIA_TESLA_T4"},
        # Not by the quota, which our provider reads and so never asks for what it does not hold.
        limits={"refuse": {"deployModel": {"status": "RESOURCE_EXHAUSTED", "message": "There are no T4 left."}}},
    ),
}


@dataclass(frozen=True)
class Step:
    calls: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    document: dict[str, Any]


def life_cycle(folder: Path, stack: str, engine: str) -> dict[str, Step]:
    """Up, no change, one model, one machine type, failed update, destroy, in a scratch project."""
    project = scratch_project(folder / "project", models=("digits", "iris"))
    calls, requests = folder / "calls.jsonl", folder / "requests.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HOOK))
        patch.setenv("CALL_LOG", str(calls))
        patch.setenv("REQUEST_LOG", str(requests))
        try:
            return dict(_steps(project, stack, engine, calls, requests))
        finally:
            project.cohost("local", "stop")


def _steps(project: Project, stack: str, engine: str, *logs: Path) -> Iterator[tuple[str, Step]]:
    def step(operation: str, *, code: int = 0) -> Step:
        for log in logs:
            log.write_text("")
        done = project.cohost("local", operation, stack, "--engine", engine, "--json", timeout=900)
        assert done.code == code, done.err
        calls, requests = ([json.loads(line) for line in log.read_text().splitlines()] for log in logs)
        return Step(calls, requests, done.json())

    life = LIVES[stack]
    yield "up", step("up")
    yield "no change", step("up")
    change_model(project, "iris")
    yield "one model", step("up")
    project.configure({f"shared-endpoint:{life.fleet}": dict(life.other)}, stack=stack)
    yield "one instance type", step("up")
    emulators.set_limits(project.root, emulators.CLOUDS[stack], life.limits)
    project.configure({f"shared-endpoint:{life.fleet}": dict(life.absent)}, stack=stack)
    yield "failed update", step("up", code=1)
    yield "destroy", step("destroy")


def by_resource(calls: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The calls of each resource in order, those for functions by their token; two deletes may come in any order."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        if call["method"] not in MEETING:
            grouped.setdefault(_resource(call), []).append(call)
    for of_one in grouped.values():
        if all(call["method"] == "Delete" for call in of_one):
            of_one.sort(key=lambda call: json.dumps(same_on_all_runs(call), sort_keys=True))
    return grouped


def _resource(call: Mapping[str, Any]) -> str:
    if "urn" not in call:
        return call["tok"]
    kind, name = call["urn"].split("::")[2:]
    # A default provider's name holds the version of its SDK.
    return f"{kind.rpartition('$')[2]} {name.partition('_')[0] if kind.startswith('pulumi:providers:') else name}"


def same_on_all_runs(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call without what is another at every run."""
    kept = {key: value for key, value in call.items() if key not in OF_THE_RUN}
    return json.loads(CHANCE.sub("*", json.dumps(kept)))


def brief(calls: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """For each resource its calls in order, with the properties that a Diff or an Update found changed.

    Releases are numbered as they come: an engine looks at the new one before it deletes the old.
    """
    grouped = by_resource(calls)
    releases = list(dict.fromkeys(found.group() for name in grouped if (found := RELEASE.search(name))))
    named = {
        RELEASE.sub(lambda found: f"release-{releases.index(found.group()) + 1}", name): of_one
        for name, of_one in grouped.items()
    }
    return {name: " ".join(map(_word, of_one)) for name, of_one in sorted(named.items())}


def _word(call: Mapping[str, Any]) -> str:
    if call["method"] not in ("Diff", "Update"):
        return call["method"]
    old, new = call["oldInputs"], call["news"]
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return f"{call['method']}({','.join(changed)})"


def main() -> None:
    version = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=True).stdout
    for stack in sys.argv[1:] or LIVES:
        with tempfile.TemporaryDirectory(prefix="calls-") as temporary:
            steps = life_cycle(Path(temporary), stack, "pulumi")
        recording = {
            "engine": f"pulumi {version.strip().removeprefix('v')}",
            "sdk": f"pulumi (Python) {importlib.metadata.version('pulumi')}",
            "recorded": date.today().isoformat(),
            "steps": {name: brief(step.calls) for name, step in steps.items()},
        }
        LIVES[stack].recording.write_text(json.dumps(recording, indent=1) + "\n")
        print(f"recorded in {LIVES[stack].recording.relative_to(CHECKOUT)}")


if __name__ == "__main__":
    sys.exit(main())
