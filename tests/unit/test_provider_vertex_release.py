"""The Vertex AI ActiveRelease by the real clients, against a server that answers as Vertex AI and Triton do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cohost.errors import DeploymentError
from cohost.provider.context import OperationCancelled
from cohost.provider.resource import Change
from cohost.provider.values import UNKNOWN
from cohost.provider.vertex import private, traffic, verification
from cohost.release import CURRENT_KEY, Release, for_vertex, release_key
from tests.unit import vertex_service
from tests.unit.model_folders import write_catalog, write_model
from tests.unit.provider_context import Operation
from tests.unit.vertex_releases import (
    CHANGED,
    NAMES,
    NEW,
    OLD,
    RELEASES,
    STORE,
    A,
    B,
    MemoryStore,
    Stack,
    canary,
    inputs,
    right,
    unknown,
    wrong,
)
from tests.unit.vertex_service import ENDPOINT, Reply


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stack]:
    for name in NAMES:
        write_model(tmp_path / name)
    write_catalog(tmp_path / "catalog.yaml", NAMES)
    monkeypatch.setattr(verification, "_PAUSE_S", 0.01)
    monkeypatch.setattr(traffic, "_PAUSE_S", 0.01)
    with vertex_service.running(monkeypatch) as service:
        made = Stack(service, tmp_path, MemoryStore(), Operation(tmp_path))
        service.predict = made.predict
        yield made


@pytest.fixture
def live(stack: Stack) -> dict[str, Any]:
    """The outputs of the release A, active on OLD; NEW is deployed without traffic."""
    stack.service.put(OLD)
    outputs = stack.update(None, inputs(A, OLD))
    stack.service.put(NEW)
    stack.service.predictions.clear()
    stack.service.requests.clear()
    stack.operation.said.clear()
    return outputs


def splits(stack: Stack) -> list[dict[str, int]]:
    return [body.get("trafficSplit", {}) for body in stack.service.called("PATCH")]


def test_a_first_release_gets_all_calls_asks_every_model_and_sees_the_gpu(stack: Stack) -> None:
    stack.service.put(OLD)
    given = inputs(A, OLD)
    assert not list(RELEASES.check(stack.context(), None, given))
    assert stack.update(None, given) == {**given, "activated": given["release"]}
    assert splits(stack) == [{OLD: 100}]
    assert stack.asked(OLD) == set(NAMES)
    assert "verified 2/2 models" in stack.operation.said
    assert any(line.startswith("the GPU holds the models") for line in stack.operation.said)
    assert stack.current() == {
        "schema": 1,
        "release": given["release"],
        "platform": "gcp",
        "endpoint": ENDPOINT,
        "models": {name: {"digest": digest, "target": name} for name, digest in A.items()},
    }
    assert json.loads(stack.store.get(release_key(given["release"]))[0])["inputs"]["iris"] == "x FP32 [-1, 3]"


def test_a_first_release_that_fails_leaves_the_endpoint_without_calls_and_no_release(stack: Stack) -> None:
    stack.service.put(OLD)
    stack.answers[OLD] = wrong
    with pytest.raises(DeploymentError, match="2 of 2 models failed"):
        stack.update(None, inputs(A, OLD))
    assert stack.service.split == {}
    assert stack.current() is None


def test_a_private_endpoint_is_asked_by_its_own_way(stack: Stack) -> None:
    stack.service.put(OLD)
    given = inputs(A, OLD, address="http://10.128.0.5")
    assert not list(RELEASES.check(stack.context(), None, given))
    assert stack.update(None, given) == {**given, "activated": given["release"]}
    assert [problem.key for problem in RELEASES.check(stack.context(), None, {**given, "address": "10.1.1.1"})] == [
        "address"
    ]


def test_without_a_way_to_a_private_endpoint_nothing_is_asked_and_nobody_gets_other_answers(
    stack: Stack, live: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(context: Any, endpoint: traffic.Endpoint, url: str) -> None:
        raise DeploymentError(f"nothing answers at {url} of {endpoint.name}")

    monkeypatch.setattr(private, "ensure_reachable", unreachable)
    with pytest.raises(DeploymentError, match=f"nothing answers at http.* of {ENDPOINT}"):
        stack.update(live, inputs(CHANGED, NEW, address="http://10.128.0.5"))
    assert not stack.service.predictions
    assert stack.service.split == {OLD: 100}
    assert stack.digests() == A


def test_a_gpu_that_holds_nothing_fails_a_first_release_unless_it_is_not_asked_for(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_GPU_PATIENCE_S", 0.1)
    stack.service.put(OLD)
    stack.gpu_bytes = 0
    with pytest.raises(DeploymentError, match=r"is 0: the models run on the CPU.*verify: \{gpu: false\}"):
        stack.update(None, inputs(A, OLD))
    assert stack.service.split == {}
    stack.update(None, inputs(A, OLD, gpu=False))
    assert stack.service.split == {OLD: 100}


def test_only_what_changed_is_asked_on_a_probe_share_until_the_new_one_answered(
    stack: Stack, live: dict[str, Any]
) -> None:
    after = inputs(CHANGED, NEW)
    assert RELEASES.diff(stack.context(), live, after).keys() == {"deployedModel", "release", 'models["iris"]'}
    stack.update(live, after)
    assert splits(stack) == [{OLD: 95, NEW: 5}, {NEW: 100}]
    assert stack.asked(NEW) == {"iris"}
    assert stack.digests() == CHANGED
    assert not any("GPU" in line for line in stack.operation.said)


def test_another_deployment_of_the_same_release_is_asked_every_model(stack: Stack, live: dict[str, Any]) -> None:
    stack.update(live, inputs(A, NEW))
    assert stack.asked(NEW) == set(NAMES)
    assert stack.service.split == {NEW: 100}


def test_a_wrong_answer_of_the_new_one_puts_the_split_back_and_leaves_the_release_before(
    stack: Stack, live: dict[str, Any]
) -> None:
    stack.answers[NEW] = wrong
    with pytest.raises(DeploymentError, match=r"1 of 1 models failed[\s\S]*model iris: .*is 4") as caught:
        stack.update(live, inputs(CHANGED, NEW))
    assert "nothing is activated" in str(caught.value)
    left = rf"{OLD} answers all calls; {NEW} stays deployed without any, and costs: .*--deployed-model-id {NEW}$"
    assert re.search(left, str(caught.value))
    assert stack.service.split == {OLD: 100}
    assert stack.digests() == A


def test_a_live_release_that_the_state_does_not_know_keeps_its_calls_when_it_fails(
    stack: Stack, live: dict[str, Any]
) -> None:
    stack.answers[OLD] = wrong
    with pytest.raises(DeploymentError, match="2 of 2 models failed") as caught:
        stack.update(None, inputs(A, OLD))
    assert "without any" not in str(caught.value)
    assert stack.service.split == {OLD: 100}
    assert stack.digests() == A


def test_what_the_others_answer_says_nothing_of_the_new_one(stack: Stack, live: dict[str, Any]) -> None:
    stack.answers[OLD] = lambda name, body: unknown(name, body) if name == "iris" else wrong(name, body)
    stack.update(live, inputs(CHANGED, NEW))
    assert stack.digests() == CHANGED


@pytest.mark.parametrize("others", [right, unknown])
def test_errors_that_do_not_tell_whose_they_are_fail_the_new_one_once_they_cannot_be_the_others(
    stack: Stack, live: dict[str, Any], monkeypatch: pytest.MonkeyPatch, others: Callable[[str, bytes], Reply]
) -> None:
    monkeypatch.setattr(verification, "_SETTLED_S", 0.2)
    stack.answers |= {OLD: others, NEW: unknown}
    with pytest.raises(DeploymentError, match="model iris: unknown model 'iris'"):
        stack.update(live, inputs(CHANGED, NEW))
    assert stack.asked(NEW) == {"iris"}
    assert stack.service.split == {OLD: 100}


def test_a_new_one_that_no_call_comes_to_is_a_failure(
    stack: Stack, live: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(stack.service, "turn", lambda: OLD)
    with pytest.raises(DeploymentError, match=r"222 did not answer within 0.3 s: no answer of it"):
        stack.update(live, inputs(CHANGED, NEW))
    assert stack.service.split == {OLD: 100}


def test_a_cancelled_release_puts_the_split_back(stack: Stack, live: dict[str, Any]) -> None:
    def cancel(name: str, body: bytes) -> Reply:
        stack.operation.cancelled = True
        return unknown(name, body)

    stack.answers |= {OLD: cancel, NEW: cancel}
    with pytest.raises(OperationCancelled):
        stack.update(live, inputs(CHANGED, NEW))
    assert stack.service.split == {OLD: 100}
    assert stack.digests() == A


@pytest.mark.parametrize("left", [{OLD: 95, NEW: 5}, {NEW: 100}])
def test_what_a_killed_run_left_of_the_split_is_finished_or_put_back(
    stack: Stack, live: dict[str, Any], left: dict[str, int]
) -> None:
    stack.service.split = dict(left)
    stack.answers[NEW] = wrong
    with pytest.raises(DeploymentError):
        stack.update(live, inputs(CHANGED, NEW))
    assert stack.service.split == {OLD: 100}
    stack.service.split = dict(left)
    del stack.answers[NEW]
    stack.update(live, inputs(CHANGED, NEW))
    assert stack.service.split == {NEW: 100}
    assert stack.digests() == CHANGED


def test_a_canary_keeps_both_at_their_shares_and_the_stable_release_active_until_it_is_promoted(
    stack: Stack, live: dict[str, Any]
) -> None:
    trial = stack.update(live, inputs(CHANGED, NEW, canary=canary(10.0)))
    assert stack.service.split == {OLD: 90, NEW: 10}
    assert stack.asked(NEW) == {"iris"}
    assert stack.digests() == A
    assert trial["activated"] == Release(A).digest
    stack.service.predictions.clear()
    promoted = inputs(CHANGED, NEW)
    assert set(RELEASES.diff(stack.context(), trial, promoted)) == {"canary"}
    stack.update(trial, promoted)
    assert stack.service.split == {NEW: 100}
    assert stack.digests() == CHANGED
    assert not stack.service.predictions, "it has answered before"


def test_a_canary_of_weight_0_gives_all_calls_back_and_is_asked_again_before_it_is_promoted(
    stack: Stack, live: dict[str, Any]
) -> None:
    trial = stack.update(live, inputs(CHANGED, NEW, canary=canary(10)))
    aborted = stack.update(trial, inputs(CHANGED, NEW, canary=canary(0)))
    assert stack.service.split == {OLD: 100}
    assert stack.digests() == A
    stack.service.predictions.clear()
    stack.update(aborted, inputs(CHANGED, NEW))
    assert stack.asked(NEW) == {"iris"}


def test_a_canary_that_lacks_a_model_of_the_stable_release_is_refused(stack: Stack, live: dict[str, Any]) -> None:
    fewer = {"iris": CHANGED["iris"]}
    with pytest.raises(DeploymentError, match="the canary does not have digits, which callers"):
        stack.update(live, inputs(fewer, NEW, canary=canary(10)))
    assert not splits(stack)


def test_going_back_to_a_stable_release_takes_its_models_from_the_store(stack: Stack, live: dict[str, Any]) -> None:
    promoted = stack.update(live, inputs(CHANGED, NEW))
    stack.update(promoted, inputs(CHANGED, NEW, canary=canary(20)))
    assert stack.service.split == {OLD: 80, NEW: 20}
    assert stack.digests() == A
    with pytest.raises(DeploymentError, match="has no release dddd"):
        stack.update(promoted, inputs(CHANGED, NEW, canary={**canary(20), "stableRelease": "d" * 64}))


def test_a_release_that_somebody_else_wrote_meanwhile_is_not_overwritten(stack: Stack, live: dict[str, Any]) -> None:
    theirs = for_vertex(B, "projects/p/locations/l/endpoints/9")

    def meanwhile(name: str, body: bytes) -> Reply:
        stack.store.objects[CURRENT_KEY] = (theirs.to_json(), "theirs")
        return right(name, body)

    stack.answers[NEW] = meanwhile
    with pytest.raises(DeploymentError, match="was written by somebody else"):
        stack.update(live, inputs(CHANGED, NEW))
    assert stack.digests() == B
    assert stack.service.split == {OLD: 100}


def test_a_split_changed_by_hand_is_seen_by_a_refresh_and_put_right(stack: Stack, live: dict[str, Any]) -> None:
    given, context = inputs(A, OLD), stack.context()
    unchanged = RELEASES.read(context, STORE, live)
    assert unchanged is not None
    assert unchanged.outputs == live
    for split in ({OLD: 60, NEW: 40}, {NEW: 100}, {}):
        stack.service.split = dict(split)
        found = RELEASES.read(context, STORE, live)
        assert found is not None
        assert found.outputs["canary"]["weight"] == split.get(OLD, 0)
        assert RELEASES.diff(context, found.outputs, given) == {"canary": Change.UPDATE}
        stack.update(dict(found.outputs), given)
        assert stack.service.split == {OLD: 100}


def test_a_share_of_a_third_one_is_seen_beside_a_canary(stack: Stack, live: dict[str, Any]) -> None:
    given = inputs(CHANGED, NEW, canary=canary(10))
    trial = stack.update(live, given)
    stack.service.put("333")
    stack.service.split = {OLD: 60, NEW: 10, "333": 30}
    found = RELEASES.read(stack.context(), STORE, trial)
    assert found is not None
    assert RELEASES.diff(stack.context(), found.outputs, given).keys() == {'canary["stableDeployedModel"]'}


def test_another_active_release_is_seen_by_a_refresh_and_an_import_takes_all_of_it(
    stack: Stack, live: dict[str, Any]
) -> None:
    imported = RELEASES.read(stack.context(), STORE, None)
    assert imported is not None
    assert imported.inputs == inputs(A, OLD, catalog="model_artifacts/catalog.yaml")
    stack.store.objects[CURRENT_KEY] = (for_vertex(B, ENDPOINT).to_json(), "other")
    found = RELEASES.read(stack.context(), STORE, live)
    assert found is not None
    changes = RELEASES.diff(stack.context(), found.outputs, inputs(A, OLD))
    assert changes.keys() == {"release", 'models["digits"]', 'models["iris"]'}
    stack.store.objects.clear()
    assert RELEASES.read(stack.context(), STORE, live) is None


def test_delete_takes_away_this_endpoints_release_and_no_other(stack: Stack, live: dict[str, Any]) -> None:
    stack.store.objects[CURRENT_KEY] = (for_vertex(A, f"{ENDPOINT}9").to_json(), "1")
    RELEASES.delete(stack.context(), live)
    assert stack.current() is not None
    stack.store.objects[CURRENT_KEY] = (for_vertex(A, ENDPOINT).to_json(), "1")
    for _ in range(2):
        RELEASES.delete(stack.context(), live)
    assert stack.current() is None


def test_a_deployed_model_that_is_gone_is_named_before_anything_changes(stack: Stack, live: dict[str, Any]) -> None:
    with pytest.raises(DeploymentError, match=r"444 is not deployed on .*: `refresh`, then `up` deploys it anew"):
        stack.update(live, inputs(CHANGED, "444"))
    assert not splits(stack)


def test_everything_wrong_with_the_inputs_is_told_at_once(stack: Stack) -> None:
    context = stack.context()
    bad = {"store": "s3://b", "probePercent": 0, "canary": {"weight": 100, "stableDeployedModel": OLD}, "endpoint": "e"}
    found = {problem.key for problem in RELEASES.check(context, None, inputs(A, OLD, **bad))}
    assert found == {"store", "probePercent", "canary.weight", "canary.stableRelease", "endpoint"}
    assert [problem.key for problem in RELEASES.check(context, None, inputs(A, OLD, release="e" * 64))] == ["release"]
    same = inputs(A, OLD, canary=canary(10))
    assert [problem.key for problem in RELEASES.check(context, None, same)] == ["canary.stableDeployedModel"]
    unknowns = inputs(
        A, OLD, release=UNKNOWN, deployedModel=UNKNOWN, canary={**canary(5), "stableDeployedModel": UNKNOWN}
    )
    assert not list(RELEASES.check(context, None, unknowns))


def test_a_preview_tells_what_will_be_active(stack: Stack) -> None:
    given = inputs(A, OLD, deployedModel=UNKNOWN)
    assert RELEASES.preview(stack.context(), None, given) == {**given, "activated": given["release"]}
    trial = inputs(CHANGED, NEW, canary=canary(10))
    assert RELEASES.preview(stack.context(), None, trial)["activated"] == Release(A).digest
