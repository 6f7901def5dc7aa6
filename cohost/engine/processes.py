"""Child processes that never outlive the engine, not even one that is killed.

Each runs in a session of its own, so that Ctrl-C in the terminal reaches only the engine. One small guard process
learns their ids over a pipe; when the pipe closes, because the engine ended in whatever way, it ends them. A child
gives its id itself, before it becomes the program: no moment is too early to be killed in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_GRACE_S: Final = 5.0
_GUARD: Final = """
import os, signal, sys, time
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
def end(number):
    for group in tuple(groups):
        try: os.killpg(group, number)
        except OSError: groups.discard(group)
end(signal.SIGTERM)
deadline = time.monotonic() + 5
while groups and time.monotonic() < deadline:
    time.sleep(0.05)
    end(0)
end(signal.SIGKILL)
"""

_ANNOUNCED: Final = 'echo "+$$" >&0; exec "$@" </dev/null'


class Processes:
    """The child processes of one operation; a context manager that ends them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Processes:
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        children = tuple(self._children)
        for child in children:
            _signal_group(child, signal.SIGTERM)
        for child in children:
            self.end(child)
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):
            self._guard.stdin.close()
        self._guard.wait()

    def start(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: IO[str] | None = None
    ) -> subprocess.Popen[str]:
        """Starts a process; a program that is not there says so and ends.

        Args:
            command: Program and arguments.
            cwd: Working directory.
            env: The whole environment.
            output: A file for all that it writes; None = pipes.

        Raises:
            OSError: The system starts no process there.
        """
        child = subprocess.Popen(
            ["/bin/sh", "-c", _ANNOUNCED, "sh", *command],
            cwd=cwd,
            env=_without_proxy(env),
            stdin=self._guard.stdin,
            stdout=output or subprocess.PIPE,
            stderr=output or subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        with self._lock:
            self._children.append(child)
        return child

    def end(self, child: subprocess.Popen[str]) -> None:
        """Ends a process and its children, by force after a grace time."""
        if child.poll() is None:
            _signal_group(child, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_S)
        _signal_group(child, signal.SIGKILL)
        child.wait()
        with self._lock:
            if child in self._children:
                self._children.remove(child)
                assert self._guard.stdin is not None
                with contextlib.suppress(OSError):
                    self._guard.stdin.write(f"-{child.pid}\n")
                    self._guard.stdin.flush()

    def kill(self) -> None:
        """Kills every process at once."""
        for child in tuple(self._children):
            _signal_group(child, signal.SIGKILL)


def _without_proxy(env: Mapping[str, str]) -> dict[str, str]:
    """The environment in which gRPC reaches this machine directly, whatever proxy is configured."""
    excepted = env.get("no_grpc_proxy") or env.get("no_proxy")
    return {**env, "no_grpc_proxy": ",".join(filter(None, [excepted, "127.0.0.1"]))}


def _signal_group(child: subprocess.Popen[str], number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child.pid, number)


def forward(stream: object, take: Callable[[str], None]) -> threading.Thread:
    """Hands each line of a stream to `take` until it ends, on a thread of its own."""

    def pump() -> None:
        for line in stream:  # pyright: ignore[reportGeneralTypeIssues]
            take(line.rstrip("\n"))

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    return thread
