"""Going back after a release that failed: whoever served goes on, or comes back, on both engines."""

from __future__ import annotations

import json
import shutil

import pytest

from cohost.client import Predictor
from tests.local.project import Project, change_model
from tests.local.test_engines import ENGINES
from tests.local.test_faults import break_model
from tests.local.test_gcp_faults import changes, fault
from tests.local.test_gcp_life_cycle import answers, deployed, spoiled, use
from tests.local.test_life_cycle import calling

OTHER_MACHINE = {"shared-endpoint:machine": {"type": "g2-standard-12"}}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_machine_type_put_back_after_a_failed_release_leaves_the_old_deployment_serving(
    small_project: Project, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    first = small_project.operate("up", "--engine", engine, stack="gcp")["outputs"]
    cloud = use(small_project, monkeypatch)
    (ours,) = deployed(cloud.endpoint())
    config, test = small_project.root / "Pulumi.gcp.yaml", small_project.root / "model_artifacts/iris/smoke.json"
    right, good = config.read_text(), test.read_text()
    with calling(first, small_project, "digits") as calls:
        small_project.configure(OTHER_MACHINE, stack="gcp")
        test.write_text(json.dumps(spoiled(json.loads(good))))
        failed = fault(small_project)
        (other,) = deployed(cloud.endpoint()) - {ours}
        assert f"{ours} answers all calls; {other} stays deployed without any, and costs" in failed
        assert f"undeploy-model {first['endpoint']} --region us-central1 --deployed-model-id {other}" in failed

        config.write_text(right)
        test.write_text(good)
        assert changes(small_project, "up") == {"DeployedModel": {"machineType"}}
        assert deployed(cloud.endpoint()) == {ours}
        assert dict(cloud.endpoint().traffic_split) == {ours: 100}
    assert calls.errors == []
    assert calls.count > 0
    assert changes(small_project, "refresh") == {}
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


@pytest.mark.parametrize("engine", ENGINES)
def test_with_update_replace_a_deployment_that_fails_brings_the_old_one_back_with_its_calls(
    small_project: Project, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    first = small_project.operate("up", "--engine", engine, stack="gcp")["outputs"]
    cloud = use(small_project, monkeypatch)
    (ours,) = deployed(cloud.endpoint())
    small_project.configure({"shared-endpoint:update": "replace"}, stack="gcp")
    with calling(first, small_project, "digits") as calls:
        small_project.operate("up", stack="gcp")
    assert calls.errors == [], "how a release is made is no release"
    assert calls.count > 0
    assert len(cloud.deployments()) == 1

    before, kept = cloud.current(), small_project.root / "kept"
    model = small_project.root / "model_artifacts/iris"
    shutil.copytree(model, kept)
    break_model(small_project, "iris")
    assert f"{ours} was deployed again, and has its calls as before" in fault(small_project)
    assert (cloud.current(), deployed(cloud.endpoint())) == (before, {ours})
    assert dict(cloud.endpoint().traffic_split) == {ours: 100}
    with Predictor.from_outputs(first) as predictor:
        assert answers(small_project, predictor, "iris")
    shutil.rmtree(model)
    shutil.copytree(kept, model)
    assert changes(small_project, "refresh") == {}, "what the state says of the old one is true"

    change_model(small_project, "iris")
    small_project.operate("up", stack="gcp")
    (new,) = deployed(cloud.endpoint())
    assert new != ours
    assert dict(cloud.endpoint().traffic_split) == {new: 100}
    assert cloud.current()["release"] != before["release"]
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}
