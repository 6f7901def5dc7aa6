"""The life cycle of the AWS stack on one of the engines, and every provider call that it makes.

`python -m tests.local.engine_calls` records those of the real engine (the `pulumi` command in PATH) in CALLS.
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

from tests.local.project import CHECKOUT, Project, change_model, scratch_project

CALLS = Path(__file__).with_name("life_cycle_calls.json")
HOOK = Path(__file__).with_name("calls")
OTHER_TYPE, ABSENT_TYPE = "ml.g5.2xlarge", "ml.g5.4xlarge"
# How an engine and a provider meet and part; says nothing of resources.
MEETING = {"Handshake", "Attach", "GetPluginInfo", "Cancel"}
# A service of the real engine that our providers do not use, and chance.
OF_THE_RUN = ("resourceStatusAddress", "resourceStatusToken", "randomSeed")
CHANCE = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=-)[0-9a-f]{7}\b|\bA[0-9A-Z]{20}\b|\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?"
)


@dataclass(frozen=True)
class Step:
    calls: list[dict[str, Any]]
    document: dict[str, Any]


def life_cycle(folder: Path, engine: str) -> dict[str, Step]:
    """Up, no change, one model, one instance type, failed update, destroy, in a scratch project."""
    project = scratch_project(folder / "project", models=("digits", "iris"))
    log = folder / "calls.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HOOK))
        patch.setenv("CALL_LOG", str(log))
        try:
            return dict(_steps(project, engine, log))
        finally:
            project.cohost("local", "stop")


def _steps(project: Project, engine: str, log: Path) -> Iterator[tuple[str, Step]]:
    def step(operation: str, *, code: int = 0) -> Step:
        log.write_text("")
        done = project.cohost("local", operation, "aws", "--engine", engine, "--json", timeout=900)
        assert done.code == code, done.err
        return Step([json.loads(line) for line in log.read_text().splitlines()], done.json())

    yield "up", step("up")
    yield "no change", step("up")
    change_model(project, "iris")
    yield "one model", step("up")
    project.configure({"shared-endpoint:variant": {"instanceType": OTHER_TYPE}})
    yield "one instance type", step("up")
    limited = project.cohost("local", "limit", "--capacity", f"{ABSENT_TYPE}=0")
    assert limited.code == 0, limited.err
    project.configure({"shared-endpoint:variant": {"instanceType": ABSENT_TYPE}})
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
            of_one.sort(key=lambda call: json.dumps(same_on_all_runs(call)))
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
    """For each resource its calls in order, with the properties that a Diff or an Update found changed."""
    return {name: " ".join(map(_word, of_one)) for name, of_one in sorted(by_resource(calls).items())}


def _word(call: Mapping[str, Any]) -> str:
    if call["method"] not in ("Diff", "Update"):
        return call["method"]
    old, new = call["oldInputs"], call["news"]
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return f"{call['method']}({','.join(changed)})"


def main() -> None:
    version = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="calls-") as temporary:
        steps = life_cycle(Path(temporary), "pulumi")
    recording = {
        "engine": f"pulumi {version.strip().removeprefix('v')}",
        "sdk": f"pulumi (Python) {importlib.metadata.version('pulumi')}",
        "recorded": date.today().isoformat(),
        "steps": {name: brief(step.calls) for name, step in steps.items()},
    }
    CALLS.write_text(json.dumps(recording, indent=1) + "\n")
    print(f"recorded in {CALLS.relative_to(CHECKOUT)}")


if __name__ == "__main__":
    sys.exit(main())
