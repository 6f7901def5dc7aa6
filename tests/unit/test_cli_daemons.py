from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohost.local import daemons
from cohost.local.daemons import Process

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
time.sleep(600)
"""
WITH_CHILD = "import subprocess, time\nsubprocess.Popen(['sleep', '600'])\nprint('up', flush=True)\ntime.sleep(600)"


@pytest.fixture
def spawned(tmp_path: Path) -> Iterator[list[Process]]:
    made: list[Process] = []
    yield made
    daemons.end(made, grace_seconds=0.2)


def spawn(tmp_path: Path, program: str, **variables: str) -> Process:
    out = tmp_path / "out"
    process = daemons.spawn(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, **variables},
        stdout=out,
        stderr=tmp_path / "err",
    )
    deadline = time.monotonic() + 30
    while "up" not in out.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_process_with_the_same_id_but_another_start_is_another_process() -> None:
    own = daemons.find(os.getpid())
    assert own is not None
    assert daemons.alive(own)
    assert not daemons.alive(dataclasses.replace(own, started="some other boot+1"))


def test_a_recycled_id_is_never_signalled() -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        try:
            real = daemons.find(bystander.pid)
            assert real is not None
            daemons.end([dataclasses.replace(real, started="earlier")], grace_seconds=0.2)
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_detached_process_has_its_own_session_and_no_terminal(tmp_path: Path, spawned: list[Process]) -> None:
    process = spawn(tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(600)")
    spawned.append(process)
    assert process.session == process.pid != os.getsid(0)


def test_what_ignores_the_polite_request_is_killed(tmp_path: Path, spawned: list[Process]) -> None:
    process = spawn(tmp_path, STUBBORN)
    spawned.append(process)
    daemons.end([process], grace_seconds=0.2)
    assert not daemons.alive(process)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="environments of processes are readable on Linux only")
def test_children_of_a_killed_process_are_found_by_their_mark(tmp_path: Path, spawned: list[Process]) -> None:
    process = spawn(tmp_path, WITH_CHILD, SOME_MARK=str(tmp_path))
    spawned.append(process)
    os.kill(process.pid, 9)
    children = [found for found in daemons.with_variable("SOME_MARK", str(tmp_path)) if found.pid != process.pid]
    assert len(children) == 1
    daemons.end(children, grace_seconds=0.2)
    assert daemons.with_variable("SOME_MARK", str(tmp_path)) == []
