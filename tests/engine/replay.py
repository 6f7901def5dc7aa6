"""Replays recorded scenarios on the embedded engine: `python -m tests.engine.replay FILE…`.

Exit status 0 when all hold, else 1 and the first difference of each. A scenario with an option that the engine
does not support holds when the engine refuses it by name.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cohost.engine import Event, Launch, Operation, Stack, execute
from tests.engine import scenario

_KILL_AFTER_S = 0.4
_DEADLINE_S = 60.0


def stack_of(folder: Path) -> Stack:
    """The local stack that runs in a workspace."""
    environment = dict(os.environ)
    launch = Launch(command=(sys.executable, "__main__.py"), cwd=folder / "provider", env=environment)
    return Stack(
        project="recording",
        name="replay",
        root=folder,
        config={},
        secret_keys=frozenset(),
        providers={"rec": launch},
        state=folder / "state" / "replay.json",
        passphrase="replay",
        environment=environment,
    )


def run_step(folder: Path, step: dict[str, Any]) -> dict[str, Any]:
    """Runs one step to its end; what was seen of it, without state and calls."""
    events: list[Event] = []
    refresh = "--refresh" in step.get("flags", ())
    result = execute(stack_of(folder), Operation(step["verb"]), on_event=events.append, parallel=1, refresh=refresh)
    summary = dict(result.summary)
    same = summary.pop("same")
    errored = {e.urn for e in events if e.status == "failed" or (e.kind == "log" and e.severity == "error")}
    counts = scenario.count_lines(summary, same, len(errored), preview=step["verb"] == "preview")
    return {"exitCode": 1 if result.error else 0, "counts": counts, "error": result.error}


def kill_step(folder: Path, kill_at: str) -> dict[str, Any]:
    """Runs one step in a process of its own and kills that at a call; the provider must end with it."""
    engine = subprocess.Popen([sys.executable, "-m", "tests.engine.replay", "--step", str(folder)])
    method, _, name = kill_at.partition(":")
    deadline = time.monotonic() + _DEADLINE_S
    while not any((c["method"], c["resource"]) == (method, name) for c in scenario.calls(folder)):
        if engine.poll() is not None or time.monotonic() > deadline:
            engine.kill()
            return {"exitCode": engine.wait(), "counts": [], "error": f"the call {kill_at} never came"}
        time.sleep(0.02)
    time.sleep(_KILL_AFTER_S)
    engine.send_signal(signal.SIGKILL)
    code = engine.wait()
    provider = json.loads((folder / "calls.jsonl").read_text().splitlines()[-1])["pid"]
    while Path(f"/proc/{provider}").exists() and _state(provider) != "Z":
        if time.monotonic() > deadline:
            return {"exitCode": code, "counts": [], "error": "the provider outlived the killed engine"}
        time.sleep(0.02)
    return {"exitCode": code, "counts": [], "error": None}


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def refused(step: dict[str, Any], seen: dict[str, Any]) -> bool:
    """Whether the engine refused an option that the step really uses, by its name."""
    options = {option for entry in step["resources"] for option in entry.get("opts", {})}
    return any(f"does not support the option {option}" in (seen["error"] or "") for option in options)


def replay(path: Path) -> str | None:
    """The first difference of a scenario; None when it holds."""
    recording = scenario.load(path)
    with tempfile.TemporaryDirectory(prefix="replay-") as temporary:
        folder = Path(temporary) / "project"
        scenario.make_workspace(folder)
        for number, step in enumerate(recording["steps"], 1):
            scenario.begin_step(folder, step)
            kill_at = step.get("killAt")
            seen = kill_step(folder, kill_at) if kill_at else run_step(folder, step)
            if refused(step, seen):
                print(f"{path.stem}: refused: {seen['error']}")
                return None
            found = _compare(folder, step, seen)
            if found:
                error = f" (error: {seen['error']})" if seen["error"] else ""
                return f"step {number} ({step['verb']}): {found}{error}"
    return None


def _compare(folder: Path, step: dict[str, Any], seen: dict[str, Any]) -> str | None:
    state = stack_of(folder).state
    deployment = json.loads(state.read_text())["deployment"] if state.exists() else {}
    resources, pending = scenario.state(deployment)
    seen = {**seen, "calls": scenario.calls(folder), "resources": resources, "pendingOperations": pending}
    if seen["exitCode"] == -signal.SIGKILL and seen["error"]:
        return seen["error"]
    return scenario.difference(step["expect"], seen)


def main(arguments: list[str]) -> int:
    """The command: files to replay, or `--step FOLDER` for one step in a workspace."""
    if arguments[:1] == ["--step"]:
        folder = Path(arguments[1])
        return run_step(folder, json.loads((folder / "step.json").read_text()))["exitCode"]
    failed = 0
    for path in map(Path, arguments):
        found = replay(path)
        failed += found is not None
        print(f"{path.stem}: {found or 'holds'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
