"""What goes wrong with the gcp stack: each fault is said with its remedy, and the next `up` converges."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import types

from cohost.client import Predictor
from tests.local.google_cloud import PARENT, GoogleCloud
from tests.local.project import Project, change_model, until
from tests.local.test_faults import break_model
from tests.local.test_gcp_life_cycle import answers, deployed, use

COMPONENT = "components/gcp/shared_endpoint.py"
MACHINE = {"machine_type": "g2-standard-8", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
AGENT = "service-1@gcp-sa-aiplatform.iam.gserviceaccount.com"
NO_AGENT = f"Service agent {AGENT} does not have storage.objects.list access to the bucket."
DENIED = f"Permission 'aiplatform.models.upload' denied on resource '//aiplatform.googleapis.com/{PARENT}'."
LOST = "The operation does not exist."
STAGE = "ADDING_NODES_TO_CLUSTER"


def test_what_google_refuses_of_a_first_up_is_said_with_the_remedy_and_the_next_up_goes_on(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_project.root / "Pulumi.gcp.yaml"
    right = config.read_text()
    config.write_text(right.replace("us-central1-docker", "us-east1-docker"))
    elsewhere = small_project.cohost("local", "up", "gcp")
    assert elsewhere.code == 2
    assert "us-east1" in elsewhere.err
    assert len(elsewhere.err.splitlines()) == 1

    config.write_text(right.replace("serving/triton@", "serving/unreadable@"))
    assert "repository of the model's region, where Vertex AI's service agent may read it" in fault(small_project)
    config.write_text(right)

    cloud = use(small_project, monkeypatch)
    cloud.limit(refuse=refusal("models:upload", "PERMISSION_DENIED", NO_AGENT))
    command = small_project.start("local", "up", "gcp", "--json")
    log = small_project.root / ".cohost/gcp/log.txt"
    until(lambda: f"not in effect yet, trying again: {NO_AGENT}" in log.read_text(), seconds=120)
    cloud.limit(refuse=refusal("models:upload", "PERMISSION_DENIED", DENIED))
    out, _ = command.communicate(timeout=120)
    assert command.returncode == 1
    assert "a role with the permission aiplatform.models.upload" in json.loads(out)["error"]

    cloud.limit(quota={MACHINE["accelerator_type"]: 0})
    refused = fault(small_project)
    assert 'the quota "custom_model_serving_nvidia_l4_gpus" of my-project in us-central1 is 0: ask for more' in refused
    assert cloud.deployments() == []
    assert changes(small_project, "refresh") == {}, "what the state says is true"

    cloud.limit()
    outputs = small_project.operate("up", stack="gcp")["outputs"]
    assert len(cloud.deployments()) == 1
    assert {version_count(cloud, each.name) for each in cloud.models.list_models(parent=PARENT)} == {1}
    with Predictor.from_outputs(outputs) as predictor:
        assert answers(small_project, predictor, "iris")
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


def test_a_server_that_is_never_ready_and_a_lost_operation_leave_no_machines_beside_those_of_the_next_up(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = small_project.root / "kept"
    shutil.copytree(small_project.root / "model_artifacts/iris", kept)
    component = small_project.root / COMPONENT
    right = component.read_text()
    # A server that waits for the model for ever, where the real one ends.
    waiting = right.replace("--exit-on-error=true", "--exit-on-error=false")
    component.write_text(re.sub(r"(_START_SECONDS: Final) = \d+", r"\1 = 10", waiting))
    break_model(small_project, "iris")
    failed = fault(small_project)
    assert "Model server never became ready" in failed
    assert "gcloud logging read" in failed
    component.write_text(right)
    shutil.rmtree(small_project.root / "model_artifacts/iris")
    shutil.copytree(kept, small_project.root / "model_artifacts/iris")

    cloud = use(small_project, monkeypatch)
    cloud.limit(hold=STAGE)
    command = small_project.start("local", "up", "gcp", "--json")
    until(lambda: STAGE in cloud.stages(), seconds=120)
    cloud.limit(hold=STAGE, refuse=refusal("GET operations", "NOT_FOUND", LOST))
    out, _ = command.communicate(timeout=120)
    assert command.returncode == 1
    assert "`up` again goes on from what came of it" in out

    cloud.limit()
    small_project.operate("up", stack="gcp")
    assert [each["ended"] is None for each in cloud.deployments()] == [False, True]
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


def test_what_was_changed_by_hand_shows_in_a_refresh_and_the_next_up_puts_it_right(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = small_project.operate("up", stack="gcp")["outputs"]["endpoint"]
    cloud = use(small_project, monkeypatch)
    before = cloud.endpoint()
    (ours,) = deployed(before)
    stray = deploy(cloud, before.name, before.deployed_models[0].model)
    shares: Any = {"endpoint": {"name": before.name, "traffic_split": {stray: 40, ours: 60}}}
    cloud.endpoints.update_endpoint(request={**shares, "update_mask": {"paths": ["traffic_split"]}})
    (digits,) = [each.name for each in cloud.models.list_models(parent=PARENT) if each.display_name == "digits"]
    cloud.models.delete_model(name=digits)
    assert changes(small_project, "refresh") == {
        "ActiveRelease": {"canary"},
        "ModelSet": {'labels["digits"]', 'models["digits"]'},
    }
    assert changes(small_project, "up").keys() == {"ActiveRelease", "ModelSet"}
    assert dict(cloud.endpoint().traffic_split) == {ours: 100}
    assert digits in [each.name for each in cloud.models.list_models(parent=PARENT)]

    shares = {"endpoint": {"name": before.name, "traffic_split": {stray: 100}}}
    cloud.endpoints.update_endpoint(request={**shares, "update_mask": {"paths": ["traffic_split"]}})
    cloud.endpoints.undeploy_model(endpoint=before.name, deployed_model_id=ours)
    until(lambda: ours not in deployed(cloud.endpoint()))
    assert changes(small_project, "refresh").keys() == {"ActiveRelease", "DeployedModel"}
    assert changes(small_project, "up").keys() == {"ActiveRelease", "DeployedModel"}
    assert dict(cloud.endpoint().traffic_split) == {ours: 100}

    remove_everything(cloud)
    change_model(small_project, "iris")
    assert f"there is no endpoint {name}: `refresh`, then `up` makes it anew" in fault(small_project)
    assert {"AiEndpoint", "DeployedModel"} <= changes(small_project, "refresh").keys()
    outputs = small_project.operate("up", stack="gcp")["outputs"]
    assert outputs["endpoint"] == name
    with Predictor.from_outputs(outputs) as predictor:
        assert answers(small_project, predictor, "iris")
    assert changes(small_project, "preview") == {}
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {}


def refusal(method: str, status: str, message: str) -> dict[str, Any]:
    """What a method is refused with, as the emulated project's limits say it."""
    return {method: {"status": status, "message": message}}


def fault(project: Project) -> str:
    """The error of an `up` that must fail."""
    failed = project.cohost("local", "up", "gcp", "--json")
    assert failed.code == 1, failed.err
    return failed.json()["error"]


def changes(project: Project, operation: str) -> dict[str, set[str]]:
    """The property paths that an operation tells, by type of the resource."""
    told = project.operate(operation, stack="gcp")["changes"]
    return {each["type"].rpartition(":")[2]: set(each["diff"]) for each in told}


def version_count(cloud: GoogleCloud, model: str) -> int:
    return len(list(cloud.models.list_model_versions(name=model)))


def deploy(cloud: GoogleCloud, endpoint: str, model: str) -> str:
    """Deploys a model by Google's own client, and returns its id there."""
    resources = types.DedicatedResources({"machine_spec": MACHINE, "min_replica_count": 1, "max_replica_count": 1})
    before = deployed(cloud.endpoints.get_endpoint(name=endpoint))
    model_there = types.DeployedModel(model=model, display_name="by hand", dedicated_resources=resources)
    cloud.endpoints.deploy_model(endpoint=endpoint, deployed_model=model_there)
    until(lambda: deployed(cloud.endpoints.get_endpoint(name=endpoint)) != before)
    (made,) = deployed(cloud.endpoints.get_endpoint(name=endpoint)) - before
    return made


def remove_everything(cloud: GoogleCloud) -> None:
    """Undeploys and deletes the endpoint and every model by Google's own client."""
    endpoint = cloud.endpoint()
    # Those without calls first.
    for id in sorted(deployed(endpoint), key=lambda id: endpoint.traffic_split.get(id, 0)):
        cloud.endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id=id)
        until(lambda id=id: id not in deployed(cloud.endpoint()))
    cloud.endpoints.delete_endpoint(name=endpoint.name)
    for model in cloud.models.list_models(parent=PARENT):
        cloud.models.delete_model(name=model.name)
