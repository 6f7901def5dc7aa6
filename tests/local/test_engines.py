"""The local life cycle of each stack makes the same provider calls on both engines (tests/engine has the rest)."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.local import vertex_inventory
from tests.local.engine_calls import LIVES, Step, brief, by_resource, life_cycle, same_on_all_runs
from tests.local.project import Project, interrupt, until

NEEDS_PULUMI = pytest.mark.skipif(not shutil.which("pulumi"), reason="there is no `pulumi` command in PATH")
ENGINES = ["embedded", pytest.param("pulumi", marks=NEEDS_PULUMI)]
AGAIN = "if the stack changed, record again where there is a `pulumi` command: python -m tests.local.engine_calls STACK"


@dataclass(frozen=True)
class Lived:
    stack: str
    steps: dict[str, Step]


@pytest.fixture(scope="module", params=LIVES)
def embedded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    stack = request.param
    return Lived(stack, life_cycle(tmp_path_factory.mktemp("embedded"), stack, "embedded"))


def test_each_resource_gets_the_calls_that_the_real_engine_was_seen_to_make(embedded: Lived) -> None:
    recorded = json.loads(LIVES[embedded.stack].recording.read_text())["steps"]
    assert embedded.steps.keys() == recorded.keys()
    for step, done in embedded.steps.items():
        seen = brief(done.calls)
        # What joined the stack after the recording was made has nothing to be compared with.
        assert {name: seen.get(name) for name in recorded[step]} == recorded[step], f"{step}: {AGAIN}"


@NEEDS_PULUMI
def test_both_engines_make_the_same_calls_and_tell_the_same(
    embedded: Lived, tmp_path_factory: pytest.TempPathFactory
) -> None:
    real = life_cycle(tmp_path_factory.mktemp("real"), embedded.stack, "pulumi")
    for step, done in real.items():
        one, two = by_resource(embedded.steps[step].calls), by_resource(done.calls)
        assert one.keys() == two.keys(), step
        for name, expected in two.items():
            seen = [same_on_all_runs(call) for call in one[name]]
            assert seen == [same_on_all_runs(call) for call in expected], f"{step}: {name}"
        assert told(embedded.steps[step]) == told(done), step


@pytest.mark.parametrize("embedded", ["gcp"], indirect=True)
def test_vertex_ai_gets_the_bodies_that_the_inventory_names_each_of_them_one_of_its_own_messages(
    embedded: Lived,
) -> None:
    assert vertex_inventory.taken(embedded.steps) == vertex_inventory.kept(), (
        f"the provider sends something else; if that is meant: {vertex_inventory.COMMAND}"
    )


def told(step: Step) -> dict[str, Any]:
    """What the command said of a step, the order of its changes aside."""
    document = {key: value for key, value in step.document.items() if key not in ("engine", "duration_s")}
    return same_on_all_runs({**document, "changes": sorted(document["changes"], key=lambda change: change["urn"])})


@NEEDS_PULUMI
def test_an_interrupted_real_engine_tells_so_and_the_next_up_goes_on(small_project: Project) -> None:
    command = small_project.start("local", "up", "aws", "--engine", "pulumi", "--json")
    log = small_project.root / ".cohost/aws/events.json"
    until(lambda: log.exists() and "resOutputsEvent" in log.read_text())
    interrupt(command)
    out, err = command.communicate(timeout=120)
    assert command.returncode == 1, err
    document = json.loads(out)
    assert document["error"].startswith("interrupted: nothing more is begun")
    assert document["summary"]["create"] > 0
    rest = small_project.operate("up")
    assert rest["engine"] == "pulumi"
    assert rest["summary"]["create"] > 0
    small_project.operate("destroy")


@NEEDS_PULUMI
def test_a_killed_command_leaves_no_real_engine_and_the_next_up_goes_on(small_project: Project) -> None:
    with small_project.start("local", "up", "aws", "--engine", "pulumi", "--json") as command:
        log = small_project.root / ".cohost/aws/events.json"
        until(lambda: log.exists() and "resOutputsEvent" in log.read_text())
        command.kill()
    until(lambda: not {"pulumi", "cohost.local.aws_provider"} & set(words(small_project)))
    small_project.operate("up")
    small_project.operate("destroy")


def words(project: Project) -> list[str]:
    """Every word of the command lines of a project's processes."""
    found: list[str] = []
    for pid in project.processes():
        with contextlib.suppress(OSError):
            found += Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return found
