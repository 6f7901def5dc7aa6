"""The local life cycle of the AWS stack makes the same provider calls on both engines (tests/engine has the rest)."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.local.engine_calls import CALLS, Step, brief, by_resource, life_cycle, same_on_all_runs

AGAIN = "if the stack changed, record again where there is a `pulumi` command: python -m tests.local.engine_calls"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    return life_cycle(tmp_path_factory.mktemp("embedded"), "embedded")


def test_each_resource_gets_the_calls_that_the_real_engine_was_seen_to_make(embedded: dict[str, Step]) -> None:
    recorded = json.loads(CALLS.read_text())["steps"]
    assert embedded.keys() == recorded.keys()
    for step, done in embedded.items():
        seen = brief(done.calls)
        # What joined the stack after the recording was made has nothing to be compared with.
        assert {name: seen.get(name) for name in recorded[step]} == recorded[step], f"{step}: {AGAIN}"


@pytest.mark.skipif(not shutil.which("pulumi"), reason="there is no `pulumi` command in PATH")
def test_both_engines_make_the_same_calls_and_tell_the_same(
    embedded: dict[str, Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    real = life_cycle(tmp_path_factory.mktemp("real"), "pulumi")
    for step, done in real.items():
        one, two = by_resource(embedded[step].calls), by_resource(done.calls)
        assert one.keys() == two.keys(), step
        for name, expected in two.items():
            seen = [same_on_all_runs(call) for call in one[name]]
            assert seen == [same_on_all_runs(call) for call in expected], f"{step}: {name}"
        assert told(embedded[step]) == told(done), step


def told(step: Step) -> dict[str, Any]:
    """What the command said of a step, the order of its changes aside."""
    document = {key: value for key, value in step.document.items() if key not in ("engine", "duration_s")}
    return same_on_all_runs({**document, "changes": sorted(document["changes"], key=lambda change: change["urn"])})
