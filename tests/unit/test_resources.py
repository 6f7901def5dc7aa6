from __future__ import annotations

import pulumi
import pytest

from cohost import release, tokens
from cohost.resources import ArtifactSet, EndpointName, SageMakerActiveRelease
from tests.unit.mocks import Recording, record

# Names of models are the user's: an SDK that translates property names would write the first as "myModel".
MODELS = {"my_model": "0" * 64, "digits": "1" * 64}


def artifacts() -> ArtifactSet:
    return ArtifactSet("set", region="eu-west-1", store="s3://bucket", catalog="catalog.yaml", models=MODELS)


def right() -> EndpointName:
    return EndpointName(
        "name",
        region="eu-west-1",
        name="shared",
        instance_type="ml.g5.xlarge",
        instance_count=2,
        endpoint_config="config",
        rollback_alarms=["shared-rollback-5xx"],
        owner="shared-endpoint/dev",
    )


def active() -> SageMakerActiveRelease:
    return SageMakerActiveRelease(
        "active",
        region="eu-west-1",
        store="s3://bucket",
        catalog="catalog.yaml",
        endpoint="shared",
        endpoint_config="config",
        variant="main",
        models=MODELS,
        release=release.Release(MODELS).digest,
        gpu=True,
    )


@pytest.fixture(scope="module")
def declared() -> Recording:
    def program() -> None:
        found, name, live = artifacts(), right(), active()
        pulumi.export("set", [found.release, found.store, found.catalog, found.models])
        fleet = [name.instance_type, name.instance_count, name.endpoint_config]
        pulumi.export("name", [name.name, name.owner, *fleet, name.rollback_alarms])
        pulumi.export("active", [live.release, live.endpoint, live.store, live.models])

    return record(program)


def test_properties_reach_the_plugin_under_its_own_names(declared: Recording) -> None:
    assert set(declared.one(tokens.ARTIFACT_SET).inputs) == {"region", "store", "catalog", "models"}
    assert set(declared.one(tokens.SAGEMAKER_ENDPOINT_NAME).inputs) == {
        *("region", "name", "instanceType", "instanceCount", "endpointConfig", "rollbackAlarms", "owner"),
    }
    assert set(declared.one(tokens.SAGEMAKER_ACTIVE_RELEASE).inputs) == {
        *("region", "store", "catalog", "endpoint", "endpointConfig", "variant", "models", "release", "gpu"),
    }


def test_the_plugins_checks_know_every_property_and_no_other(declared: Recording) -> None:
    from cohost.provider import active_release, artifact_set, endpoint_name

    for type_, fields in (
        (tokens.ARTIFACT_SET, artifact_set._FIELDS),
        (tokens.SAGEMAKER_ENDPOINT_NAME, endpoint_name._FIELDS),
        (tokens.SAGEMAKER_ACTIVE_RELEASE, active_release._FIELDS),
    ):
        assert set(declared.one(type_).inputs) == set(fields)


def test_a_models_name_is_never_translated(declared: Recording) -> None:
    for type_ in (tokens.ARTIFACT_SET, tokens.SAGEMAKER_ACTIVE_RELEASE):
        assert declared.one(type_).inputs["models"] == MODELS
    assert declared.outputs["set"][3] == declared.outputs["active"][3] == MODELS


def test_outputs_are_read_under_their_python_names(declared: Recording) -> None:
    digest = release.Release(MODELS).digest
    assert declared.outputs["set"] == [digest, "s3://bucket", "catalog.yaml", MODELS]
    assert declared.outputs["active"] == [digest, "shared", "s3://bucket", MODELS]
    names = ["shared", "shared-endpoint/dev", "ml.g5.xlarge", 2, "config", ["shared-rollback-5xx"]]
    assert declared.outputs["name"] == names


def test_a_release_is_known_in_a_first_preview_and_the_store_is_not_said_to_be_filled() -> None:
    def program() -> None:
        pulumi.export("release", artifacts().release)

    assert record(program, preview=True).outputs["release"] == release.Release(MODELS).digest
