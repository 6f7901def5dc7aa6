from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from cohost.local.sagemaker import images, plans
from cohost.local.sagemaker.errors import ProvisioningError, ServiceError
from cohost.local.sagemaker.plans import Plan, Policy

PLAN = Plan(
    config="config",
    variant="AllTraffic",
    instance_type="ml.g5.xlarge",
    count=1,
    weight=1.0,
    image="image",
    environment={"A": "b"},
    role="role",
    url="s3://bucket/models/",
    mark="mark",
)
ROUTING = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}


def update(**members: Any) -> dict[str, Any]:
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": ROUTING, **members}}


def test_a_plan_is_kept_in_a_record_and_comes_back_the_same() -> None:
    assert plans.deployed({"Deployed": plans.kept(PLAN)}) == PLAN
    assert plans.coming({}) is None


def test_quota_counts_both_fleets_of_an_update_and_a_scaled_fleet_once() -> None:
    new = replace(PLAN, mark="other", count=2)
    kept = plans.kept(PLAN)
    assert plans.instances({"Deployed": kept, "Coming": plans.kept(new)}, "ml.g5.xlarge") == 3
    assert plans.instances({"Deployed": kept, "Coming": plans.kept(replace(PLAN, count=4))}, "ml.g5.xlarge") == 4
    assert plans.instances({"Deployed": kept}, "ml.g4dn.xlarge") == 0
    assert plans.instances({"EndpointStatus": "Failed"}, "ml.g5.xlarge") == 0


def test_retained_properties_are_the_old_fleets_but_for_the_excluded_ones() -> None:
    old, new = replace(PLAN, count=3, weight=2.0), replace(PLAN, config="new")
    assert new.retaining(old, set()) == replace(new, count=3, weight=2.0)
    assert new.retaining(old, {"DesiredInstanceCount"}) == replace(new, weight=2.0)
    assert new.retaining(replace(old, variant="other"), set()) == new


def test_alarms_and_waits_of_an_update_are_read_and_waits_shortened() -> None:
    config = {**update(TerminationWaitInSeconds=100), "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}
    assert Policy.of(config) == Policy(("a",), bake=3.0, linger=1.0)
    assert Policy.of(None) == Policy()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"RollingUpdatePolicy": {"WaitIntervalInSeconds": 1}}, "RollingUpdatePolicy is not supported here"),
        (
            {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {**ROUTING, "Type": "CANARY"}}},
            "Traffic routing CANARY is not supported here",
        ),
        (
            update(TerminationWaitInSeconds=300, MaximumExecutionTimeoutInSeconds=600),
            "must be larger than WaitIntervalInSeconds and TerminationWaitInSeconds together (600)",
        ),
    ],
)
def test_an_update_that_cannot_be_done_is_refused_by_name(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ServiceError) as caught:
        Policy.of(config)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("image", "good"),
    [
        ("763104351884.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-tritonserver:26.05-py3", True),
        ("763104351884.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-tritonserver:latest", False),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/sagemaker-tritonserver:26.05-py3", False),
        ("763104351884.dkr.ecr.eu-west-1.amazonaws.com/other:26.05-py3", False),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/our-triton:1", True),
        (f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/our-triton@sha256:{'0' * 64}", True),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/something:1", False),
        ("docker.io/triton:1", False),
    ],
)
def test_an_image_that_cannot_be_pulled_fails_the_endpoint(image: str, good: bool) -> None:
    expected = nullcontext() if good else pytest.raises(ProvisioningError, match=re.escape(image))
    with expected:
        images.check(image, variant="AllTraffic", region="eu-west-1", account="123456789012")
