"""The local life cycle of the AWS stack makes the same provider calls on both engines (tests/engine has the rest)."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.local.engine_calls import CALLS, Calls, brief, by_resource, life_cycle, same_on_all_runs

AGAIN = "if the stack changed, record again where there is a `pulumi` command: python -m tests.local.engine_calls"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Calls:
    return life_cycle(tmp_path_factory.mktemp("embedded"), "embedded")


def test_each_resource_gets_the_calls_that_the_real_engine_was_seen_to_make(embedded: Calls) -> None:
    recorded = json.loads(CALLS.read_text())["steps"]
    assert embedded.keys() == recorded.keys()
    for step, calls in embedded.items():
        seen = brief(calls)
        # What joined the stack after the recording was made has nothing to be compared with.
        assert {name: seen.get(name) for name in recorded[step]} == recorded[step], f"{step}: {AGAIN}"


@pytest.mark.skipif(not shutil.which("pulumi"), reason="there is no `pulumi` command in PATH")
def test_both_engines_make_the_same_calls_with_the_same_arguments(
    embedded: Calls, tmp_path_factory: pytest.TempPathFactory
) -> None:
    real = life_cycle(tmp_path_factory.mktemp("real"), "pulumi")
    for step, calls in real.items():
        one, two = by_resource(embedded[step]), by_resource(calls)
        assert one.keys() == two.keys(), step
        for name, expected in two.items():
            seen = [same_on_all_runs(call) for call in one[name]]
            assert seen == [same_on_all_runs(call) for call in expected], f"{step}: {name}"
