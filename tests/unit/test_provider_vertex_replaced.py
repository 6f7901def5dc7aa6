"""Versions that another one has replaced: they go with their last deployment, and no other version does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1.types import DeployedModelRef

from cohost.provider.context import Context
from cohost.provider.vertex import models, replaced
from cohost.provider.vertex.deployed_model import DeployedModel
from cohost.provider.vertex.models import Wanted
from tests.unit import vertex_service
from tests.unit.fake_models import PARENT, PROJECT, REGION, FakeModels, full
from tests.unit.provider_context import Operation

GONE = f"{PARENT}/endpoints/1/deployedModels/77"
FIRST = Wanted(
    project=PROJECT,
    region=REGION,
    model_id="shared",
    display_name="Shared",
    content={"image": "i", "artifactUri": "gs://store/r1"},
    labels={},
    owner="urn:1",
    aliases=("live", "Release-1"),
)
SECOND = replace(FIRST, content={"image": "i", "artifactUri": "gs://store/r2"}, aliases=("live", "Release-2"))


@pytest.fixture
def google() -> FakeModels:
    return FakeModels()


@pytest.fixture
def operation() -> Operation:
    return Operation()


@pytest.fixture
def context(google: FakeModels, operation: Operation) -> Context:
    return replace(operation.context(), gcp=google)


def made(context: Context, *wanted: Wanted) -> None:
    for each in wanted:
        version, _ = models.register(context, each, known=True)
        models.align(context, each, version)


def left(google: FakeModels, context: Context, version: str = "1") -> list[str]:
    replaced.release(context, REGION, f"{full('shared')}@{version}", GONE)
    return list(google.kept["shared"].versions)


def test_a_replaced_version_goes_with_its_last_deployment(google: FakeModels, context: Context) -> None:
    made(context, FIRST, SECOND)
    assert left(google, context) == ["2"]
    replaced.release(context, REGION, f"{full('shared')}@1", GONE)


def test_the_version_in_use_stays(google: FakeModels, context: Context) -> None:
    made(context, FIRST, SECOND)
    assert left(google, context, "2") == ["1", "2"]


def test_a_version_that_another_endpoint_still_serves_stays(google: FakeModels, context: Context) -> None:
    made(context, FIRST, SECOND)
    google.deploy("shared", "1")
    other = DeployedModelRef(endpoint=f"{PARENT}/endpoints/2", deployed_model_id="77")
    google.kept["shared"].versions["1"].deployed_models.append(other)
    assert left(google, context) == ["1", "2"]


def test_a_version_with_an_alias_of_somebody_elses_stays(google: FakeModels, context: Context) -> None:
    made(context, FIRST, SECOND)
    google.merge_version_aliases(name=f"{full('shared')}@1", version_aliases=["audited"])
    assert left(google, context) == ["1", "2"]


@pytest.mark.parametrize("labels", [{}, {"cohost-owner": "x", "cohost-content": "y"}])
def test_a_version_that_no_model_of_ours_has_replaced_stays(
    google: FakeModels, context: Context, labels: dict[str, str]
) -> None:
    made(context, FIRST, SECOND)
    google.kept["shared"].versions["1"].labels = labels
    assert left(google, context) == ["1", "2"]


def test_a_version_of_somebody_elses_that_shows_the_labels_of_the_model_stays(
    google: FakeModels, context: Context
) -> None:
    made(context, FIRST, SECOND)
    google.kept["shared"].versions["1"].artifact_uri = "gs://theirs/r1"
    assert left(google, context) == ["1", "2"]


def test_versions_that_are_a_history_stay(google: FakeModels, context: Context) -> None:
    made(context, replace(FIRST, aliases=None), replace(SECOND, aliases=None))
    assert left(google, context) == ["1", "2"]


@pytest.mark.parametrize(
    ("method", "error", "told"),
    [
        ("delete_model_version", exceptions.Forbidden("no"), "PERMISSION_DENIED: no"),
        ("delete_model_version", exceptions.FailedPrecondition("in use"), ""),
        ("get_model", exceptions.Forbidden("no"), "PERMISSION_DENIED: no"),
    ],
)
def test_a_version_that_cannot_be_deleted_is_told_and_fails_nothing(
    google: FakeModels, operation: Operation, context: Context, method: str, error: Exception, told: str
) -> None:
    made(context, FIRST, SECOND)
    google.refuse = lambda called, request: error if called == method else None
    assert left(google, context) == ["1", "2"]
    assert [told in line for line in operation.said if "change of the model" in line] == ([True] if told else [])


def test_marks_fit_into_a_label_however_many_aliases_there_are() -> None:
    def marks(*aliases: Any) -> str:
        return replace(FIRST, aliases=aliases).all_labels["cohost-aliases"]

    assert len(marks(*(f"alias-{number}" for number in range(100)))) <= 63
    assert marks("b", "a") == marks("a", "b") != marks("a")
    assert marks() != ""


@pytest.mark.parametrize(("update", "released"), [("surge", 1), ("replace", 0)])
def test_an_undeployed_model_lets_its_version_go_unless_that_is_the_way_back(
    monkeypatch: pytest.MonkeyPatch, operation: Operation, update: str, released: int
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(replaced, "release", lambda context, region, name, gone: asked.append((name, gone)))
    with vertex_service.running(monkeypatch) as service:
        service.put("7", share=100)
        place = {"project": PROJECT, "region": vertex_service.REGION, "endpoint": vertex_service.ENDPOINT}
        outputs = {**place, "model": vertex_service.MODEL, "deployedModelId": "7", "update": update}
        DeployedModel().delete(service.context(operation), outputs)
        assert not service.deployed
    assert asked == [(vertex_service.MODEL, f"{vertex_service.ENDPOINT}/deployedModels/7")] * released
