"""The life cycle of the gcp stack, from the first `up` to an empty project, as a user goes through it."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from cohost.client import Predictor, smoke
from cohost.client.vertex import VertexTransport
from tests.local.google_cloud import GoogleCloud, google_cloud_of
from tests.local.project import Project, change_model, model_paths, until
from tests.local.test_faults import break_model
from tests.local.test_life_cycle import calling, every_model_answers_its_smoke_test, wait_for_version

CALLS = 1000
# Percentage of the calls that a new release gets while it is verified (`verify.probePercent`).
PROBE = 5


def test_a_stack_comes_up_stays_changes_by_one_model_and_goes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.operate("up", stack="gcp")
    cloud = use(project, monkeypatch)
    assert {"platform", "region", "endpoint", "store", "release"} <= first["outputs"].keys()
    with Predictor.from_outputs(first["outputs"]) as predictor:
        every_model_answers_its_smoke_test(project, predictor)

    again = project.operate("up", stack="gcp")
    assert {op: count for op, count in again["summary"].items() if count and op != "same"} == {}
    assert project.operate("refresh", stack="gcp")["changes"] == []

    keys, before = cloud.keys("models/"), cloud.endpoint()
    change_model(project, "iris")
    preview = project.operate("preview", stack="gcp")
    assert model_paths(preview) == {'models["iris"]'}
    assert cloud.keys("models/") == keys
    with calling(first["outputs"], project, "iris") as calls:
        changed = project.operate("up", stack="gcp")
        wait_for_version(calls, cloud.current()["models"]["iris"]["digest"])
    assert calls.errors == []
    assert model_paths(changed) == {'models["iris"]'}
    assert {key.split("/")[1] for key in cloud.keys("models/").keys() - keys.keys()} == {"iris"}
    after = cloud.endpoint()
    assert after.name == before.name
    assert deployed(after).isdisjoint(deployed(before)), "the old release is undeployed"
    assert list(after.traffic_split.values()) == [100]

    project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


def test_a_canary_gets_its_share_and_is_promoted_without_an_error_to_callers(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = small_project.operate("up", stack="gcp")["outputs"]
    cloud = use(small_project, monkeypatch)
    (stable,) = deployed(cloud.endpoint())
    change_model(small_project, "iris")
    small_project.configure({"shared-endpoint:canary": {"weight": 10, "stable": first["release"]}}, stack="gcp")
    assert model_paths(small_project.operate("preview", stack="gcp")) == {'models["iris"]'}
    with calling(first, small_project, "digits") as calls:
        small_project.operate("up", stack="gcp")
        while_it_came_up = calls.count
        (canary,) = deployed(cloud.endpoint()) - {stable}
        assert dict(cloud.endpoint().traffic_split) == {stable: 90, canary: 10}
        answered = who_answers(small_project, first["endpoint"])
        assert answered.keys() == {stable, canary}
        assert 70 <= answered[canary] <= 130
        assert cloud.served_versions() == {"1": True, "2": True}
        change_model(small_project, "iris")
        small_project.operate("up", stack="gcp")
        (later,) = deployed(cloud.endpoint()) - {stable}
        assert later != canary
        assert cloud.served_versions() == {"1": True, "3": True}
        small_project.edit("Pulumi.gcp.yaml", without_canary)
        small_project.operate("up", stack="gcp")
        assert dict(cloud.endpoint().traffic_split) == {later: 100}
        assert deployed(cloud.endpoint()) == {later}
        assert cloud.served_versions() == {"3": True}
    assert calls.errors == []
    assert 0 < while_it_came_up < calls.count
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


def test_a_model_that_somebody_deployed_by_hand_goes_with_destroy(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_project.operate("up", stack="gcp")
    cloud = use(small_project, monkeypatch)
    endpoint = cloud.endpoint()
    machine = {"machine_type": "g2-standard-8", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
    stray = {
        "model": endpoint.deployed_models[0].model,
        "display_name": "stray",
        "dedicated_resources": {"machine_spec": machine, "min_replica_count": 1, "max_replica_count": 1},
    }
    body: Any = {"endpoint": endpoint.name, "deployed_model": stray}
    cloud.endpoints.deploy_model(request=body)
    until(lambda: len(deployed(cloud.endpoint())) == 2)
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


def test_a_model_that_triton_cannot_load_fails_with_where_its_words_are_and_the_old_release_serves_on(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = small_project.operate("up", stack="gcp")["outputs"]
    cloud = use(small_project, monkeypatch)
    before, split = cloud.current(), dict(cloud.endpoint().traffic_split)
    (ours,) = deployed(cloud.endpoint())
    kept = small_project.root / "kept"
    shutil.copytree(small_project.root / "model_artifacts/iris", kept)
    break_model(small_project, "iris")
    with calling(outputs, small_project, "digits") as calls, watching(small_project, cloud) as seen:
        failed = small_project.cohost("local", "up", "gcp", "--json")
    assert failed.code == 1
    assert "gcloud logging read" in failed.json()["error"]
    assert calls.errors == []
    assert seen.answered.keys() == {ours}, "no caller meets what does not load"
    assert deployed(cloud.endpoint()) == {ours}
    assert (cloud.current(), dict(cloud.endpoint().traffic_split)) == (before, split)
    with Predictor.from_outputs(outputs) as predictor:
        assert answers(small_project, predictor, "iris")
    shutil.rmtree(small_project.root / "model_artifacts/iris")
    shutil.copytree(kept, small_project.root / "model_artifacts/iris")
    small_project.operate("up", stack="gcp")
    assert cloud.current() == before
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


def test_a_model_that_answers_wrongly_is_not_activated_and_the_split_is_put_back(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = small_project.operate("up", stack="gcp")["outputs"]
    cloud = use(small_project, monkeypatch)
    before, split = cloud.current(), dict(cloud.endpoint().traffic_split)
    (ours,) = deployed(cloud.endpoint())
    change_model(small_project, "iris")
    file = small_project.root / "model_artifacts/iris/smoke.json"
    good = file.read_text()
    file.write_text(json.dumps(spoiled(json.loads(good))))
    with calling(outputs, small_project, "digits") as calls, watching(small_project, cloud) as seen:
        failed = small_project.cohost("local", "up", "gcp", "--json")
    assert failed.code == 1
    assert "model iris: output" in failed.json()["error"]
    assert calls.errors == []
    (wrong,) = deployed(cloud.endpoint()) - {ours}
    assert seen.answered.keys() <= {ours, wrong}
    assert seen.answered[ours] > 0
    assert seen.shares(wrong) <= {0, PROBE}, "but for the probe share no caller meets it"
    assert (cloud.current(), dict(cloud.endpoint().traffic_split)) == (before, {**split, **zeros(cloud, split)})
    file.write_text(good)
    small_project.operate("up", stack="gcp")
    assert cloud.current()["release"] != before["release"]
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


def use(project: Project, monkeypatch: pytest.MonkeyPatch) -> GoogleCloud:
    """Points this process's Google clients at the project's emulators."""
    cloud = google_cloud_of(project)
    for name, value in cloud.variables.items():
        monkeypatch.setenv(name, value)
    return cloud


def deployed(endpoint: Any) -> set[str]:
    return {each.id for each in endpoint.deployed_models}


def zeros(cloud: GoogleCloud, split: dict[str, int]) -> dict[str, int]:
    """The shares that Google may name of what is deployed beside: none."""
    return {name: 0 for name in cloud.endpoint().traffic_split if name not in split}


def who_answers(project: Project, endpoint: str) -> Counter[str]:
    """Which deployed model answered each of a thousand calls."""
    test = smoke.load(project.root / "model_artifacts/digits" / smoke.FILE)
    transport = VertexTransport(endpoint)
    found = Counter(transport.infer_reply("digits", test.inputs()).deployed_model for _ in range(CALLS))
    transport.close()
    return found


class Seen:
    """What plain callers see of an endpoint: who answers, and every traffic split."""

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.splits: list[dict[str, int]] = []

    def shares(self, id: str) -> set[int]:
        """Every share that a deployed model was seen with."""
        return {split.get(id, 0) for split in self.splits}


@contextmanager
def watching(project: Project, cloud: GoogleCloud) -> Iterator[Seen]:
    """Calls an endpoint, and looks at its traffic split, again and again for the length of the block."""
    seen, ended, name = Seen(), threading.Event(), cloud.endpoint().name
    test, client = smoke.load(project.root / "model_artifacts/digits" / smoke.FILE), cloud.endpoints
    transport = VertexTransport(name)

    def look() -> None:
        while not ended.wait(0.02):
            seen.splits.append(dict(client.get_endpoint(name=name).traffic_split))
            seen.answered[transport.infer_reply("digits", test.inputs()).deployed_model] += 1

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            yield seen
        finally:
            ended.set()
            looking.result()
            transport.close()


def answers(project: Project, predictor: Predictor, model: str) -> bool:
    test = smoke.load(project.root / "model_artifacts" / model / smoke.FILE)
    return test.check(predictor.infer(model, test.inputs())) is None


def spoiled(test: dict[str, Any]) -> dict[str, Any]:
    """A smoke test that expects other numbers."""
    output = test["expected"]["outputs"][0] if "outputs" in test["expected"] else test["expected"][0]
    output["data"] = [value + 1 for value in output["data"]]
    return test


def without_canary(content: dict[str, Any]) -> dict[str, Any]:
    config = {key: value for key, value in content["config"].items() if key != "shared-endpoint:canary"}
    return {**content, "config": config}
