"""DeployedModel with `update: replace`, whose new deployment fails after the old one is gone; and what is idle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cohost.errors import DeploymentError
from cohost.provider.resource import PartialFailure
from cohost.provider.vertex import traffic
from cohost.provider.vertex.deployed_model import DeployedModel
from cohost.provider.vertex.deployment import deployed_model_id
from tests.unit import vertex_service
from tests.unit.provider_context import Operation
from tests.unit.test_provider_vertex_deployed_model import INPUTS
from tests.unit.vertex_service import ENDPOINT, REGION, Service, error

MODELS = DeployedModel()
OLD = {**INPUTS, "update": "replace"}
NEW = {**OLD, "machineType": "g2-standard-12"}
OLD_ID, NEW_ID = deployed_model_id(OLD), deployed_model_id(NEW)
NEVER_READY = {"code": 9, "message": "Model server never became ready"}


@pytest.fixture
def operation() -> Operation:
    return Operation()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, operation: Operation) -> Iterator[Service]:
    """The old one has all calls."""
    monkeypatch.setattr(traffic, "_PAUSE_S", 0.01)
    with vertex_service.running(monkeypatch) as started:
        MODELS.create(started.context(operation), OLD)
        started.split = {OLD_ID: 100}
        yield started


def test_the_old_one_comes_back_as_it_was_with_its_calls_when_the_new_one_fails(
    service: Service, operation: Operation
) -> None:
    before = dict(service.deployed[OLD_ID])
    service.failing, service.failing_once = NEVER_READY, True
    words = rf"never became ready[\s\S]*{OLD_ID} was deployed again, and has its calls as before"
    with pytest.raises(DeploymentError, match=words):
        MODELS.create(service.context(operation), NEW)
    assert service.deployed == {OLD_ID: before}
    assert service.split == {OLD_ID: 100}
    read = MODELS.read(service.context(operation), f"{ENDPOINT}/deployedModels/{OLD_ID}", OLD)
    assert read is not None
    assert MODELS.diff(service.context(operation), read.outputs, OLD) == {}, "what the state says of it is true"
    assert MODELS.create(service.context(operation), NEW)["deployedModelId"] == NEW_ID
    assert service.deployed.keys() == {NEW_ID}


def test_an_old_one_that_does_not_come_back_is_said(service: Service, operation: Operation) -> None:
    service.failing = NEVER_READY
    with pytest.raises(DeploymentError, match=rf"{OLD_ID} did not come back either, so nothing may serve: `refresh`"):
        MODELS.create(service.context(operation), NEW)
    assert service.deployed == {}


def test_a_stray_without_calls_does_not_come_back(service: Service, operation: Operation) -> None:
    service.put("111")
    service.failing, service.failing_once = NEVER_READY, True
    with pytest.raises(DeploymentError, match="was deployed again"):
        MODELS.create(service.context(operation), NEW)
    assert service.deployed.keys() == {OLD_ID}


def test_a_new_one_that_google_goes_on_with_is_waited_for_and_not_the_old_one(
    service: Service, operation: Operation
) -> None:
    deploy = service._deploy

    def held(wanted: dict[str, Any]) -> tuple[int, Any]:
        service.held = True
        return deploy(wanted)

    service._deploy = held  # type: ignore[method-assign]
    brief = Operation(seconds=5.0)
    with pytest.raises(PartialFailure, match="the next `up` goes on"):
        MODELS.create(service.context(brief), NEW)
    service.held = False
    assert MODELS.create(service.context(operation), NEW)["deployedModelId"] == NEW_ID
    assert [body["deployedModel"]["id"] for body in service.called("deployModel")] == [OLD_ID, NEW_ID]


def test_what_cannot_be_asked_for_is_refused_while_the_old_one_still_serves(
    service: Service, operation: Operation
) -> None:
    with pytest.raises(DeploymentError, match=r'NVIDIA_L5.*did you mean "NVIDIA_L4"'):
        MODELS.create(service.context(operation), {**NEW, "acceleratorType": "NVIDIA_L5"})
    assert not service.called("undeployModel")
    assert service.split == {OLD_ID: 100}


def test_an_operation_that_may_not_be_looked_at_is_said_and_not_asked_for_ever(
    service: Service, operation: Operation
) -> None:
    service.held = True
    with pytest.raises(PartialFailure):
        MODELS.create(service.context(Operation(seconds=5.0)), {**NEW, "update": "surge"})
    service.unreadable = True
    with pytest.raises(DeploymentError, match=r"a role with the permission aiplatform\.operations\.get"):
        MODELS.create(service.context(operation), {**NEW, "update": "surge"})
    service.held = service.unreadable = False
    assert MODELS.create(service.context(operation), {**NEW, "update": "surge"})["deployedModelId"] == NEW_ID
    assert [body["deployedModel"]["id"] for body in service.called("deployModel")] == [OLD_ID, NEW_ID]


def test_a_refusal_of_both_is_said_and_the_next_up_deploys(service: Service, operation: Operation) -> None:
    service.refusing = error(429, "RESOURCE_EXHAUSTED", "Machine type temporarily unavailable.")
    with pytest.raises(DeploymentError, match=r"temporarily unavailable[\s\S]*did not come back either"):
        MODELS.create(service.context(operation), NEW)
    assert service.deployed == {}
    service.refusing = None
    MODELS.create(service.context(operation), NEW)
    assert service.deployed.keys() == {NEW_ID}


def test_who_gets_no_calls_and_holds_the_quota_is_named_with_the_command_that_ends_it(
    service: Service, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE", f"{service.url}/")
    machine = {"machineSpec": {"acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}, "minReplicaCount": 1}
    service.put("222", dedicatedResources=machine)
    service.put(OLD_ID, dedicatedResources=machine)
    service.limits = {REGION: 2}
    command = f"gcloud ai endpoints undeploy-model {ENDPOINT} --region {REGION} --deployed-model-id 222"
    with pytest.raises(DeploymentError, match="needs 3 x NVIDIA_L4 at once, 2 of them") as caught:
        MODELS.create(service.context(operation), {**NEW, "spot": False, "update": "surge"})
    assert f"222 gets no calls: `{command}` gives its machines back" in str(caught.value)
    assert f"{OLD_ID} gets no calls" not in str(caught.value)
