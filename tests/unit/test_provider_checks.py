"""What EndpointName and ActiveRelease say of inputs, and of a cloud that cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from cohost import tokens
from cohost.release import Release
from tests.unit.plugin_process import UNKNOWN, Plugin, Refused, engine, plugin

DIGEST = "a" * 64
MODELS = {"digits": DIGEST}
NAME = {
    "region": "us-east-1",
    "name": "shared",
    "instanceType": "ml.g5.xlarge",
    "instanceCount": 1,
    "endpointConfig": "shared-1",
    "rollbackAlarms": ["errors"],
    "owner": "shared-endpoint/prod",
}
RELEASE = {
    "region": "us-east-1",
    "store": "s3://bucket/team",
    "catalog": "catalog.yaml",
    "endpoint": "shared",
    "endpointConfig": "shared-1",
    "variant": "AllTraffic",
    "models": MODELS,
    "release": Release(MODELS).digest,
    "gpu": True,
}
UNREACHABLE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_CONFIG_FILE": "/nonexistent",
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def started(project: Path) -> Iterator[Plugin]:
    with plugin(project, UNREACHABLE) as one:
        yield one


@pytest.fixture
def name(started: Plugin) -> Plugin:
    started.token = tokens.SAGEMAKER_ENDPOINT_NAME
    return started


@pytest.fixture
def release(started: Plugin) -> Plugin:
    started.token = tokens.SAGEMAKER_ACTIVE_RELEASE
    return started


@pytest.mark.parametrize("bad", ["", "-a", "a_b", "a--", "x" * 64, 1])
def test_a_name_that_sagemaker_would_refuse_is_refused(name: Plugin, bad: Any) -> None:
    assert name.check({**NAME, "name": bad}).keys() == {"name"}


def test_everything_wrong_with_a_name_is_told_at_once(name: Plugin) -> None:
    news = {"name": "a b", "instanceType": "g5.xlarge", "instanceCount": 0, "rollbackAlarms": ["a", ""], "owner": ""}
    assert name.check(news).keys() == {
        "region",
        "name",
        "instanceType",
        "instanceCount",
        "endpointConfig",
        "rollbackAlarms[1]",
        "owner",
    }


def test_another_name_or_region_is_another_resource(name: Plugin) -> None:
    for changes in ({"name": "other"}, {"region": "eu-west-1"}):
        assert list(name.diff(NAME, NAME | changes).replaces) == list(changes)
    assert not name.diff(NAME, NAME | {"endpointConfig": UNKNOWN, "instanceCount": 2}).replaces


def test_a_preview_that_reaches_no_cloud_tells_what_it_can(project: Path) -> None:
    with (
        engine() as listening,
        plugin(project, UNREACHABLE, tokens.SAGEMAKER_ENDPOINT_NAME, engine=listening.address) as offline,
    ):
        assert offline.check(NAME) == {}
        assert offline.check({**NAME, "rollbackAlarms": []}, olds=NAME) == {}
        assert offline.diff(NAME, NAME).changes == provider_pb2.DiffResponse.DIFF_NONE
        assert offline.create(NAME, preview=True) == ("", NAME)
        assert [
            line for line in listening.said if "ml.g5.xlarge for endpoint usage" in line and "cannot be read" in line
        ]
        with pytest.raises(Refused, match="looking at the endpoint shared: "):
            offline.update(NAME, {**NAME, "rollbackAlarms": []})


def test_a_release_is_what_its_models_make(release: Plugin) -> None:
    assert release.check(RELEASE) == {}
    assert release.check({**RELEASE, "release": UNKNOWN}) == {}
    assert release.check({**RELEASE, "models": {"digits": UNKNOWN}}) == {}
    assert release.check({**RELEASE, "models": {"digits": "b" * 64}}).keys() == {"release"}
    assert release.check({**RELEASE, "gpu": "yes", "models": {"digits": ""}}).keys() == {"gpu", 'models["digits"]'}


def test_a_release_changes_in_place_except_for_its_store(release: Plugin) -> None:
    changed = {**RELEASE, "endpointConfig": UNKNOWN, "models": MODELS | {"iris": DIGEST}}
    assert release.diff(RELEASE, changed).detailedDiff.keys() == {"endpointConfig", 'models["iris"]'}
    assert not release.diff(RELEASE, changed).replaces
    assert list(release.diff(RELEASE, {**RELEASE, "store": "s3://other/team"}).replaces) == ["store"]
    assert release.update(RELEASE, changed, preview=True) == changed
