"""A scratch copy of the project, and the `cohost` command run in it as a user would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cohost.local import scratch

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Project:
    root: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cohost.cli", *arguments]

    def cohost(self, *arguments: str, stdin: str = "", timeout: float = 300) -> Done:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def operate(self, operation: str, *arguments: str, stack: str = "aws") -> dict[str, Any]:
        """Runs an operation that must succeed; returns its JSON document."""
        done = self.cohost("local", operation, stack, "--json", *arguments)
        assert done.code == 0, done.err
        return done.json()

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}

    def cloud(self, stack: str = "aws") -> dict[str, str]:
        """The variables that point plain AWS clients at this project's emulators."""
        done = self.cohost("local", "env", stack, "--json")
        assert done.code == 0, done.err
        return done.json()

    def edit(self, file: str, change: Callable[[Any], Any]) -> None:
        """Changes a YAML file of the copy."""
        path = self.root / file
        content = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(change(content)))

    def own_copy_of(self, file: str) -> Path:
        """A file of the package, in a copy that this project's program imports instead of the installed one."""
        if not (self.root / "cohost").exists():
            shutil.copytree(CHECKOUT / "cohost", self.root / "cohost", ignore=shutil.ignore_patterns("__pycache__"))
        return self.root / file

    def configure(self, values: Mapping[str, Any], stack: str = "aws") -> None:
        self.edit(f"Pulumi.{stack}.yaml", lambda content: {**content, "config": {**content["config"], **values}})

    def processes(self) -> list[int]:
        """Every live process that belongs to this project's emulators or runs in its folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid() and self._ours(entry):
                found.append(int(entry.name))
        return found

    def _ours(self, entry: Path) -> bool:
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            return state not in "ZX" and (
                str(self.root).encode() in words or (entry / "cwd").readlink().is_relative_to(self.root)
            )
        except OSError:
            return False


def scratch_project(into: Path, *, models: tuple[str, ...] | None = None) -> Project:
    """Copies the project; with `models`, its catalog holds only those."""
    project = Project(scratch.copy(CHECKOUT, into))
    if models is not None:
        project.edit(
            "model_artifacts/catalog.yaml",
            lambda content: {"models": [entry for entry in content["models"] if entry["name"] in models]},
        )
    return project


def change_model(project: Project, name: str) -> None:
    """Gives a model other bytes and the same answers: what a new training run with the same outcome does."""
    import onnx

    (path,) = (project.root / "model_artifacts" / name).rglob("model.onnx")
    model = onnx.load(path)
    model.doc_string = f"{model.doc_string}again "
    path.write_bytes(model.SerializeToString(deterministic=True))


def model_paths(document: dict[str, Any]) -> set[str]:
    """The property paths of single models in a result's changes."""
    return {path for change in document["changes"] for path in change["diff"] if path.startswith("models[")}


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Waits until something holds; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def interrupt(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGINT)
