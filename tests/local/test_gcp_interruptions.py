"""A deployment is interrupted again and again while machines come up; each `up` takes up the same one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cohost.client import Predictor
from tests.local.google_cloud import GoogleCloud
from tests.local.project import Project, interrupt, until
from tests.local.test_engines import ENGINES
from tests.local.test_gcp_faults import changes
from tests.local.test_gcp_life_cycle import answers, use
from tests.local.test_kill import running

STAGE = "ADDING_NODES_TO_CLUSTER"


@pytest.mark.parametrize("engine", ENGINES)
def test_provider_killed_engine_killed_and_ctrl_c_while_machines_come_up_leave_one_deployment_ever(
    small_project: Project, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    small_project.operate("preview", "--engine", engine, stack="gcp")
    cloud = use(small_project, monkeypatch)
    cloud.limit(hold=STAGE)

    with coming_up(small_project, cloud, engine) as command:
        kill(plugins(small_project))
    assert command.returncode == 1

    with coming_up(small_project, cloud, engine) as command:
        kill(engines(small_project, command, engine))
    assert command.returncode != 0
    until(lambda: not plugins(small_project))

    with coming_up(small_project, cloud, engine) as command:
        interrupt(command)
    assert command.returncode == 1

    cloud.limit()
    outputs = small_project.operate("up", stack="gcp")["outputs"]
    assert [each["ended"] for each in cloud.deployments()] == [None]
    with Predictor.from_outputs(outputs) as predictor:
        assert answers(small_project, predictor, "digits")
    assert changes(small_project, "refresh") == {}
    assert changes(small_project, "preview") == {}
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


def kill(pids: list[int]) -> None:
    assert pids, "there was nobody to kill"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@contextmanager
def coming_up(project: Project, cloud: GoogleCloud, engine: str) -> Iterator[subprocess.Popen[str]]:
    """An `up` whose plugin waits for Google to add machines; afterwards it has ended."""
    log = project.root / ".cohost/gcp/log.txt"
    log.unlink(missing_ok=True)
    command = project.start("local", "up", "gcp", "--engine", engine)
    until(lambda: STAGE in cloud.stages() and log.exists() and STAGE in log.read_text(), seconds=180)
    yield command
    command.communicate(timeout=180)


def plugins(project: Project) -> list[int]:
    """The processes of the project's own plugin; each engine starts it in its own way."""
    found = []
    for pid in project.processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            at = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            continue
        folder = project.root / "provider"
        if str(folder) in words or ("__main__.py" in words and at == folder):
            found.append(pid)
    return found


def engines(project: Project, command: subprocess.Popen[str], engine: str) -> list[int]:
    """Whoever would go on with the deployment; the real engine's program with it, which its parent does not end."""
    if engine == "embedded":
        return [command.pid]
    return running(project, b"pulumi up") + running(project, b"pulumi-language-python")
