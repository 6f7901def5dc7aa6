"""EndpointName in the real plugin's process, against the emulated SageMaker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cohost import tokens
from tests.local.sagemaker_fixture import REGION, Account, running
from tests.unit.plugin_process import UNKNOWN, Engine, Plugin, Refused, engine, plugin

TYPE, SMALL_TYPE = "ml.g5.xlarge", "ml.g4dn.xlarge"
OWNER = "shared-endpoint/test"
OWN = [{"Key": "cohost:stack", "Value": OWNER}]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture(scope="module")
def config(account: Account) -> str:
    return account.config("small", role=account.role("serving"), instance_type=SMALL_TYPE)


@pytest.fixture(autouse=True)
def no_limits(account: Account) -> Iterator[None]:
    yield
    account.limit()


@pytest.fixture(scope="module")
def listening() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.fixture(scope="module")
def names(account: Account, listening: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    project, environment = tmp_path_factory.mktemp("project"), account.environment()
    with plugin(project, environment, tokens.SAGEMAKER_ENDPOINT_NAME, engine=listening.address) as started:
        yield started


def failed_endpoint(account: Account, name: str, config: str, tags: list[dict[str, str]]) -> None:
    account.limit(capacity={SMALL_TYPE: 0})
    account.control.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=tags)
    assert account.settled(name)["EndpointStatus"] == "Failed"
    account.limit()


def name_inputs(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "region": REGION,
        "name": name,
        "instanceType": SMALL_TYPE,
        "instanceCount": 1,
        "endpointConfig": "config",
        "rollbackAlarms": ["errors"],
        "owner": OWNER,
    } | changes


def names_of(account: Account) -> list[str]:
    return [each["EndpointName"] for each in account.control.list_endpoints(MaxResults=100)["Endpoints"]]


def test_a_name_that_nobody_has_is_free(names: Plugin) -> None:
    given = name_inputs("free")
    assert names.check(given) == {}
    assert names.create(given, preview=True) == ("", given)
    assert names.create(given) == (f"{REGION}/free", given)
    assert names.diff(given, given).changes == names.diff(given, given).DIFF_NONE
    names.delete(given)


def test_this_stacks_own_failed_endpoint_is_a_difference_and_removed(
    account: Account, names: Plugin, config: str, listening: Engine
) -> None:
    failed_endpoint(account, "failed", config, OWN)
    given = name_inputs("failed")
    assert names.check(given) == {}
    assert list(names.diff(given, given).detailedDiff) == ["name"]
    assert names.update(given, given, preview=True) == given
    assert "failed" in names_of(account), "a preview removes nothing"
    assert names.update(given, given) == given
    assert "failed" not in names_of(account)
    assert any(line.startswith("removed the endpoint failed, which had failed: ") for line in listening.said)


def test_an_endpoint_that_an_interrupted_deployment_was_making_is_waited_for_and_removed(
    account: Account, names: Plugin, config: str, listening: Engine
) -> None:
    given = name_inputs("killed")
    assert not names.diff(given, given).detailedDiff  # and has loaded what it needs to look again at once
    account.control.create_endpoint(EndpointName="killed", EndpointConfigName=config, Tags=OWN)
    assert list(names.diff(given, given).detailedDiff) == ["name"]
    names.update(given, given)
    assert "killed" not in names_of(account)
    assert "removed the endpoint killed, which an interrupted deployment had left" in listening.said
    assert not names.diff(given, given).detailedDiff


def test_an_endpoint_in_service_may_be_in_the_state_and_stays(account: Account, names: Plugin, config: str) -> None:
    account.endpoint("serving", config, Tags=OWN)
    given = name_inputs("serving")
    assert not names.diff(given, given).detailedDiff
    names.update(given, name_inputs("serving", instanceCount=2))
    assert account.describe("serving")["EndpointStatus"] == "InService"
    account.remove("serving")


@pytest.mark.parametrize(
    ("tags", "holder"),
    [([], "it has no tag cohost:stack"), ([{"Key": "cohost:stack", "Value": "other/prod"}], "stack other/prod")],
)
def test_somebody_elses_endpoint_is_refused_in_a_preview_already_and_kept_though_it_failed(
    account: Account, names: Plugin, config: str, tags: list[dict[str, str]], holder: str
) -> None:
    failed_endpoint(account, "foreign", config, tags)
    given = name_inputs("foreign")
    found = names.check(given)
    assert found.keys() == {"name"}
    assert f"in use in {REGION} by " in found["name"]
    assert holder in found["name"]
    with pytest.raises(Refused, match="choose another name"):
        names.create(given)
    names.delete(given)
    assert account.describe("foreign")["EndpointStatus"] == "Failed"
    account.remove("foreign")


def test_a_live_endpoint_stays_its_stacks_own_and_its_rollback_alarms_as_they_are_until_it_fails(
    account: Account, names: Plugin, config: str
) -> None:
    account.endpoint("live", config, Tags=OWN)
    before, after = name_inputs("live"), name_inputs("live", rollbackAlarms=["errors", "latency"])
    assert names.check(before, olds=before) == {}
    found = names.check(after, olds=before)
    assert found.keys() == {"rollbackAlarms"}
    assert "keep the ones of before (errors)" in found["rollbackAlarms"]
    with pytest.raises(Refused, match="keep the ones of before"):
        names.update(before, after)
    renamed = name_inputs("live", owner="shared-endpoint/renamed")
    assert names.update(before, renamed) == renamed, "the same stack under another name"
    with pytest.raises(Refused, match="in use"):
        names.update(renamed, renamed)
    assert names.check(name_inputs("another", rollbackAlarms=[]), olds=before) == {}
    account.remove("live")
    failed_endpoint(account, "live", config, OWN)
    assert names.check(after, olds=before) == {}
    assert names.update(before, after) == after


def test_another_instance_type_for_a_live_endpoint_that_scales_is_refused_in_a_preview_with_the_remedy(
    account: Account, names: Plugin, config: str
) -> None:
    account.endpoint("scaling", config, Tags=OWN)
    before, after = name_inputs("scaling"), name_inputs("scaling", instanceType=TYPE)
    assert names.check(after, olds=before) == {}
    target = account.scaling("scaling")
    found = names.check(after, olds=before)
    assert found.keys() == {"instanceType"}
    assert "maxInstances equal to minInstances" in found["instanceType"]
    assert names.check(name_inputs("scaling", instanceCount=2), olds=before) == {}, "the same type, more of them"
    with pytest.raises(Refused, match="maxInstances equal to minInstances"):
        names.update(before, after)
    account.client("application-autoscaling").deregister_scalable_target(**target)
    assert names.update(before, after) == after
    account.remove("scaling")


def test_a_quota_that_is_too_small_is_refused_in_a_preview_with_where_to_ask(account: Account, names: Plugin) -> None:
    account.limit(quota={SMALL_TYPE: 1})
    with pytest.raises(Refused) as caught:
        names.create(name_inputs("many", instanceCount=2), preview=True)
    assert f'needs 2 x {SMALL_TYPE} at once, but the quota "{SMALL_TYPE} for endpoint usage"' in caught.value.message
    assert f"https://console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas?region={REGION}" in (
        caught.value.message
    )


def test_an_update_is_checked_against_the_quota_for_both_fleets_and_its_cost_is_said(
    account: Account, names: Plugin, listening: Engine
) -> None:
    account.limit(quota={SMALL_TYPE: 3, TYPE: 2})
    before = name_inputs("update", instanceCount=2, endpointConfig="old")
    assert names.create(before, preview=True)[1] == before
    assert any("holds this endpoint but no update of it" in line for line in listening.said)
    for after in ({**before, "endpointConfig": UNKNOWN}, {**before, "instanceCount": 3}):
        with pytest.raises(Refused, match="the update of the endpoint needs"):
            names.update(before, after, preview=True)
    listening.said.clear()
    other = {**before, "instanceType": TYPE, "endpointConfig": UNKNOWN}
    assert names.update(before, other, preview=True) == other
    assert listening.said == [
        f"the update brings up 2 x {TYPE} beside 2 x {SMALL_TYPE}: both fleets run, and cost, until the old one is "
        "taken down"
    ]


@pytest.mark.parametrize("status", ["Creating", "InService", "Failed"])
def test_delete_removes_what_is_left_of_the_stacks_own_under_the_name(
    account: Account, names: Plugin, config: str, listening: Engine, status: str
) -> None:
    name = f"left-{status}"
    if status == "Failed":
        failed_endpoint(account, name, config, OWN)
    elif status == "InService":
        account.endpoint(name, config, Tags=OWN)
    else:
        account.control.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=OWN)
    names.delete(name_inputs(name))
    assert name not in names_of(account)
    assert any(line.startswith(f"removed the endpoint {name}, which ") for line in listening.said)


def test_an_import_takes_what_the_live_endpoint_runs(account: Account, names: Plugin, config: str) -> None:
    account.endpoint("alive", config, Tags=OWN)
    imported = names.read(f"{REGION}/alive")
    assert imported is not None
    assert imported[0] == name_inputs("alive", rollbackAlarms=[], endpointConfig=config)
    assert names.read(f"{REGION}/nothing") is None
    account.remove("alive")
