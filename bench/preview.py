"""A preview of the gcp stack against one of the aws stack, the same models: no library of Google's is on its way.

As a user waits for it, on the local cloud; and what is left of it on a real one, without emulated providers: the
program, on mocks, and the plugin from its start through the calls of a preview.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import report
from bench.local_stack import ROOT, cohost, project
from tests.local.project import Project, change_model, model_paths
from tests.unit.plugin_process import plugin

STACKS = ("gcp", "aws")
ROUNDS = 5
WANTED = 1.2
PROGRAMS = {"aws": "from tests.unit.mocks import run_main", "gcp": "from tests.unit.mocks_gcp import run_main"}


def main() -> None:
    """Measures and prints."""
    with project() as root:
        resources: dict[str, list[Any]] = {}
        clouds: dict[str, dict[str, str]] = {}
        for stack in STACKS:
            cohost(root, "local", "up", stack)
            resources[stack] = deployed(root, stack)
            clouds[stack] = cohost(root, "local", "env", stack)
        results = [
            compare("preview without change", lambda stack: preview(root, stack, changes=0)),
            compare("of it the program", program),
            compare("of it the cohost plugin", lambda stack: ask(root, clouds[stack], resources[stack])),
        ]
        change_model(Project(root), "digits")
        results.append(compare("preview of one changed model", lambda stack: preview(root, stack, changes=1)))
    print(report.machine())
    report.finish(*results)


def compare(what: str, action: Callable[[str], None]) -> bool:
    """Measures something of both stacks in turns and prints it."""
    ours, others = report.median_of_pairs(*((lambda stack=stack: action(stack)) for stack in STACKS), rounds=ROUNDS)
    ratio = ours / others
    alternative, good = f"stack aws {others:.2f} s", ratio <= WANTED
    return report.line(f"{what}, stack gcp", f"{ours:.2f} s", alternative, ratio, f"<= {WANTED:g}", good=good)


def preview(root: Path, stack: str, *, changes: int) -> None:
    """A preview, as a user waits for it; so many models have changed."""
    paths = model_paths(cohost(root, "local", "preview", stack))
    assert len(paths) == changes, paths


def program(stack: str) -> None:
    """The program of a stack in a process of its own, and nobody who answers but mocks."""
    code = f"{PROGRAMS[stack]}\nrun_main()"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True)


def deployed(root: Path, stack: str) -> list[Any]:
    """The plugin's own resources in a stack's state."""
    state = json.loads((root / ".cohost" / stack / "state.json").read_text())
    found = state["deployment"]["resources"]
    return [each for each in found if each["custom"] and each["type"].startswith("cohost:")]


def ask(root: Path, cloud: Mapping[str, str], resources: list[Any]) -> None:
    """A plugin's life in a preview: its start, and a check and a diff of each resource."""
    with plugin(root, {**cloud, "PYTHONPATH": os.fspath(ROOT)}) as started:
        for resource in resources:
            started.token, started.urn = resource["type"], resource["urn"]
            assert started.check(resource["inputs"], resource["inputs"]) == {}
            assert not started.diff(resource["outputs"], resource["inputs"]).detailedDiff


if __name__ == "__main__":
    main()
