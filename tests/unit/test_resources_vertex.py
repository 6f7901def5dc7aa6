from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from cohost import tokens
from cohost.provider.vertex import active_release, deployed_model, endpoint_drain, model, model_set, probes
from cohost.resources_vertex import DeployedModel, EndpointDrain, Model, ModelSet, VertexActiveRelease
from tests.unit.mocks import Recording, record

# Names of models are the user's: an SDK that translates property names would write the first as "myModel".
MODELS = {"my_model": "0" * 64, "digits": "1" * 64}
PLACE: dict[str, Any] = {"project": "acme", "region": "europe-west4"}
PARENT = "projects/acme/locations/europe-west4"
ENDPOINT = f"{PARENT}/endpoints/1"
PROBE = {"httpGet": {"path": "/health", "port": 8080}, "failureThreshold": 60}
KEY = f"{PARENT}/keyRings/ring/cryptoKeys/key"


def repository(**more: Any) -> Model:
    return Model(
        "repository",
        **PLACE,
        model_id="shared",
        display_name="Shared",
        image="image",
        args=["--a"],
        env={"my_variable": "1"},
        predict_route="/predict",
        health_route="/health",
        ports=[8080],
        shared_memory_mb=1024,
        deployment_timeout_s=1800,
        artifact_uri="gs://store/repositories/r",
        labels={"my_label": "x"},
        aliases=["live"],
        **more,
    )


def registered() -> ModelSet:
    return ModelSet(
        "set",
        **PLACE,
        store="gs://store",
        prefix="dev",
        image="image",
        models=MODELS,
        labels={"my_model": {"owner": "a"}},
    )


def deployed() -> DeployedModel:
    return DeployedModel(
        "deployed",
        **PLACE,
        endpoint=ENDPOINT,
        model=f"{PARENT}/models/shared@1",
        display_name="shared",
        machine_type="g2-standard-8",
        accelerator_type="NVIDIA_L4",
        accelerator_count=1,
        min_replicas=1,
        max_replicas=2,
        autoscaling_targets={"a/my_metric": 60},
        spot=False,
        service_account="serving@acme.iam.gserviceaccount.com",
        disable_container_logging=False,
        enable_access_logging=True,
    )


def active() -> VertexActiveRelease:
    return VertexActiveRelease(
        "active",
        **PLACE,
        store="gs://store",
        catalog="catalog.yaml",
        endpoint=ENDPOINT,
        deployed_model="1",
        models=MODELS,
        release="2" * 64,
        probe_percent=5,
        gpu=True,
        canary={"weight": 10, "stableDeployedModel": "2", "stableRelease": "3" * 64},
        address="http://10.0.0.7",
    )


@pytest.fixture(scope="module")
def declared() -> Recording:
    def program() -> None:
        live, drain = active(), EndpointDrain("drain", **PLACE, endpoint=ENDPOINT)
        repository(
            service_account="builder@acme.iam.gserviceaccount.com",
            kms_key=KEY,
            startup_probe=PROBE,
            health_probe=PROBE,
            liveness_probe=PROBE,
        )
        registered()
        pulumi.export("endpoints", [drain.endpoint, deployed().endpoint, live.endpoint])
        pulumi.export("active", [live.release, live.store, live.models])

    return record(program)


@pytest.mark.parametrize(
    ("token", "fields"),
    [
        (tokens.VERTEX_MODEL, model._FIELDS),
        (tokens.VERTEX_MODEL_SET, model_set._FIELDS),
        (tokens.VERTEX_DEPLOYED_MODEL, deployed_model._FIELDS),
        (tokens.VERTEX_ENDPOINT_DRAIN, endpoint_drain._FIELDS),
        (tokens.VERTEX_ACTIVE_RELEASE, active_release._FIELDS),
    ],
)
def test_the_plugins_checks_know_every_property_and_no_other(
    declared: Recording, token: str, fields: Mapping[str, Any]
) -> None:
    assert set(declared.one(token).inputs) == set(fields)


def test_what_is_not_given_is_left_to_the_plugin() -> None:
    found = record(lambda: repository() and None).one(tokens.VERTEX_MODEL).inputs
    assert set(model._FIELDS) - set(found) == {"serviceAccount", "kmsKey", *probes.NAMES}


def test_names_that_are_the_users_are_never_translated(declared: Recording) -> None:
    assert declared.one(tokens.VERTEX_MODEL).inputs["env"] == {"my_variable": "1"}
    assert declared.one(tokens.VERTEX_MODEL).inputs["labels"] == {"my_label": "x"}
    assert declared.one(tokens.VERTEX_MODEL).inputs["startupProbe"] == PROBE
    assert declared.one(tokens.VERTEX_MODEL_SET).inputs["models"] == MODELS
    assert declared.one(tokens.VERTEX_MODEL_SET).inputs["labels"] == {"my_model": {"owner": "a"}}
    assert declared.one(tokens.VERTEX_DEPLOYED_MODEL).inputs["autoscalingTargets"] == {"a/my_metric": 60}
    assert declared.one(tokens.VERTEX_ACTIVE_RELEASE).inputs["models"] == MODELS


def test_outputs_are_read_under_their_python_names(declared: Recording) -> None:
    assert declared.outputs["endpoints"] == [ENDPOINT] * 3
    assert declared.outputs["active"] == ["2" * 64, "gs://store", MODELS]
