"""DeployedModel and EndpointDrain by Google's own clients, against a server that answers as Vertex AI does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud.aiplatform_v1.types import AcceleratorType

from cohost.errors import DeploymentError
from cohost.provider.context import OperationCancelled
from cohost.provider.resource import Change, PartialFailure
from cohost.provider.values import UNKNOWN
from cohost.provider.vertex import traffic
from cohost.provider.vertex.deployed_model import DeployedModel
from cohost.provider.vertex.deployment import deployed_model_id
from cohost.provider.vertex.endpoint_drain import EndpointDrain
from tests.unit import vertex_service
from tests.unit.provider_context import Operation
from tests.unit.vertex_service import ENDPOINT, MODEL, PROJECT, REGION, Service, error

DUTY = "aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle"
INPUTS: dict[str, Any] = {
    "project": PROJECT,
    "region": REGION,
    "endpoint": ENDPOINT,
    "model": MODEL,
    "displayName": "shared",
    "machineType": "g2-standard-8",
    "acceleratorType": "NVIDIA_L4",
    "acceleratorCount": 1.0,
    "minReplicas": 1.0,
    "maxReplicas": 2.0,
    "autoscalingTargets": {DUTY: 70.0},
    "spot": True,
    "serviceAccount": "serving@my-project.iam.gserviceaccount.com",
    "disableContainerLogging": False,
    "enableAccessLogging": True,
    "update": "surge",
}
ID = deployed_model_id(INPUTS)
DRAIN = {"project": PROJECT, "region": REGION, "endpoint": ENDPOINT}
MODELS, DRAINS = DeployedModel(), EndpointDrain()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(traffic, "_PAUSE_S", 0.01)
    with vertex_service.running(monkeypatch) as started:
        yield started


@pytest.fixture
def operation() -> Operation:
    return Operation()


def create(service: Service, operation: Operation, **changes: Any) -> dict[str, Any]:
    return dict(MODELS.create(service.context(operation), {**INPUTS, **changes}))


def test_it_is_deployed_as_declared_without_traffic_and_the_stage_shows(service: Service, operation: Operation) -> None:
    outputs = create(service, operation)
    assert outputs == {**INPUTS, "deployedModelId": ID}
    (request,) = service.called("deployModel")
    assert "trafficSplit" not in request
    assert request["deployedModel"] == {
        "id": ID,
        "model": MODEL,
        "displayName": "shared",
        "dedicatedResources": {
            "machineSpec": {
                "machineType": "g2-standard-8",
                "acceleratorType": AcceleratorType.NVIDIA_L4.value,
                "acceleratorCount": 1,
            },
            "minReplicaCount": 1,
            "maxReplicaCount": 2,
            "autoscalingMetricSpecs": [{"metricName": DUTY, "target": 70}],
            "spot": True,
        },
        "serviceAccount": INPUTS["serviceAccount"],
        # What is False is not sent: disableContainerLogging.
        "enableAccessLogging": True,
    }
    assert service.split == {}
    assert "ADDING_NODES_TO_CLUSTER" in operation.said


def test_the_id_has_ten_digits_and_is_made_of_all_that_cannot_change_in_place() -> None:
    assert len(ID) == 10
    assert ID[0] != "0"
    assert deployed_model_id({**INPUTS, "minReplicas": 5, "update": "replace", "autoscalingTargets": {}}) == ID
    assert deployed_model_id({name: value for name, value in INPUTS.items() if name != "minReplicas"}) == ID
    others = {
        deployed_model_id({**INPUTS, name: "other"}) for name in ("endpoint", "model", "machineType", "displayName")
    }
    others |= {deployed_model_id({**INPUTS, name: False}) for name in ("spot", "enableAccessLogging")}
    assert len(others | {ID}) == 7


def test_everything_wrong_is_told_at_once(operation: Operation) -> None:
    bad = {
        "endpoint": "1",
        "model": "m",
        "minReplicas": 0,
        "update": "later",
        "spot": "yes",
        "autoscalingTargets": {"x": 0},
    }
    found = {problem.key for problem in MODELS.check(operation.context(), None, {**INPUTS, **bad, "colour": "red"})}
    assert found == {"endpoint", "model", "minReplicas", "update", "spot", 'autoscalingTargets["x"]', "colour"}


@pytest.mark.parametrize(
    ("change", "key"),
    [({"maxReplicas": 1, "minReplicas": 2}, "maxReplicas"), ({"acceleratorType": ""}, "acceleratorCount")],
)
def test_inputs_that_do_not_fit_together_are_refused(operation: Operation, change: dict[str, Any], key: str) -> None:
    assert [problem.key for problem in MODELS.check(operation.context(), None, {**INPUTS, **change})] == [key]


def test_replicas_targets_and_container_logging_change_in_place_and_the_rest_replaces(operation: Operation) -> None:
    outputs, context = {**INPUTS, "deployedModelId": ID}, operation.context()
    assert MODELS.diff(context, outputs, INPUTS) == {}
    assert MODELS.diff(context, outputs, {**INPUTS, "update": "replace"}) == {}, "how, not what"
    inside = {"minReplicas": 2, "maxReplicas": 3, "autoscalingTargets": {DUTY: 50}, "disableContainerLogging": True}
    changes = MODELS.diff(context, outputs, {**INPUTS, **inside})
    assert changes.keys() == {"minReplicas", "maxReplicas", f'autoscalingTargets["{DUTY}"]', "disableContainerLogging"}
    assert set(changes.values()) == {Change.UPDATE}
    other = {"model": UNKNOWN, "machineType": "g2-standard-12", "spot": False, "enableAccessLogging": False}
    assert set(MODELS.diff(context, outputs, {**INPUTS, **other}).values()) == {Change.REPLACE}
    assert (
        MODELS.diff(context, {**outputs, "autoscalingTargets": {}}, {**INPUTS, "autoscalingTargets": {DUTY: 60}}) == {}
    )


def test_what_can_change_in_place_is_changed_by_one_mutation_of_that_only(
    service: Service, operation: Operation
) -> None:
    before = create(service, operation)
    after = {**INPUTS, "maxReplicas": 3, "autoscalingTargets": {}}
    assert MODELS.update(service.context(operation), before, after) == {**after, "deployedModelId": ID}
    (request,) = service.called("mutateDeployedModel")
    assert set(request["updateMask"].split(",")) == {
        "dedicatedResources.maxReplicaCount",
        "dedicatedResources.autoscalingMetricSpecs",
    }
    assert len(service.called("deployModel")) == 1


def test_a_running_deployment_of_a_killed_run_is_taken_up_and_never_begun_twice(
    service: Service, operation: Operation
) -> None:
    service.held = True
    killed = Operation(seconds=1.0)
    with pytest.raises(PartialFailure, match="the next `up` goes on") as caught:
        create(service, killed)
    assert caught.value.outputs == {**INPUTS, "deployedModelId": ID}
    threading.Timer(0.5, lambda: setattr(service, "held", False)).start()
    assert create(service, operation)["deployedModelId"] == ID
    assert MODELS.update(service.context(operation), caught.value.outputs, INPUTS)["deployedModelId"] == ID
    assert len(service.called("deployModel")) == 1


def test_a_run_that_ends_before_it_asked_google_leaves_no_resource(service: Service) -> None:
    operation = Operation()
    operation.cancelled = True
    with pytest.raises(OperationCancelled):
        create(service, operation)
    assert not service.requests


def test_a_container_that_never_serves_fails_with_googles_words_where_its_own_are_and_leaves_nothing(
    service: Service, operation: Operation
) -> None:
    service.failing = {"code": 9, "message": "Model server never became ready: failed to load 'iris'"}
    with pytest.raises(
        DeploymentError, match=r"FAILED_PRECONDITION: .*failed to load 'iris'.*gcloud logging read"
    ) as caught:
        create(service, operation)
    assert 'resource.labels.endpoint_id="1234567890"' in str(caught.value)
    assert not isinstance(caught.value, PartialFailure)
    assert not service.deployed


def test_a_quota_that_does_not_hold_it_is_named_and_nothing_is_deployed(service: Service, operation: Operation) -> None:
    message = "The following quotas are exceeded: custom_model_serving_nvidia_l4_gpus"
    service.refusing = error(429, "RESOURCE_EXHAUSTED", message)
    with pytest.raises(DeploymentError, match="custom_model_serving_nvidia_l4_gpus") as caught:
        create(service, operation)
    assert "gcloud logging" not in str(caught.value)
    assert not service.operations


@pytest.fixture
def quota_api(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE", f"{service.url}/")
    return service


def test_a_limit_that_does_not_hold_both_is_told_in_the_preview_and_before_google_is_asked(
    quota_api: Service, operation: Operation
) -> None:
    machine = {"machineSpec": {"acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}, "minReplicaCount": 1}
    quota_api.put("111", share=100, dedicatedResources=machine)
    quota_api.limits = {REGION: 1, "us-central1": 8}
    given, context = {**INPUTS, "spot": False}, quota_api.context(operation)
    words = r"needs 2 x NVIDIA_L4 at once, 1 of them .*custom_model_serving_nvidia_l4_gpus.* is 1: .*`update: replace`"
    with pytest.raises(DeploymentError, match=words):
        MODELS.preview(context, None, given)
    with pytest.raises(DeploymentError, match=words):
        MODELS.create(context, given)
    assert not quota_api.requests
    MODELS.create(context, {**given, "update": "replace"})
    assert len(quota_api.deployed) == 1


@pytest.mark.parametrize("limits", [{REGION: 2}, {REGION: -1}, None])
def test_a_limit_that_holds_it_or_is_not_told_stops_nothing(
    quota_api: Service, operation: Operation, limits: dict[str, int] | None
) -> None:
    quota_api.limits = limits
    create(quota_api, operation, spot=False)
    told = [
        line for line in operation.said if "cannot be read: asking the Service Usage API: PERMISSION_DENIED" in line
    ]
    assert len(told) == (limits is None)


def test_a_limit_of_the_project_holds_where_the_region_has_none(quota_api: Service, operation: Operation) -> None:
    quota_api.limits = {}
    with pytest.raises(DeploymentError, match=r"needs 1 x NVIDIA_L4 at once but the quota .* is 0"):
        create(quota_api, operation, spot=False)


def test_an_operation_that_google_forgot_is_no_failure_once_the_model_serves(
    service: Service, operation: Operation
) -> None:
    service.forgetful = True
    assert create(service, operation)["deployedModelId"] == ID


def test_an_accelerator_that_vertex_ai_does_not_have_is_named_with_the_closest(
    service: Service, operation: Operation
) -> None:
    with pytest.raises(DeploymentError, match=r'NVIDIA_L5.*did you mean "NVIDIA_L4"'):
        create(service, operation, acceleratorType="NVIDIA_L5")


def test_an_endpoint_that_is_gone_is_named_with_the_remedy(service: Service, operation: Operation) -> None:
    service.gone = True
    with pytest.raises(DeploymentError, match=f"there is no endpoint {ENDPOINT}: `refresh`"):
        create(service, operation)


def test_an_update_by_replacing_undeploys_first_and_the_preview_says_so(service: Service, operation: Operation) -> None:
    service.put("111", share=100)
    context = service.context(operation)
    previewed = MODELS.preview(context, None, {**INPUTS, "update": "replace"})
    assert previewed["deployedModelId"] == ID
    assert "undeploys 111 before it deploys: callers get no answer in between" in operation.said
    create(service, operation, update="replace")
    assert [name for name, _ in service.requests] == ["undeployModel", "deployModel"]
    assert list(service.deployed) == [ID]


def test_an_update_by_surge_says_in_the_preview_whose_machines_run_at_the_same_time(
    service: Service, operation: Operation
) -> None:
    service.put("111", share=100)
    MODELS.preview(service.context(operation), None, INPUTS)
    assert any(line.startswith("brings up machines beside those of 111") for line in operation.said)
    assert MODELS.preview(service.context(operation), None, {**INPUTS, "model": UNKNOWN})["deployedModelId"] is UNKNOWN


def test_an_adopted_deployment_shows_no_difference_and_a_number_of_a_project_is_its_id(
    service: Service, operation: Operation
) -> None:
    create(service, operation)
    service.deployed[ID]["model"] = MODEL.partition("@")[0].replace(PROJECT, "424242")
    context = service.context(operation)
    adopted = MODELS.read(context, f"{ENDPOINT}/deployedModels/{ID}", None)
    assert adopted is not None
    assert adopted.outputs["deployedModelId"] == ID
    assert MODELS.diff(context, adopted.outputs, INPUTS) == {}
    refreshed = MODELS.read(context, adopted.id, {**INPUTS, "deployedModelId": ID})
    assert refreshed is not None
    assert refreshed.inputs == INPUTS, "spelled as the program does"
    service.deployed[ID]["dedicatedResources"]["maxReplicaCount"] = 7
    drifted = MODELS.read(context, adopted.id, {**INPUTS, "deployedModelId": ID})
    assert drifted is not None
    assert MODELS.diff(context, drifted.outputs, INPUTS).keys() == {"maxReplicas"}
    assert MODELS.read(context, f"{ENDPOINT}/deployedModels/5", None) is None
    with pytest.raises(DeploymentError, match="the id to import is"):
        MODELS.read(context, "5", None)


def test_an_adopted_deployment_keeps_its_own_id(service: Service, operation: Operation) -> None:
    service.put("77", share=100, dedicatedResources={"minReplicaCount": 1, "maxReplicaCount": 1})
    context = service.context(operation)
    adopted = MODELS.read(context, f"{ENDPOINT}/deployedModels/77", None)
    assert adopted is not None
    after = MODELS.update(context, adopted.outputs, {**adopted.inputs, "maxReplicas": 2})
    assert after["deployedModelId"] == "77"
    assert not service.called("deployModel")


@pytest.mark.parametrize(
    ("split", "after"),
    [({"1": 20, "2": 80}, {"2": 100}), ({"1": 100}, {"2": 100}), ({"2": 100}, {"2": 100})],
)
def test_undeploying_moves_what_traffic_it_has_to_the_others(
    service: Service, operation: Operation, split: dict[str, int], after: dict[str, int]
) -> None:
    for id in ("1", "2"):
        service.put(id, share=split.get(id, 0))
    MODELS.delete(service.context(operation), {**INPUTS, "deployedModelId": "1"})
    assert service.split == after
    assert list(service.deployed) == ["2"]


def test_the_last_one_is_undeployed_with_all_its_traffic_and_one_that_is_gone_is_no_error(
    service: Service, operation: Operation
) -> None:
    service.put(ID, share=100)
    for _ in range(2):
        MODELS.delete(service.context(operation), {**INPUTS, "deployedModelId": ID})
    assert (service.split, service.deployed) == ({}, {})
    service.gone = True
    MODELS.delete(service.context(operation), {**INPUTS, "deployedModelId": ID})


def test_undeploying_is_tried_again_when_somebody_changed_the_endpoint_meanwhile(
    service: Service, operation: Operation
) -> None:
    service.put("1", share=50)
    service.put("2", share=50)
    service.changed_meanwhile = lambda: service.split.update({"1": 10, "2": 90})
    MODELS.delete(service.context(operation), {**INPUTS, "deployedModelId": "1"})
    assert service.split == {"2": 100}


def test_a_drain_undeploys_everything_and_names_it_after_what_still_runs(
    service: Service, operation: Operation
) -> None:
    service.put("1", share=90, displayName="ours")
    service.put("2", share=10)
    service.put("3")
    service._deploy({"id": "4", "model": MODEL})
    DRAINS.create(service.context(operation), DRAIN)
    assert not service.requests
    DRAINS.delete(service.context(operation), DRAIN)
    assert not service.deployed
    assert "undeployed 1 (ours), which was still on the endpoint" in operation.said
    assert sum(line.startswith("undeployed ") for line in operation.said) == 4
    service.gone = True
    DRAINS.delete(service.context(operation), DRAIN)


def test_a_drain_is_of_one_endpoint_and_can_be_imported(service: Service, operation: Operation) -> None:
    context = service.context(operation)
    assert not list(DRAINS.check(context, None, DRAIN))
    assert {problem.key for problem in DRAINS.check(context, None, {"endpoint": "e"})} == {
        "endpoint",
        "project",
        "region",
    }
    other = {**DRAIN, "endpoint": f"{ENDPOINT}1"}
    assert DRAINS.diff(context, DRAIN, other) == {"endpoint": Change.REPLACE}
    state = DRAINS.read(context, ENDPOINT, None)
    assert state is not None
    assert state.inputs == DRAIN
    service.gone = True
    assert DRAINS.read(context, ENDPOINT, None) is None


@pytest.mark.parametrize(
    ("split", "id", "percent", "expected"),
    [
        ({}, "new", 5, {"new": 100}),
        ({"old": 100}, "new", 5, {"old": 95, "new": 5}),
        ({"a": 33, "b": 33, "c": 34}, "new", 50, {"a": 17, "b": 16, "c": 17, "new": 50}),
        ({"old": 95, "new": 5}, "new", 5, {"old": 95, "new": 5}),
        ({"old": 100}, "new", 100, {"new": 100}),
        ({"old": 90, "new": 10}, "new", 0, {"old": 100}),
    ],
)
def test_a_share_leaves_the_others_their_proportions(
    split: dict[str, int], id: str, percent: int, expected: dict[str, int]
) -> None:
    found = traffic.shared(split, id, percent)
    assert found == expected
    assert sum(found.values()) == 100
