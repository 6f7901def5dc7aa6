from __future__ import annotations

import pytest

from cohost import tokens
from rules import types
from tests.stacks import (
    Case,
    assert_breaks,
    recorded,
    remediated,
    rule,
    set_to,
    together,
    violations,
    with_options,
    with_resource,
    without,
)

CASES = [
    Case(
        "no-fixed-name",
        "aws",
        set_to(types.AWS_ENDPOINT_CONFIGURATION, "name", "shared"),
        ["name is given (shared), and delete_before_replace is not False"],
    ),
    Case(
        "no-fixed-name",
        "aws",
        with_options(types.AWS_ENDPOINT, delete_before_replace=None),
        ["name is given (shared-endpoint-dev), and delete_before_replace is not False"],
    ),
    Case(
        "no-fixed-name",
        "gcp",
        set_to(types.GCP_BUCKET, "name", "models-1a2b3c4"),
        ["name is given (models-1a2b3c4), and delete_before_replace is not False"],
    ),
    Case(
        "protected-in-production",
        "aws-production",
        with_options(types.AWS_BUCKET, protect=False),
        ["is not protected from deletion"],
    ),
    Case(
        "protected-in-production",
        "aws-production",
        set_to(types.AWS_BUCKET, "forceDestroy", value=True),
        ["forceDestroy is true, so the bucket is deleted with everything in it"],
    ),
    Case(
        "protected-in-production",
        "gcp-production",
        with_options(tokens.VERTEX_ACTIVE_RELEASE, protect=False),
        ["is not protected from deletion"],
    ),
    Case(
        "apis-stay-on",
        "gcp",
        with_resource(types.GCP_SERVICE, service="compute.googleapis.com"),
        ["disableOnDestroy is not set, so a destroy turns the API off for the whole project"],
    ),
    Case(
        "logs-in-production",
        "aws-production",
        set_to(types.AWS_LOG_GROUP, "retentionInDays", 7.0),
        ["retentionInDays is 7; 30 are the least"],
    ),
    Case(
        "logs-in-production",
        "aws-production",
        set_to(types.AWS_LOG_GROUP, "retentionInDays", 0.0),
        ["retentionInDays is not set, so logs are kept, and paid for, for ever"],
    ),
    Case(
        "logs-in-production",
        "gcp-production",
        set_to(tokens.VERTEX_DEPLOYED_MODEL, "disableContainerLogging", value=True),
        ["disableContainerLogging is true, so nothing tells why a model failed"],
    ),
    Case("alarms-in-production", "aws-production", without(types.AWS_METRIC_ALARM), ["has no alarm"]),
    Case(
        "alarms-in-production",
        "aws-production",
        set_to(types.AWS_METRIC_ALARM, "alarmActions", [], name="latency"),
        ["alarmActions is empty, so nobody is told"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_not_outlive_a_mistake_breaks_its_rule(case: Case) -> None:
    assert_breaks(case)


def test_a_name_that_pulumi_makes_up_is_no_fixed_name() -> None:
    stack = recorded("aws")
    (model,) = [resource for resource in stack.resources if resource.type == types.AWS_MODEL]
    assert violations(set_to(types.AWS_MODEL, "name", f"{model.name}-0a1b2c3")(stack)) == {}


def test_a_deletion_policy_will_do_instead_of_protection() -> None:
    kept = together(
        with_options(types.GCP_BUCKET, protect=False), set_to(types.GCP_BUCKET, "deletionPolicy", "PREVENT")
    )
    assert violations(kept(recorded("gcp-production"))) == {}


@pytest.mark.parametrize(("stack", "type_", "prop"), [
    ("aws", types.AWS_ENDPOINT, "tags"),
    ("gcp", tokens.VERTEX_MODEL, "labels"),
])  # fmt: skip
def test_owner_and_cost_centre_are_put_where_they_are_missing_and_only_there(stack: str, type_: str, prop: str) -> None:
    own = set_to(type_, f"{prop}.owner", "vision-team")(recorded(stack))
    settings = {"owner-tags": {"owner": "platform", "costCentre": "4711"}}
    (found,) = [each for each in remediated(own, settings).resources if each.type == type_]
    (before,) = [each for each in own.resources if each.type == type_]
    assert found.props[prop] == {**before.props[prop], "owner": "vision-team", "cost-centre": "4711"}
    assert remediated(remediated(own)) == remediated(own)


@pytest.mark.parametrize(("stack", "type_", "prop"), [
    ("aws", types.AWS_KEY, "tags"),
    ("gcp", types.GCP_ENDPOINT, "labels"),
])  # fmt: skip
def test_a_tag_that_is_missing_and_not_put_there_breaks_its_rule(stack: str, type_: str, prop: str) -> None:
    tags, changed = rule("owner-tags"), set_to(type_, prop, {"owner": "a"})(recorded(stack))
    (resource,) = [each for each in changed.resources if each.type == type_]
    context = changed.context(tags, {})
    assert list(tags.violations(resource, context)) == [f"{prop} lacks cost-centre"]
