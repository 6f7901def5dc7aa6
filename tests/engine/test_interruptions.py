"""Whoever is killed or interrupted, and whenever: no process is left, and the next run goes on from the state."""

from __future__ import annotations

import random
import signal
import subprocess
import time

import pytest

from cohost.engine import read_outputs
from tests.engine.workspace import Workspace, thing

RESOURCES = [
    thing("a", fixed="1"),
    thing("b", value={"$ref": "a.out"}),
    thing("c", value={"$ref": "b.out"}),
    thing("d", fixed="1"),
]
UPDATED = [RESOURCES[0], thing("b", value="2"), *RESOURCES[2:]]
REPLACED = [thing("a", fixed="2"), *RESOURCES[1:3], thing("d", fixed="2")]


def end(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=60)
    return said


def pending(workspace: Workspace) -> list[tuple[str, str]]:
    operations = workspace.deployment()["pending_operations"]
    return [(o["type"], o["resource"]["urn"].rpartition("::")[2]) for o in operations]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_what_runs_begins_nothing_more_and_keeps_the_state(
    whole: Workspace, number: signal.Signals
) -> None:
    with whole.started("up", RESOURCES, parallel=1, faults={"create:b": "wait"}) as engine:
        assert whole.wait_for_call("Create", "b", engine)
        engine.send_signal(number)
        said = end(engine)
    assert engine.returncode == 1
    assert "interrupted" in said
    assert "create of b was told to stop" in said
    assert "b" not in whole.names()
    assert "c" not in whole.names()
    assert pending(whole) == []
    assert whole.run("up", RESOURCES).error is None


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_a_second_interrupt_kills_what_runs_and_it_stays_pending(whole: Workspace, verb: str) -> None:
    method, call, doing = {"up": ("Update", "update:b", "updating"), "destroy": ("Delete", "delete:b", "deleting")}[
        verb
    ]
    whole.run("up", RESOURCES)
    with whole.started(verb, UPDATED, faults={call: "hang"}) as engine:
        assert whole.wait_for_call(method, "b", engine)
        engine.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            engine.wait(0.5)
        engine.send_signal(signal.SIGINT)
        said = end(engine)
    assert engine.returncode == 1
    assert "interrupted again" in said
    assert f"{doing} urn:pulumi:replay::recording::rec:index:Thing::b" in said
    assert pending(whole) == [(doing, "b")]
    assert {"a", "b"} <= set(whole.names())
    assert whole.run("destroy").error is None
    assert pending(whole) == []


def test_an_interrupted_destroy_keeps_what_it_has_not_deleted(whole: Workspace) -> None:
    whole.run("up", RESOURCES)
    with whole.started("destroy", faults={"delete:b": "wait"}) as engine:
        assert whole.wait_for_call("Delete", "b", engine)
        engine.send_signal(signal.SIGINT)
        end(engine)
    assert engine.returncode == 1
    assert set(whole.names()) == {"a", "b", "d"}
    assert whole.run("destroy").error is None
    assert whole.deployment()["resources"] == []


def test_killed_at_any_moment_it_leaves_no_process_and_the_next_up_converges(whole: Workspace) -> None:
    moment = random.Random(1)
    slow = {f"{verb}:{name}": 0.15 for verb in ("create", "update", "delete") for name in "abcd"}
    for number in range(5):
        with whole.started("up", REPLACED if number % 2 else RESOURCES, faults=slow) as engine:
            time.sleep(moment.uniform(0.2, 2.2))
            engine.kill()
        assert whole.survivors() == []
    assert whole.run("up", REPLACED, exports={"out": {"$ref": "c.out"}}).error is None
    assert sorted(whole.names()) == ["a", "b", "c", "d"]
    assert read_outputs(whole.stack)[0]["out"].startswith("c/")
    again = whole.run("up", REPLACED, exports={"out": {"$ref": "c.out"}})
    assert again.changes == ()
    assert whole.run("destroy").error is None
    assert whole.deployment()["resources"] == []


def test_a_provider_that_does_not_want_to_end_is_ended_with_the_killed_engine(whole: Workspace) -> None:
    with whole.started("up", RESOURCES, faults={"create:a": "hang"}, stubborn=True) as engine:
        assert whole.wait_for_call("Create", "a", engine)
        engine.kill()
    assert whole.survivors() == []


def test_a_provider_that_dies_in_a_call_fails_that_call_alone(whole: Workspace) -> None:
    result = whole.run("up", RESOURCES, faults={"create:b": "die"})
    assert "rec:index:Thing b: the process of provider rec ended" in (result.error or "")
    assert "a" in whole.names()
    assert "b" not in whole.names()
    assert whole.run("up", RESOURCES).error is None


def test_a_program_that_hangs_after_a_failure_is_ended(whole: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cohost.engine.program._LAST_WORDS_S", 0.5)
    result = whole.run("up", [thing("a")], faults={"create:a": "fail"}, crash="hang")
    assert result.error == "rec:index:Thing a: create of a was told to fail"


def test_a_program_that_is_killed_fails_the_operation_and_deletes_nothing(workspace: Workspace) -> None:
    workspace.run("up", [thing("a"), thing("b")])
    result = workspace.run("up", [thing("a")], crash="die")
    assert result.error == "the program ended with exit code -9"
    assert set(workspace.names()) == {"a", "b"}
