from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cohost.local.vertex.predictions import limits_of
from cohost.local.vertex.state import State
from cohost.vertex_endpoint import DEDICATED_BYTES, SHARED_BYTES
from tests.unit.local_vertex import PARENT, Control, deploying


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path)


@pytest.fixture
def model(control: Control) -> str:
    return control.upload(modelId="release")


@pytest.fixture
def endpoint(control: Control) -> str:
    return control.endpoint()


def test_an_endpoint_is_made_changed_by_its_mask_alone_and_deleted(control: Control, endpoint: str) -> None:
    changed = control.ok("PATCH", endpoint, {"displayName": "new", "description": "no"}, updateMask="display_name")
    assert changed["displayName"] == "new"
    assert "description" not in changed
    control.ok("DELETE", endpoint)
    assert control.refused("GET", endpoint)[0] == "NOT_FOUND"


@pytest.mark.parametrize("identity", ["01", "12345678901", "a_b", "-a", "A"])
def test_an_endpoint_id_is_ten_digits_at_the_most_or_a_name(control: Control, identity: str) -> None:
    refused = control.refused("POST", f"{PARENT}/endpoints", {"displayName": "x"}, endpointId=identity)
    assert refused[0] == "INVALID_ARGUMENT"


def test_a_stale_etag_is_refused(control: Control, endpoint: str) -> None:
    etag = control.ok("GET", endpoint)["etag"]
    control.ok("PATCH", endpoint, {"displayName": "new", "etag": etag}, updateMask="displayName")
    refused = control.refused("PATCH", endpoint, {"displayName": "newer", "etag": etag}, updateMask="displayName")
    assert refused[0] == "ABORTED"


def test_a_dedicated_endpoint_has_a_name_of_its_own(control: Control) -> None:
    found = control.ok("GET", control.endpoint("7", dedicatedEndpointEnabled=True))
    assert found["dedicatedEndpointDns"].endswith(".prediction.vertexai.goog")


def test_a_private_endpoint_has_a_service_attachment_while_anything_is_deployed(control: Control, model: str) -> None:
    config = {"enablePrivateServiceConnect": True, "projectAllowlist": ["other-project"]}
    endpoint = control.endpoint("7", privateServiceConnectConfig=config)
    assert control.ok("GET", endpoint)["privateServiceConnectConfig"] == config
    control.deployed(endpoint, model, "71")
    attachment = control.ok("GET", endpoint)["privateServiceConnectConfig"]["serviceAttachment"]
    control.deployed(endpoint, model, "72")
    found = control.ok("GET", endpoint)["privateServiceConnectConfig"]
    assert found == {**config, "serviceAttachment": attachment}
    assert "/serviceAttachments/" in attachment


@pytest.mark.parametrize(
    ("more", "limits"),
    [
        ({}, (SHARED_BYTES, 60)),
        ({"clientConnectionConfig": {"inferenceTimeout": "900s"}}, (SHARED_BYTES, 60)),
        ({"dedicatedEndpointEnabled": True}, (DEDICATED_BYTES, 600)),
        ({"privateServiceConnectConfig": {"enablePrivateServiceConnect": True}}, (DEDICATED_BYTES, 600)),
        (
            {"dedicatedEndpointEnabled": True, "clientConnectionConfig": {"inferenceTimeout": "900s"}},
            (DEDICATED_BYTES, 900),
        ),
    ],
)
def test_a_kind_of_endpoint_has_limits_of_its_own(
    control: Control, more: dict[str, Any], limits: tuple[int, float]
) -> None:
    assert limits_of(control.state.endpoints[control.endpoint("7", **more)]) == limits


def test_a_deployment_is_recorded_before_it_is_answered(control: Control, model: str, endpoint: str) -> None:
    operation = control.ok("POST", f"{endpoint}:deployModel", deploying(model, id="5"))
    assert control.begun[-1] == operation["name"]
    kept = State(control.folder / "state.json").operations[operation["name"]]
    assert kept["work"]["deployedModel"]["modelVersionId"] == "1"
    assert kept["work"]["deployedModel"]["dedicatedResources"]["maxReplicaCount"] == 1
    assert "work" not in control.ok("GET", operation["name"])


def test_one_thing_at_a_time_happens_to_an_endpoint(control: Control, model: str, endpoint: str) -> None:
    control.ok("POST", f"{endpoint}:deployModel", deploying(model, id="5"))
    for method, path, body in (
        ("POST", f"{endpoint}:deployModel", deploying(model, id="6")),
        ("DELETE", endpoint, None),
    ):
        status, message = control.refused(method, path, body)
        assert status == "FAILED_PRECONDITION"
        assert "There are other operations running" in message
    assert control.refused("DELETE", model)[0] == "FAILED_PRECONDITION", "what is being deployed is in use"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"id": "12345678901"}, "INVALID_ARGUMENT", "1-10 digits"),
        ({"id": "a"}, "INVALID_ARGUMENT", "1-10 digits"),
        ({"split": {"0": 90}}, "INVALID_ARGUMENT", "add up to 100"),
        ({"split": {"0": 50, "9": 50}}, "INVALID_ARGUMENT", '"9"'),
        ({"resources": {"minReplicaCount": 0}}, "INVALID_ARGUMENT", "min_replica_count"),
        ({"resources": {"minReplicaCount": 2, "maxReplicaCount": 1}}, "INVALID_ARGUMENT", "max_replica_count"),
        ({"machine": {"machineType": "g2-standard-8", "acceleratorType": "NVIDIA_L4"}}, "INVALID_ARGUMENT", "together"),
        (
            {
                "machine": {
                    "machineType": "g2-standard-8",
                    "acceleratorType": "NVIDIA_TESLA_T4",
                    "acceleratorCount": 1,
                }
            },
            "INVALID_ARGUMENT",
            "NVIDIA_L4",
        ),
        ({"checkpointId": "x"}, "UNIMPLEMENTED", "checkpointId"),
        ({"colour": "red"}, "INVALID_ARGUMENT", "colour"),
    ],
)
def test_a_deployment_that_the_service_would_not_take_is_refused(
    control: Control, model: str, endpoint: str, change: dict[str, Any], status: str, words: str
) -> None:
    refused = control.refused("POST", f"{endpoint}:deployModel", deploying(model, **change))
    assert refused[0] == status
    assert words in refused[1]


def test_a_missing_model_version_or_endpoint_is_named(control: Control, model: str, endpoint: str) -> None:
    for name in (f"{PARENT}/models/missing", f"{model}@2", f"{model}@golden"):
        assert control.refused("POST", f"{endpoint}:deployModel", deploying(name))[0] == "NOT_FOUND"
    assert control.refused("POST", f"{PARENT}/endpoints/9:deployModel", deploying(model))[0] == "NOT_FOUND"


def test_gpus_count_against_the_quota_at_the_most_that_they_scale_to(
    control: Control, model: str, endpoint: str
) -> None:
    control.limit(quota={"NVIDIA_L4": 2})
    three = deploying(model, resources={"minReplicaCount": 1, "maxReplicaCount": 3})
    status, message = control.refused("POST", f"{endpoint}:deployModel", three)
    assert (status, message.rsplit("/", 1)[-1]) == ("RESOURCE_EXHAUSTED", "custom_model_serving_nvidia_l4_gpus")
    control.deployed(endpoint, model, "5", resources={"minReplicaCount": 1, "maxReplicaCount": 2})
    assert control.refused("POST", f"{endpoint}:deployModel", deploying(model))[0] == "RESOURCE_EXHAUSTED"
    control.ok("POST", f"{endpoint}:deployModel", deploying(model, machine={"machineType": "n1-standard-4"}))


def test_traffic_leaves_a_deployed_model_before_it_is_undeployed(control: Control, model: str, endpoint: str) -> None:
    control.deployed(endpoint, model, "5")
    control.deployed(endpoint, model, "6")
    control.ok("PATCH", endpoint, {"trafficSplit": {"5": 100}}, updateMask="trafficSplit")
    assert control.refused("POST", f"{endpoint}:undeployModel", {"deployedModelId": "5"})[0] == "FAILED_PRECONDITION"
    assert control.refused("POST", f"{endpoint}:undeployModel", {"deployedModelId": "7"})[0] == "NOT_FOUND"
    control.ok("POST", f"{endpoint}:undeployModel", {"deployedModelId": "5", "trafficSplit": {"6": 100}})
    assert control.ok("GET", endpoint)["trafficSplit"] == {"6": 100}


def test_the_last_deployed_model_takes_its_traffic_with_it(control: Control, model: str, endpoint: str) -> None:
    control.deployed(endpoint, model, "5")
    control.ok("PATCH", endpoint, {"trafficSplit": {"5": 100}}, updateMask="trafficSplit")
    control.ok("POST", f"{endpoint}:undeployModel", {"deployedModelId": "5"})
    assert "trafficSplit" not in control.ok("GET", endpoint)


def test_a_models_key_and_its_endpoints_key_must_be_the_same(control: Control, endpoint: str) -> None:
    key = {"kmsKeyName": f"{PARENT}/keyRings/r/cryptoKeys/k"}
    model = control.upload(modelId="encrypted", encryptionSpec=key)
    status, message = control.refused("POST", f"{endpoint}:deployModel", deploying(model))
    assert (status, "encryption_spec" in message) == ("FAILED_PRECONDITION", True)
    control.ok("POST", f"{control.endpoint('2', encryptionSpec=key)}:deployModel", deploying(model))


def test_an_endpoint_without_traffic_answers_that_it_has_none(control: Control, endpoint: str) -> None:
    status, message = control.refused("POST", f"{endpoint}:rawPredict", b"{}")
    assert (status, "doesn't have traffic_split" in message) == ("FAILED_PRECONDITION", True)
