"""The state file: whole or untouched, its secrets unreadable, one run at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cohost.engine import read_outputs
from cohost.engine.crypto import Crypter
from cohost.engine.state import Journal, PendingOperation, ResourceState, Snapshot, load
from cohost.engine.values import UNKNOWN, Secret, from_struct, has_secret, reveal, to_struct
from cohost.errors import CohostError
from tests.engine.workspace import Workspace, thing

SECRET = {"$secret": "hush-hush"}
URN = "urn:pulumi:s::p::rec:index:Thing::a"

texts = st.text().filter(lambda text: text != UNKNOWN)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
values = st.recursive(
    plain | plain.map(Secret),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
properties = st.dictionaries(st.text(), values, max_size=4)


# Time and speed of this machine are no promise.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(properties)
def test_values_survive_the_wire_with_their_secrets(given: dict[str, Any]) -> None:
    assert from_struct(to_struct(given)) == given
    assert from_struct(to_struct(given, secrets=False)) == reveal(given)


@settings(unhurried, max_examples=30)
@given(properties, properties)
def test_values_survive_the_state_with_their_secrets(
    tmp_path_factory: pytest.TempPathFactory, inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("state") / "state.json"
    resource = ResourceState(urn=URN, type="rec:index:Thing", custom=True, inputs=inputs, outputs=outputs)
    journal = Journal(path, Snapshot((), (PendingOperation("creating", resource),), Crypter("passphrase")))
    journal.put(resource)
    journal.save()
    kept = load(path, "passphrase")
    assert [(r.inputs, r.outputs) for r in kept.resources] == [(inputs, outputs)]
    assert [(p.kind, p.resource.inputs) for p in kept.pending] == [("creating", inputs)]


def test_secrets_are_encrypted_at_rest_and_masked_for_the_caller(workspace: Workspace) -> None:
    workspace.run("up", [thing("a", value=SECRET), thing("b", value={"$ref": "a.value"})], exports={"out": SECRET})
    assert "hush" not in workspace.stack.state.read_text()
    assert stat.S_IMODE(workspace.stack.state.stat().st_mode) == 0o600
    assert read_outputs(workspace.stack) == ({"out": "hush-hush"}, frozenset({"out"}))
    secrets = [r.name for r in load(workspace.stack.state, "replay").resources if has_secret(r.inputs)]
    assert secrets == ["a", "b"]


def test_a_secret_setting_reaches_program_and_provider_and_stays_out_of_the_state(workspace: Workspace) -> None:
    config = {"recording:password": "hush-hush", "rec:token": "hush-hush"}
    stack = dataclasses.replace(workspace.stack, config=config, secret_keys=frozenset(config))
    result = workspace.run("up", [thing("a", value={"$config": "password"})], stack=stack)
    assert result.error is None
    assert workspace.calls("Create")[0]["properties"] == {"value": {"secret": True}}
    assert "hush" not in workspace.stack.state.read_text()


def test_another_passphrase_is_refused_before_anything_happens(workspace: Workspace) -> None:
    workspace.run("up", [thing("a", value=SECRET)])
    before = workspace.stack.state.read_bytes()
    stack = dataclasses.replace(workspace.stack, passphrase="another")
    with pytest.raises(CohostError, match="incorrect passphrase"):
        workspace.run("destroy", stack=stack)
    with pytest.raises(CohostError, match="incorrect passphrase"):
        read_outputs(stack)
    assert workspace.stack.state.read_bytes() == before
    assert workspace.calls() == []


def damages(text: str) -> list[str]:
    """The file cut short, with a part missing, and with every value in turn of another kind."""
    document = json.loads(text)
    cut = [text[: len(text) // 2], "", "[]", "null", '{"deployment": 1}']

    def spoiled(node: Any) -> list[str]:
        found = []
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            for other in (None, 7, "text", [1], {"a": 1}):
                node[key] = other
                found.append(json.dumps(document))
            node[key] = value
            if isinstance(value, dict | list):
                found += spoiled(value)
        return found

    return cut + spoiled(document)


def test_a_damaged_state_is_one_error_that_names_the_file_and_changes_nothing(workspace: Workspace) -> None:
    resources = [thing("a", value=SECRET), thing("b", {"dependsOn": ["a"]}, value={"$ref": "a.out"})]
    workspace.run("up", resources)
    state = workspace.stack.state
    state.write_text(state.read_text()[:-20])
    before = state.read_bytes()
    with pytest.raises(CohostError, match=r"replay\.json: not a state file of this engine"):
        workspace.run("up", resources)
    assert state.read_bytes() == before
    assert workspace.calls() == []


def test_however_a_state_is_damaged_it_is_read_or_refused(workspace: Workspace) -> None:
    workspace.run("up", [thing("a", value=SECRET), thing("b", {"dependsOn": ["a"]}, value={"$ref": "a.out"})])
    state = workspace.stack.state
    every = damages(state.read_text())
    for text in every[:5] + random.Random(1).sample(every, 40):
        state.write_text(text)
        with contextlib.suppress(CohostError):
            assert all(resource.name for resource in load(state, "replay").resources)


def test_a_second_run_at_the_same_time_is_refused_and_names_the_first(whole: Workspace) -> None:
    with whole.started("up", [thing("a")], faults={"create:a": "hang"}) as first:
        assert whole.wait_for_call("Create", "a", first)
        with pytest.raises(CohostError, match=f"another run \\(process {first.pid}\\) is changing this stack"):
            Workspace(whole.folder).run("up", [thing("a")])


def test_whoever_reads_the_state_during_a_run_finds_it_whole(workspace: Workspace) -> None:
    ended = threading.Event()

    def read_on() -> set[int]:
        sizes: set[int] = set()
        while not ended.wait(0.002):
            sizes.add(len(workspace.deployment().get("resources", ())))
        return sizes

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read_on)
        workspace.run("up", [thing(f"n{number}") for number in range(20)])
        ended.set()
    assert len(reader.result()) > 2
