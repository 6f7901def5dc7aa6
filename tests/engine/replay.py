"""Replays recorded scenarios on the embedded engine: `python -m tests.engine.replay FILE…`.

Exit status 0 when all hold, else 1 and the first difference of each. A scenario with an option that the engine
does not support holds when the engine refuses it by name.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cohost.engine import Operation, Result, execute
from tests.engine import scenario
from tests.engine.workspace import Workspace, serving

RECORDINGS = Path(__file__).parent / "recordings"
# How long a recorded engine lived after the call it was killed at.
KILL_AFTER_S = 0.4


def replay(path: Path) -> str | None:
    """The first difference of a scenario; None when it holds."""
    recording = json.loads(path.read_text())
    with tempfile.TemporaryDirectory(prefix="replay-") as temporary, serving(Path(temporary) / "project") as workspace:
        for number, step in enumerate(recording["steps"], 1):
            workspace.begin(wishes(step))
            seen = _killed(workspace, step) if "killAt" in step else _ended(workspace, step)
            if _refused(step, seen["error"]):
                print(f"{path.stem}: refused: {seen['error']}")
                return None
            found = scenario.difference(step["expect"], seen)
            if found:
                error = f" (error: {seen['error']})" if seen["error"] else ""
                return f"step {number} ({step['verb']}): {found}{error}"
    return None


def wishes(step: Mapping[str, Any]) -> dict[str, Any]:
    """What program and provider are to do in a step."""
    asked = {key: item for key, item in step.items() if key != "expect"}
    if step.get("expect", {}).get("exitCode") == 1:
        # Independent resources race; what a failure keeps from being done depends on who came first.
        order = dict.fromkeys(call["resource"] for call in step["expect"]["calls"] if call["method"] == "Check")
        asked.setdefault("order", list(order))
    return asked


def _ended(workspace: Workspace, step: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a step to its end."""
    refresh = "--refresh" in step.get("flags", ())
    operation = Operation(step["verb"])
    result = execute(workspace.stack, operation, on_event=workspace.events.append, parallel=1, refresh=refresh)
    return _seen(workspace, 1 if result.error else 0, _counts(workspace, result), result.error)


def _counts(workspace: Workspace, result: Result) -> list[str]:
    summary = dict(result.summary)
    same = summary.pop("same")
    events = workspace.events
    errored = {e.urn for e in events if e.status == "failed" or (e.kind == "log" and e.severity == "error")}
    return scenario.count_lines(summary, same, len(errored), preview=result.operation is Operation.PREVIEW)


def _killed(workspace: Workspace, step: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a step in a process of its own and kills that at a call; all its processes must end with it."""
    method, _, name = step["killAt"].partition(":")
    error = None
    with Workspace(workspace.folder).process(step["verb"], parallel=1) as engine:
        if workspace.wait_for_call(method, name, engine):
            time.sleep(KILL_AFTER_S)
        else:
            error = f"the call {step['killAt']} never came"
        engine.kill()
        code = engine.wait()
    if workspace.survivors():
        error = "processes outlived the killed engine"
    return _seen(workspace, code, [], error)


def _seen(workspace: Workspace, code: int, counts: list[str], error: str | None) -> dict[str, Any]:
    resources, pending = scenario.state(workspace.deployment())
    calls = [{key: item for key, item in call.items() if key != "pid"} for call in workspace.calls()]
    return {
        "exitCode": code,
        "counts": counts,
        "calls": calls,
        "resources": resources,
        "pendingOperations": pending,
        "error": error,
    }


def _refused(step: Mapping[str, Any], error: str | None) -> bool:
    """Whether the engine refused an option that the step really uses, by its name."""
    options = {option for entry in step["resources"] for option in entry.get("opts", {})}
    return any(f"does not support the option {option}" in (error or "") for option in options)


def main(paths: list[Path]) -> int:
    """Replays files, as many at a time as there are processors."""
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, found in zip(paths, pool.map(replay, paths), strict=True):
            failed += found is not None
            print(f"{path.stem}: {found or 'holds'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
