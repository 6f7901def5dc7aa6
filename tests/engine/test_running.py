"""What recordings with one operation at a time do not show."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cohost.engine import Event, Operation, execute
from cohost.engine.values import UNKNOWN
from tests.engine.workspace import Workspace, thing

STACK = "pulumi:pulumi:Stack"


def steps(workspace: Workspace) -> list[tuple[str, str, str]]:
    """What happened to resources, by name, without the stack's own."""
    events = [event for event in workspace.events if event.kind == "resource" and event.type != STACK]
    return [(event.urn.rpartition("::")[2], event.op, event.status) for event in events]


def errors(workspace: Workspace) -> list[Event]:
    return [event for event in workspace.events if event.severity == "error"]


def test_independent_resources_are_created_and_deleted_at_the_same_time(workspace: Workspace) -> None:
    names = [f"n{number}" for number in range(6)]
    faults = {f"create:{name}": 6 for name in names}
    assert workspace.run("up", [thing(name) for name in names], faults=faults).error is None
    faults = {f"delete:{name}": 12 for name in names}
    assert workspace.run("destroy", faults=faults).error is None


def test_as_many_run_at_a_time_as_asked_for_and_no_more(workspace: Workspace) -> None:
    names = [f"n{number}" for number in range(6)]
    faults = {f"create:{name}": 0.1 for name in names}
    assert workspace.run("up", [thing(name) for name in names], parallel=2, faults=faults).error is None
    running = [0]
    for _, op, status in steps(workspace):
        assert op == "create"
        running.append(running[-1] + (1 if status == "started" else -1))
    assert max(running) == 2


def test_a_resource_waits_for_what_it_needs_while_others_run(workspace: Workspace) -> None:
    chain = [thing("a"), thing("b", value={"$ref": "a.out"}), thing("c", {"dependsOn": ["b"]})]
    aside = [thing("x"), thing("y"), thing("z", {"dependsOn": ["a", "y"]})]
    result = workspace.run("up", chain + aside, faults={"create:a": 0.3})
    assert result.error is None
    done = [name for name, op, status in steps(workspace) if (op, status) == ("create", "done")]
    assert done.index("x") < done.index("a") < done.index("b") < done.index("c")
    assert done.index("y") < done.index("z") > done.index("a")
    workspace.run("destroy", faults={"delete:c": 0.3})
    gone = [name for name, op, status in steps(workspace) if (op, status) == ("delete", "done")]
    assert gone.index("c") < gone.index("b") < gone.index("a") > gone.index("z") < gone.index("y")


def test_each_step_begins_before_it_ends_and_ends_once(workspace: Workspace) -> None:
    resources = [thing(f"n{number}") for number in range(20)]
    result = workspace.run("up", resources, faults={"create:n7": "fail"})
    assert result.error == "rec:index:Thing n7: create of n7 was told to fail"
    seen: dict[str, list[tuple[str, str]]] = {}
    for name, op, status in steps(workspace):
        seen.setdefault(name, []).append((op, status))
    assert seen.pop("n7") == [("create", "started"), ("create", "failed")]
    assert all(events == [("create", "started"), ("create", "done")] for events in seen.values())


def test_who_watches_cannot_break_a_deployment(workspace: Workspace) -> None:
    def broken(event: Event) -> None:
        raise BrokenPipeError("nobody reads this any more")

    workspace.begin({"resources": [thing("a"), thing("b", value={"$ref": "a.out"})]})
    with pytest.raises(BrokenPipeError):
        execute(workspace.stack, Operation.UP, on_event=broken)
    assert workspace.names() == ["a", "b"]


def test_after_a_failure_nothing_begins_but_what_runs_is_finished_and_kept(workspace: Workspace) -> None:
    resources = [thing("slow"), thing("bad"), thing("next", {"dependsOn": ["slow"]})]
    result = workspace.run("up", resources, faults={"create:slow": 0.5, "create:bad": "fail"})
    assert result.error == "rec:index:Thing bad: create of bad was told to fail"
    assert workspace.names() == ["slow"]
    assert workspace.deployment()["pending_operations"] == []


def test_a_preview_writes_nothing_and_says_what_an_up_then_does(workspace: Workspace) -> None:
    before = [thing("kept"), thing("changed"), thing("removed")]
    workspace.run("up", before)
    state = workspace.stack.state.read_bytes()
    after = [thing("kept"), thing("changed", value="2"), thing("new", fixed={"$ref": "changed.out"})]
    preview = workspace.run("preview", after, exports={"new": {"$ref": "new.out"}, "kept": {"$ref": "kept.out"}})
    assert workspace.stack.state.read_bytes() == state
    assert all(call.get("preview") for call in workspace.calls("Create", "Update", "Delete"))
    assert preview.outputs == {"kept": "kept/1"}
    up = workspace.run("up", after)
    assert sorted(preview.changes, key=str) == sorted(up.changes, key=str)
    assert preview.summary == up.summary == {"create": 1, "update": 1, "replace": 0, "delete": 1, "same": 2}


def test_the_first_preview_of_a_stack_leaves_no_state(workspace: Workspace) -> None:
    result = workspace.run("preview", [thing("a"), thing("b", value={"$ref": "a.out"})])
    assert result.error is None
    assert not workspace.stack.state.exists()
    assert workspace.calls("Create")[1]["properties"] == {"value": UNKNOWN}


def test_a_map_of_ten_thousand_entries_arrives_whole_and_one_change_is_one_path(workspace: Workspace) -> None:
    models = {f"model-{number}": f"{number:064x}" for number in range(10_000)}
    assert workspace.run("up", [thing("set", models=models)]).error is None
    assert workspace.calls("Create")[0]["properties"] == {"models": models}
    assert workspace.run("up", [thing("set", models=models)]).summary["same"] == 2
    models["model-7"] = "changed"
    result = workspace.run("up", [thing("set", models=models)])
    assert [(change.op, change.diff) for change in result.changes] == [("update", ('models["model-7"]',))]


def test_messages_larger_than_grpc_allows_by_default_pass(workspace: Workspace) -> None:
    text = "x" * (6 << 20)
    result = workspace.run("up", [thing("a", value=text), thing("b", value={"$ref": "a.value"})])
    assert result.error is None
    assert [len(call["properties"]["value"]) for call in workspace.calls("Create")] == [len(text)] * 2


def test_what_is_left_of_a_large_resource_that_failed_half_way_is_kept(workspace: Workspace) -> None:
    value = "x" * (2 << 20)
    result = workspace.run("up", [thing("large", value=value)], faults={"create:large": "partial"})
    assert result.error == "rec:index:Thing large: not ready"
    (left,) = [each for each in workspace.deployment()["resources"] if each["urn"].endswith("::large")]
    assert (left["id"], left["outputs"]["value"], left["initErrors"]) == ("large-1", value, ["not ready"])


def test_a_configured_proxy_is_not_asked_for_this_machine(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert workspace.run("up", [thing("a")]).error is None


@pytest.mark.parametrize(
    ("opts", "option"),
    [
        ({"replaceWith": ["a"]}, "replaceWith"),
        ({"transforms": ["any"]}, "transforms"),
        ({"hideDiffs": ["value"]}, "hideDiffs"),
        ({"replacementTrigger": "1"}, "replacementTrigger"),
    ],
)
def test_an_option_that_is_not_supported_is_refused_by_name(
    workspace: Workspace, opts: dict[str, Any], option: str
) -> None:
    result = workspace.run("up", [thing("a"), thing("b", opts)])
    assert result.error == f"rec:index:Thing b: the embedded engine does not support the option {option}"
    assert "b" not in workspace.names()
    assert result.summary["update"] == result.summary["delete"] == 0


def test_a_package_without_a_local_provider_is_refused(workspace: Workspace) -> None:
    result = workspace.run("up", [{**thing("a"), "type": "gcp:storage/bucket:Bucket"}])
    assert "package 'gcp' has no local provider: the embedded engine runs local stacks only (it has rec)" in (
        result.error or ""
    )
    assert workspace.names() == []


def test_a_provider_that_does_not_start_is_told_with_its_own_words(workspace: Workspace) -> None:
    launch = dataclasses.replace(workspace.stack.providers["rec"], command=("sh", "-c", "echo no such thing >&2"))
    stack = dataclasses.replace(workspace.stack, providers={"rec": launch})
    result = workspace.run("up", [thing("a")], stack=stack)
    assert "provider rec did not print its port; it said: no such thing" in (result.error or "")


def test_what_fails_in_the_program_is_told_with_its_own_line(workspace: Workspace) -> None:
    result = workspace.run("up", [thing("a")], crash=True)
    assert 'raise RuntimeError("the program was told to fail")' in (result.error or "")
    assert "runner.py" not in (result.error or "")
    assert errors(workspace)
