"""What the emulated aws provider's resource types share: conversion to the API, waiting, its own configuration."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import boto3
import pytest

from cohost.errors import CohostError, DeploymentError
from cohost.local.aws_provider import configuration, convert
from cohost.local.aws_provider.registry import RESOURCES
from cohost.local.aws_provider.resource import Call, Change, Session

LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "eu-west-1"}


def request(service: Any, operation: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    client: Any = boto3.client(service, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    return convert.request(client, operation, properties)


def test_properties_become_parameters_whatever_their_case() -> None:
    variant = {"variantName": "all", "volumeSizeInGb": 5, "enableSsmAccess": True}
    given = {"productionVariants": [variant], "kmsKeyId": "k"}
    assert request("sagemaker", "CreateEndpointConfig", given) == {
        "ProductionVariants": [{"VariantName": "all", "VolumeSizeInGB": 5, "EnableSSMAccess": True}],
        "KmsKeyId": "k",
    }


def test_the_keys_of_a_map_stay_as_they_are_and_its_values_become_text() -> None:
    container = {"environment": {"LOG_VERBOSE": False, "threads": 4}}
    given = request("sagemaker", "CreateModel", {"primaryContainer": container})
    assert given == {"PrimaryContainer": {"Environment": {"LOG_VERBOSE": "false", "threads": "4"}}}


def test_a_map_becomes_the_list_of_names_and_values_that_the_api_wants() -> None:
    given = request("cloudwatch", "PutMetricAlarm", {"dimensions": {"VariantName": "all", "EndpointName": "e"}})
    assert given["Dimensions"] == [
        {"Name": "EndpointName", "Value": "e"},
        {"Name": "VariantName", "Value": "all"},
    ]


def test_a_property_that_the_api_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="s3DataSources: ModelDataSource has no such member"):
        request("sagemaker", "CreateModel", {"primaryContainer": {"modelDataSource": {"s3DataSources": []}}})


def test_members_of_the_api_become_pulumis_properties() -> None:
    told = {"VolumeSizeInGB": 5.0, "EnableSSMAccess": True, "Rules": [{"ID": "a", "SSEAlgorithm": "aws:kms"}]}
    assert convert.from_api(told) == {
        "volumeSizeInGb": 5,
        "enableSsmAccess": True,
        "rules": [{"id": "a", "sseAlgorithm": "aws:kms"}],
    }


def test_a_wait_ends_at_the_time_the_resource_gives_it() -> None:
    session = Session("eu-west-1", {}, threading.Event())
    with pytest.raises(DeploymentError, match=r"an endpoint: timeout after 0\.01 s"):
        Call(session, "eu-west-1", timeout=0.01).wait(lambda: False, limit=3600, what="an endpoint")
    with pytest.raises(DeploymentError, match=r"an endpoint: timeout after 0\.02 s"):
        Call(session, "eu-west-1").wait(lambda: False, limit=0.02, what="an endpoint")


def test_a_wait_ends_when_the_deployment_is_cancelled() -> None:
    session = Session("eu-west-1", {}, threading.Event())
    session.cancelled.set()
    with pytest.raises(DeploymentError, match="an endpoint: cancelled"):
        Call(session, "eu-west-1").wait(lambda: False, limit=3600, what="an endpoint")


def test_tags_are_set_and_removed_by_what_differs() -> None:
    change = Change({"tags": {"same": "1", "old": "1", "gone": "1"}}, {"tags": {"same": "1", "old": "2"}}, frozenset())
    assert change.tags() == ({"old": "2"}, ["gone"])


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "AWS_ENDPOINT_URL is not set"),
        ({"AWS_ENDPOINT_URL": "https://sts.amazonaws.com"}, "AWS_ENDPOINT_URL=https://sts.amazonaws.com"),
        ({**LOCAL, "AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com"}, "AWS_ENDPOINT_URL_S3=https://s3.amazonaws.com"),
        ({**LOCAL, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is set"),
        ({"AWS_ENDPOINT_URL": LOCAL["AWS_ENDPOINT_URL"]}, "aws:region"),
    ],
)
def test_nothing_but_this_machine_is_ever_asked(environment: dict[str, str], said: str) -> None:
    with pytest.raises(CohostError, match=said):
        configuration.session({}, environment, threading.Event())


def test_the_configuration_is_read_with_and_without_its_namespace() -> None:
    tags = '{"tags": {"a": "1"}}'
    given = {"aws:config:region": "eu-west-2", "aws:config:defaultTags": tags}
    session = configuration.session(given, LOCAL, threading.Event())
    assert (session.region, session.default_tags) == ("eu-west-2", {"a": "1"})
    assert configuration.session({"region": "eu-west-3"}, LOCAL, threading.Event()).region == "eu-west-3"
    assert configuration.session({}, LOCAL, threading.Event()).region == "eu-west-1"


@pytest.mark.parametrize(
    ("token", "import_id"),
    [
        ("aws:appautoscaling/target:Target", "sagemaker/endpoint"),
        ("aws:appautoscaling/policy:Policy", "endpoint/e/variant"),
    ],
)
def test_an_import_id_of_the_wrong_form_is_refused_with_the_right_one(token: str, import_id: str) -> None:
    with pytest.raises(ValueError, match="expected <service-namespace>/<resource-id>/<scalable-dimension>"):
        RESOURCES[token].imported(import_id)
