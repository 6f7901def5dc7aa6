"""A folder with the program and the provider of the recordings, and ways to run a step in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cohost.engine import Event, Launch, Operation, Result, Stack, execute
from cohost.local import daemons
from cohost.local.daemons import Process
from tests.engine.fixtures import provider

FIXTURES = Path(__file__).parent / "fixtures"
CHECKOUT = Path(__file__).resolve().parents[2]
# Every process of a workspace carries this in its environment.
MARK = "ENGINE_WORKSPACE"
_DEADLINE_S = 60.0


@dataclass(frozen=True)
class Workspace:
    folder: Path
    port: int = 0
    events: list[Event] = field(default_factory=list)

    @property
    def stack(self) -> Stack:
        """The stack as the embedded engine knows it; its provider is a process, or one that serves `port`."""
        command = (sys.executable, "__main__.py")
        if self.port:
            command = ("sh", "-c", f"echo {self.port}; exec sleep 3600")
        environment = self.environment
        return Stack(
            project="recording",
            name="replay",
            root=self.folder,
            config={},
            secret_keys=frozenset(),
            providers={"rec": Launch(command=command, cwd=self.folder / "provider", env=environment)},
            state=self.folder / "state" / "replay.json",
            passphrase="replay",
            environment=environment,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, MARK: str(self.folder), "PYTHONPATH": str(CHECKOUT)}

    def begin(self, step: Mapping[str, Any]) -> None:
        """Puts a step's wishes where program and provider look for them."""
        (self.folder / "step.json").write_text(json.dumps({"resources": [], **step}))
        (self.folder / "calls.jsonl").write_text("")
        self.events.clear()

    def run(
        self,
        verb: str,
        resources: Iterable[Mapping[str, Any]] = (),
        *,
        stack: Stack | None = None,
        parallel: int = 16,
        **wishes: Any,
    ) -> Result:
        """Runs one operation on the embedded engine in this process."""
        self.begin({"resources": list(resources), **wishes})
        return execute(stack or self.stack, Operation(verb), on_event=self.events.append, parallel=parallel)

    @contextmanager
    def started(
        self, verb: str, resources: Iterable[Mapping[str, Any]] = (), *, parallel: int = 16, **wishes: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """Runs one operation in a process of its own, which the block may kill."""
        self.begin({"resources": list(resources), **wishes})
        with self.process(verb, parallel=parallel) as process:
            yield process

    @contextmanager
    def process(self, verb: str, *, parallel: int) -> Iterator[subprocess.Popen[str]]:
        """The engine's process for the step that has begun; the block waits for its end or kills it."""
        command = [sys.executable, "-m", "tests.engine.operation", verb, str(self.folder), str(parallel)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(command, cwd=self.folder, env=self.environment, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()

    def calls(self, *methods: str) -> list[dict[str, Any]]:
        """The provider calls of the step so far; only those of `methods` when given."""
        noted = [json.loads(line) for line in (self.folder / "calls.jsonl").read_text().splitlines()]
        return [call for call in noted if not methods or call["method"] in methods]

    def wait_for_call(self, method: str, name: str, process: subprocess.Popen[str]) -> bool:
        """Waits until a call arrives at the provider; false when the process ends without it."""
        deadline = time.monotonic() + _DEADLINE_S
        while not any(call["resource"] == name for call in self.calls(method)):
            if process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def deployment(self) -> dict[str, Any]:
        """What the state file holds; empty without one."""
        file = self.stack.state
        return json.loads(file.read_text())["deployment"] if file.exists() else {}

    def names(self) -> list[str]:
        """The resources in the state, without the stack and the providers."""
        resources = [r for r in self.deployment().get("resources", []) if not r["type"].startswith("pulumi:")]
        return [resource["urn"].rpartition("::")[2] for resource in resources]

    def processes(self) -> list[Process]:
        """Every live process of this workspace."""
        return daemons.with_variable(MARK, str(self.folder))

    def survivors(self) -> list[Process]:
        """The processes that are still there when all have had time to end."""
        deadline = time.monotonic() + _DEADLINE_S
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left


def make(folder: Path) -> Workspace:
    """The program and its provider, in a new folder."""
    plugin = folder / "provider"
    plugin.mkdir(parents=True)
    shutil.copy(FIXTURES / "program.py", folder / "__main__.py")
    shutil.copy(FIXTURES / "provider.py", plugin / "__main__.py")
    return Workspace(folder.resolve())


@contextmanager
def serving(folder: Path) -> Iterator[Workspace]:
    """A workspace whose provider is served by this process: half a second less for each step."""
    workspace = make(folder)
    server, port = provider.serve(workspace.folder)
    try:
        yield replace(workspace, port=port)
    finally:
        server.stop(grace=None)


def thing(name: str, opts: Mapping[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    """A resource of the program, by default with one input `value`."""
    return {"type": "rec:index:Thing", "name": name, "inputs": inputs or {"value": "1"}, "opts": dict(opts or {})}


def until(condition: Callable[[], bool]) -> None:
    """Waits until something holds; fails when it does not in time."""
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
