"""Records scenarios on the real engine: `python -m tests.engine.record [--check] FILE…`.

A file holds `{name, promise, steps}` as recordings/README.md tells; what the `pulumi` command in PATH does with
it is put in as each step's `expect`. With `--check` files stay as they are, and what differs is said.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from cohost.local import daemons
from tests.engine import scenario, workspace
from tests.engine.replay import KILL_AFTER_S, wishes
from tests.engine.workspace import Workspace

_STACK = "replay"
# A lock file without a project: the real engine reads there what the program needs, and installs nothing.
_PROJECT_FILES = {
    "Pulumi.yaml": f"""
name: recording
runtime: {{name: python, options: {{toolchain: uv, virtualenv: {sys.prefix}}}}}
plugins: {{providers: [{{name: rec, path: ./provider}}]}}
""",
    "provider/PulumiPlugin.yaml": f"runtime: {{name: python, options: {{virtualenv: {sys.prefix}}}}}\n",
    "uv.lock": "version = 1\n",
}


class Recorder:
    """A stack of the real engine in a workspace of its own; nothing outside the folder is touched."""

    def __init__(self, folder: Path) -> None:
        self.workspace: Workspace = workspace.make(folder)
        home, backend = folder / "home", folder / "backend"
        backend.mkdir()
        for name, text in _PROJECT_FILES.items():
            (folder / name).write_text(text)
        self.environment = {
            **self.workspace.environment,
            # The uv that `make install` brings, where there is no other.
            "PATH": os.pathsep.join([os.environ["PATH"], str(workspace.CHECKOUT / ".uv" / "bin")]),
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": "replay",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        self.pulumi("stack", "init", _STACK)

    def pulumi(self, *arguments: str) -> str:
        """Runs a command that must succeed; its standard output."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.workspace.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"pulumi {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def step(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Runs a step; what is to be expected of it."""
        self.workspace.begin(wishes(step))
        agreed = [] if step["verb"] == "preview" else ["--yes", "--skip-preview"]
        parallel = [] if "--parallel" in step.get("flags", ()) else ["--parallel", "1"]
        command = ["pulumi", step["verb"], *agreed, *parallel, *step.get("flags", ())]
        with subprocess.Popen(
            [*command, "--stack", _STACK, "--non-interactive", "--color", "never"],
            cwd=self.workspace.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            if "killAt" in step:
                self._kill(process, step["killAt"])
            said, _ = process.communicate()
        if "killAt" in step:
            self.pulumi("cancel", _STACK, "--yes")
        deployment = json.loads(self.pulumi("stack", "export", "--stack", _STACK))["deployment"]
        resources, pending = scenario.state(deployment)
        calls = [{key: item for key, item in call.items() if key != "pid"} for call in self.workspace.calls()]
        return {
            # A shell's word for the signal would be another number.
            "exitCode": process.returncode,
            "counts": [] if "killAt" in step else _counts(said),
            "calls": calls,
            "resources": resources,
            "pendingOperations": pending,
        }

    def _kill(self, process: subprocess.Popen[str], kill_at: str) -> None:
        method, _, name = kill_at.partition(":")
        if not self.workspace.wait_for_call(method, name, process):
            raise SystemExit(f"the call {kill_at} never came")
        time.sleep(KILL_AFTER_S)
        process.kill()
        daemons.end(self.workspace.processes(), grace_seconds=0)


def _counts(said: str) -> list[str]:
    """The lines under "Resources:"."""
    found = re.search(r"^Resources:\n((?: +.+\n)+)", said, re.MULTILINE)
    return [line.strip() for line in found[1].splitlines()] if found else []


def record(given: Mapping[str, Any]) -> dict[str, Any]:
    """The scenario as the real engine does it."""
    with tempfile.TemporaryDirectory(prefix="record-") as temporary:
        recorder = Recorder(Path(temporary).resolve() / "project")
        steps = [{**step, "expect": recorder.step(step)} for step in given["steps"]]
    version = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=True).stdout
    return {
        "name": given["name"],
        "promise": given["promise"],
        "engine": f"pulumi {version.strip().removeprefix('v')}",
        "sdk": f"pulumi (Python) {importlib.metadata.version('pulumi')}",
        "recorded": date.today().isoformat(),
        "steps": steps,
    }


def difference(kept: Mapping[str, Any], seen: Mapping[str, Any]) -> str | None:
    """The first thing in which two recordings of a scenario differ."""
    for number, (one, two) in enumerate(zip(kept["steps"], seen["steps"], strict=True), 1):
        found = scenario.difference(one["expect"], two["expect"])
        if found:
            return f"step {number} ({one['verb']}): {found}"
    return None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.engine.record", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change no file, say what differs")
    parser.add_argument("files", nargs="+", type=Path)
    asked = parser.parse_args(arguments)
    if not shutil.which("pulumi"):
        parser.error("there is no `pulumi` command in PATH")
    failed = 0
    for file in asked.files:
        given = json.loads(file.read_text())
        seen = record(given)
        found = difference(given, seen) if asked.check else None
        failed += found is not None
        if not asked.check:
            file.write_text(json.dumps(seen, indent=1) + "\n")
        print(f"{file.stem}: {found or ('holds' if asked.check else 'recorded')}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
