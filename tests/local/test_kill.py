"""kill -9 at random moments of `up` and `destroy`: what is ours is finished by the next run, all else is named.

COHOST_KILLS sets how many kills there are (50 is what the project promises; the default keeps the suite quick).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.local.cloud import Cloud
from tests.local.project import Project, change_model, until
from tests.local.test_faults import answers
from tests.local.test_life_cycle import use

KILLS = int(os.environ.get("COHOST_KILLS", "6"))
SEED = int(os.environ.get("COHOST_SEED", "20261124"))


KINDS = {
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "config",
    "aws:sagemaker/model:Model": "model",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:iam/role:Role": "role",
    "aws:iam/policy:Policy": "policy",
    "aws:cloudwatch/logGroup:LogGroup": "log group",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "alarm",
    "aws:kms/alias:Alias": "alias",
    "aws:kms/key:Key": "key",
}
"""What `Cloud.leftovers` calls the resources of a type. Of an endpoint nothing may be left: it costs."""


@dataclass(frozen=True)
class Victim:
    """Who is killed, and how it is found."""

    name: str
    find: Callable[[Project, subprocess.Popen[str]], list[int]]


def engine(project: Project, command: subprocess.Popen[str]) -> list[int]:
    del project
    return [command.pid]


def running(project: Project, words: bytes, folder: str = "") -> list[int]:
    found = []
    for pid in project.processes():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            at = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            continue
        if words in line and (not folder or at == project.root / folder):
            found.append(pid)
    return found


VICTIMS = (
    Victim("the engine", engine),
    Victim("our provider", lambda project, _: running(project, b"__main__.py", "provider")),
    Victim("the program", lambda project, _: running(project, b"runner.py")),
    Victim("the SageMaker emulator", lambda project, _: running(project, b"cohost.local.sagemaker")),
    Victim("the AWS emulator", lambda project, _: running(project, b"cohost.local.aws ")),
)


@pytest.mark.timeout(3600)
def test_after_kills_at_random_moments_up_converges_and_destroy_leaves_nothing_unnamed(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(SEED)
    times = {operation: duration(small_project, operation) for operation in ("up", "destroy")}
    killed, said = 0, ""
    for number in range(10 * KILLS):
        if killed >= KILLS:
            break
        operation = "destroy" if number % 3 == 2 else "up"
        if operation == "up" and chance.random() < 0.5:
            change_model(small_project, "iris")
        moment = chance.uniform(0, times[operation])
        victim = chance.choice(VICTIMS)
        hit, output = kill_within(small_project, operation, victim, moment)
        killed, said = killed + hit, said + output
    assert killed == KILLS
    cloud = use(small_project, monkeypatch)
    remove_endpoint_out_of_state(small_project, cloud)
    outputs = small_project.operate("up")["outputs"]
    for model in ("digits", "iris"):
        assert answers(small_project, outputs, model)
    small_project.operate("destroy")
    named = {token for token in KINDS if f"error: {token} " in said} | pending_types(small_project)
    unnamed = cloud.leftovers().keys() - {KINDS[token] for token in named}
    assert unnamed == set(), cloud.leftovers()


def remove_endpoint_out_of_state(project: Project, cloud: Cloud) -> None:
    """Does by hand what docs/operations.md says where a kill hit the aws provider's own create of the endpoint."""
    failed = project.cohost("local", "up", "aws", "--json")
    if failed.code and "Cannot create already existing endpoint" in failed.json()["error"]:
        cloud.client("sagemaker").delete_endpoint(EndpointName=cloud.endpoint()["EndpointName"])
        until(lambda: "endpoint" not in cloud.leftovers())


def kill_within(project: Project, operation: str, victim: Victim, moment: float) -> tuple[bool, str]:
    """Begins an operation and kills somebody in it; whether there was anybody to kill, and what the command said."""
    command = project.start("local", operation, "aws")
    time.sleep(moment)
    hit = [pid for pid in victim.find(project, command) if kill(pid)]
    return bool(hit), "".join(command.communicate(timeout=300))


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def pending_types(project: Project) -> set[str]:
    """The types of resources whose create was killed: each may exist without being in the state, which names it."""
    state = json.loads((project.root / ".cohost/aws/state.json").read_text())
    urns = [item["resource"]["urn"] for item in state["deployment"]["pending_operations"]]
    return {urn.split("::")[2].rpartition("$")[2] for urn in urns} & KINDS.keys()


def duration(project: Project, operation: str) -> float:
    begin = time.monotonic()
    project.operate(operation)
    return time.monotonic() - begin
