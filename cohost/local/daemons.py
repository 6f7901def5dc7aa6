"""Processes that outlive the command that started them, told apart by process id *and* start time.

A process id alone is reused by the system; together with the moment the process started it names one process
for good, so a recycled id is never signalled. Read from `/proc` (Linux), else from `ps` (macOS).
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Process:
    """One process of this machine.

    Attributes:
        pid: Process id.
        started: When it started, in the system's own notation; only ever compared for equality.
        session: Id of the session (Linux) or process group (elsewhere) it belongs to.
    """

    pid: int
    started: str
    session: int


def spawn(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: Path, stderr: Path) -> Process:
    """Starts a command detached from this terminal: a session of its own, no standard input.

    Args:
        command: The command and its arguments.
        cwd: Its working folder.
        env: Its whole environment.
        stdout: File that its standard output replaces.
        stderr: File that its standard error is added to.

    Returns:
        The running process.

    Raises:
        OSError: It cannot be started.
    """
    with stdout.open("wb") as out, stderr.open("ab") as err:
        started = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    found = find(started.pid)
    return found or Process(pid=started.pid, started="", session=started.pid)


def find(pid: int) -> Process | None:
    """Returns the live process with this id; None when there is none or it has ended (a zombie has ended)."""
    _reap(pid)
    if _PROC.is_dir():
        return _read_proc(pid)
    return next((process for process in _ps(["-p", str(pid)])), None)


def alive(process: Process) -> bool:
    """Tells whether this very process still runs, not another one that got its id."""
    found = find(process.pid)
    return found is not None and found.started == process.started


def everyone() -> Iterator[Process]:
    """Yields every live process of this machine."""
    if not _PROC.is_dir():
        yield from _ps(["-ax"])
        return
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (process := _read_proc(int(entry.name))):
            yield process


def with_variable(name: str, value: str) -> list[Process]:
    """Returns the processes started with `name=value` in their environment (Linux; elsewhere none)."""
    wanted = f"{name}={value}".encode()
    return [process for process in everyone() if wanted in _environment_entries(process.pid)]


def end(targets: Iterable[Process], *, grace_seconds: float) -> None:
    """Ends processes and waits for it: SIGTERM, then SIGKILL for those still there after the grace time."""
    running = [process for process in targets if alive(process)]
    _signal(running, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while (running := [process for process in running if alive(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    _signal(running, signal.SIGKILL)
    deadline = time.monotonic() + grace_seconds
    while any(alive(process) for process in running) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _signal(targets: Iterable[Process], number: signal.Signals) -> None:
    for process in targets:
        if alive(process):
            try:
                os.kill(process.pid, number)
            except (ProcessLookupError, PermissionError):
                continue


def _reap(pid: int) -> None:
    """Collects a child of this command that has ended, so that it does not stay a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, OSError):
        return


def _read_proc(pid: int) -> Process | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # proc(5): the command stands in parentheses and may hold anything; the state is the first field after it.
    fields = text.rpartition(")")[2].split()
    state, session, start_ticks = fields[0], int(fields[3]), fields[19]
    return None if state in "ZX" else Process(pid=pid, started=f"{_boot()}+{start_ticks}", session=session)


@functools.cache
def _boot() -> str:
    """Names this start of the machine: start times count from it."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _environment_entries(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _ps(selection: Sequence[str]) -> Iterator[Process]:
    listing = subprocess.run(
        ["ps", *selection, "-o", "pid=,pgid=,stat=,lstart="], capture_output=True, text=True, check=False
    )
    for line in listing.stdout.splitlines():
        pid, group, state, started = line.split(maxsplit=3)
        if not state.startswith("Z"):
            yield Process(pid=int(pid), started=started.strip(), session=int(group))
