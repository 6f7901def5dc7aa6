"""What the emulated aws provider makes of inputs and states, without any cloud."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cohost.local.aws_provider.properties import TOKENS
from cohost.local.aws_provider.registry import RESOURCES
from cohost.local.aws_provider.resource import Resource
from cohost.local.bridge import checks, differences, properties, states
from cohost.local.bridge.checks import DEFAULTS, Mode, Naming
from cohost.local.bridge.differences import Kind
from cohost.local.bridge.wire import UNKNOWN

BUCKET = "aws:s3/bucket:Bucket"
ROLE = "aws:iam/role:Role"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
MODEL = "aws:sagemaker/model:Model"
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"

VARIANT = {"variantName": "all", "modelName": "m-1", "instanceType": "ml.g5.xlarge", "initialInstanceCount": 1}
ROLLBACK = {"alarms": [{"alarmName": "a"}, {"alarmName": "b"}]}
BLUE_GREEN = {"trafficRoutingConfiguration": {"type": "ALL_AT_ONCE", "waitIntervalInSeconds": 0}}


def check(
    token: str,
    news: Mapping[str, Any],
    olds: Mapping[str, Any] | None = None,
    *,
    name: str = "thing",
    tags: Mapping[str, str] | None = None,
    mode: Mode = Mode.UNSET,
    proposed: str = "",
) -> tuple[dict[str, Any], dict[str, str]]:
    """The completed inputs, and the reason by property."""
    naming = Naming(f"urn:pulumi:s::p::{token}::{name}", mode=mode, proposed=proposed)
    inputs, failures = checks.check(RESOURCES[token], properties.inputs(token), olds or {}, news, naming, tags or {})
    assert len({failure.property for failure in failures}) == len(failures)
    return inputs, {failure.property: failure.reason for failure in failures}


def compare(token: str, old: Mapping[str, Any], new: Mapping[str, Any], **more: Any) -> differences.Difference:
    """What follows when the inputs of a resource as created go from old to new."""
    before, _ = check(token, old)
    after, _ = check(token, new, before)
    return differences.compare(RESOURCES[token], states.given(before), before, after, **more)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_property_names_are_those_of_the_installed_package() -> None:
    described = {
        token: {"inputs": properties.inputs(token), "outputs": sorted(properties.outputs(token))} for token in TOKENS
    }
    assert described == properties.generate(TOKENS)


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.token)
def test_a_type_names_only_properties_that_exist(resource: Resource) -> None:
    known = properties.inputs(resource.token)
    assert resource.supported | resource.computed <= set(known)
    for path in resource.replaces | resource.replaces_by_presence | resource.sets | set(resource.defaults):
        inside: Any = known
        for name in path.split("."):
            assert name in inside, path
            inside = inside[name]
    if resource.name:
        assert resource.name.property in known
        assert (resource.name.prefix or resource.name.property) in known


def test_every_type_of_the_list_is_served() -> None:
    assert set(RESOURCES) == set(TOKENS)


def test_all_wrong_property_names_are_reported_at_once_with_what_would_be_right() -> None:
    variant = {**VARIANT, "instanceTyp": "ml.g5.xlarge", "routingConfigs": [{"strategy": "RANDOM"}]}
    _, failures = check(CONFIG, {"productionVariants": [VARIANT, variant], "nam": "x"})
    assert failures == {
        "productionVariants[1].instanceTyp": (
            "unknown property productionVariants[1].instanceTyp; did you mean instanceType?"
        ),
        "productionVariants[1].routingConfigs[0].strategy": (
            "unknown property productionVariants[1].routingConfigs[0].strategy; did you mean routingStrategy?"
        ),
        "nam": "unknown property nam; did you mean name?",
    }


def test_a_property_that_is_not_served_is_refused_by_name() -> None:
    _, failures = check(MODEL, {"executionRoleArn": UNKNOWN, "inferenceExecutionConfig": {"mode": "Serial"}})
    assert failures == {"inferenceExecutionConfig": f"{MODEL}: inferenceExecutionConfig is not supported here"}


def test_a_made_up_name_stays_until_the_program_gives_one() -> None:
    first, _ = check(ROLE, {"assumeRolePolicy": "{}"})
    again, _ = check(ROLE, {"assumeRolePolicy": "[]"}, first)
    given, _ = check(ROLE, {"assumeRolePolicy": "{}", "name": "mine"}, again)
    back, _ = check(ROLE, {"assumeRolePolicy": "{}"}, given)
    assert first["name"].startswith("thing-")
    assert again["name"] == first["name"]
    assert given["name"] == "mine"
    assert back["name"] not in {"mine", first["name"]}


def test_after_a_refresh_every_old_value_counts_as_filled_in() -> None:
    given, _ = check(LOG_GROUP, {"name": "mine", "retentionInDays": 7, "skipDestroy": True})
    assert given[DEFAULTS] == []
    refreshed = states.refreshed_inputs(given, states.given(given))
    inputs, _ = check(LOG_GROUP, {}, refreshed)
    assert (inputs["name"], inputs["retentionInDays"], inputs["skipDestroy"]) == ("mine", 7, True)


def test_an_imported_resource_gets_a_new_name_unless_the_program_gives_its_name() -> None:
    imported = states.imported_inputs(RESOURCES[BUCKET], {"bucket": "old", "forceDestroy": False, "tags": {}})
    assert imported == {"bucket": "old", DEFAULTS: []}
    inputs, _ = check(BUCKET, {}, imported)
    assert inputs["bucket"] != "old"


def test_bucket_names_are_lower_case() -> None:
    inputs, _ = check(BUCKET, {}, name="Models")
    assert inputs["bucket"].startswith("models-")


def test_a_name_too_long_for_sagemaker_is_refused_before_anything_is_made() -> None:
    _, failures = check(MODEL, {"executionRoleArn": UNKNOWN}, name="m" * 56)
    assert "maximum length 63" in failures["name"]
    inputs, none = check(MODEL, {"executionRoleArn": UNKNOWN}, name="m" * 55)
    assert len(inputs["name"]) == 63
    assert none == {}


def test_a_prefix_makes_a_name_that_tells_its_prefix() -> None:
    inputs, failures = check(CONFIG, {"namePrefix": "shared-", "productionVariants": [VARIANT]})
    assert failures == {}
    assert "name" not in inputs
    name = checks.with_name(RESOURCES[CONFIG], inputs)["name"]
    assert len(name) == len("shared-") + 26
    assert checks.prefix_of(name) == "shared-"
    assert checks.prefix_of("shared-1234567") == ""


def test_name_and_prefix_together_are_refused() -> None:
    _, failures = check(CONFIG, {"name": "a", "namePrefix": "b", "productionVariants": [VARIANT]})
    assert set(failures) == {"name"}


def test_the_engines_settings_for_names_are_followed() -> None:
    proposed, _ = check(BUCKET, {}, mode=Mode.PROPOSED, proposed="Asked-For")
    enforced, _ = check(BUCKET, {}, mode=Mode.ENFORCED, proposed="Asked-For")
    _, failures = check(BUCKET, {}, mode=Mode.DISABLED)
    _, too_long = check(BUCKET, {}, mode=Mode.PROPOSED, proposed="b" * 64)
    assert (proposed["bucket"], enforced["bucket"]) == ("asked-for", "Asked-For")
    assert "disabled" in failures["bucket"]
    assert "63" in too_long["bucket"]


def test_default_tags_are_under_a_resources_own() -> None:
    inputs, _ = check(BUCKET, {"tags": {"a": "own"}}, tags={"a": "default", "b": "default"})
    untaggable, _ = check("aws:kms/alias:Alias", {"targetKeyId": "k"}, tags={"a": "default"})
    assert inputs["tags"] == {"a": "own", "b": "default"}
    assert "tags" not in untaggable


def test_defaults_are_filled_in_wherever_they_belong() -> None:
    variants = [VARIANT, {**VARIANT, "initialVariantWeight": 2}]
    inputs, _ = check(CONFIG, {"productionVariants": variants})
    unknown, _ = check(CONFIG, {"productionVariants": UNKNOWN})
    assert [variant["initialVariantWeight"] for variant in inputs["productionVariants"]] == [1, 2]
    assert unknown["productionVariants"] == UNKNOWN


def test_nothing_differs_from_itself() -> None:
    inputs = {"name": "e", "endpointConfigName": "c", "deploymentConfig": {"blueGreenUpdatePolicy": BLUE_GREEN}}
    assert compare(ENDPOINT, inputs, inputs) == differences.Difference({}, frozenset(), delete_first=False)


@pytest.mark.parametrize(
    ("token", "old", "new", "replaces"),
    [
        (MODEL, {"primaryContainer": {"image": "a"}}, {"primaryContainer": {"image": "b"}}, "primaryContainer.image"),
        (MODEL, {"vpcConfig": {"subnets": ["a"]}}, {"vpcConfig": {"subnets": ["b"]}}, "vpcConfig.subnets[0]"),
        (CONFIG, {"productionVariants": [VARIANT]}, {"productionVariants": [{**VARIANT, "modelName": UNKNOWN}]},
         "productionVariants[0].modelName"),
        (CONFIG, {"productionVariants": [VARIANT]}, {"productionVariants": [VARIANT, VARIANT]},
         "productionVariants[1]"),
        (BUCKET, {"region": "eu-west-1"}, {"region": "eu-west-2"}, "region"),
    ],
)  # fmt: skip
def test_what_cannot_change_replaces_an_autonamed_resource_after_its_successor_is_there(
    token: str, old: dict[str, Any], new: dict[str, Any], replaces: str
) -> None:
    found = compare(token, old, new)
    assert found.replaces == {replaces}
    assert not found.delete_first


@pytest.mark.parametrize("name", ["same", "other"])
def test_a_resource_whose_name_is_given_is_deleted_before_its_successor(name: str) -> None:
    old = {"name": "same", "productionVariants": [VARIANT]}
    found = compare(CONFIG, old, {"name": name, "productionVariants": [{**VARIANT, "modelName": "m-2"}]})
    assert "productionVariants[0].modelName" in found.replaces
    assert found.delete_first


def test_a_prefix_instead_of_a_name_replaces_and_keeps_the_successor_first() -> None:
    old = {"namePrefix": "shared-", "productionVariants": [VARIANT]}
    found = compare(CONFIG, old, {"namePrefix": "other-", "productionVariants": [VARIANT]})
    assert found.replaces == {"namePrefix"}
    assert not found.delete_first


def test_an_endpoint_is_updated_in_place_to_another_configuration_and_deployment() -> None:
    old = {"name": "e", "endpointConfigName": "c-1", "deploymentConfig": {"blueGreenUpdatePolicy": BLUE_GREEN}}
    policy = {**BLUE_GREEN, "terminationWaitInSeconds": 5}
    new = {"name": "e", "endpointConfigName": "c-2", "deploymentConfig": {"blueGreenUpdatePolicy": policy}}
    found = compare(ENDPOINT, old, new)
    assert found.changes == {
        "endpointConfigName": Kind.UPDATE,
        "deploymentConfig.blueGreenUpdatePolicy.terminationWaitInSeconds": Kind.ADD,
    }
    assert not found.replaces


@pytest.mark.parametrize("with_rest", [True, False])
@pytest.mark.parametrize("comes", [True, False])
def test_rollback_settings_that_come_or_go_replace_the_endpoint(comes: bool, with_rest: bool) -> None:
    without: dict[str, Any] = {"name": "e", "endpointConfigName": "c"}
    rest = {"blueGreenUpdatePolicy": BLUE_GREEN}
    guarded = {**without, "deploymentConfig": {**rest, "autoRollbackConfiguration": ROLLBACK}}
    bare = {**without, "deploymentConfig": rest} if with_rest else without
    found = compare(ENDPOINT, bare, guarded) if comes else compare(ENDPOINT, guarded, bare)
    assert len(found.replaces) == 1
    assert found.delete_first


def test_other_rollback_alarms_are_an_update_in_place_and_their_order_is_nothing() -> None:
    def endpoint(*alarms: str) -> dict[str, Any]:
        rollback = {"alarms": [{"alarmName": alarm} for alarm in alarms]}
        return {"name": "e", "endpointConfigName": "c", "deploymentConfig": {"autoRollbackConfiguration": rollback}}

    assert not compare(ENDPOINT, endpoint("a", "b"), endpoint("b", "a")).changes
    found = compare(ENDPOINT, endpoint("a", "b"), endpoint("a", "c"))
    assert list(found.changes) == ["deploymentConfig.autoRollbackConfiguration.alarms[1].alarmName"]
    assert not found.replaces


def test_a_variant_that_is_moved_is_a_change() -> None:
    first, second = {**VARIANT, "variantName": "a"}, {**VARIANT, "variantName": "b"}
    found = compare(CONFIG, {"productionVariants": [first, second]}, {"productionVariants": [second, first]})
    assert set(found.changes) == {"productionVariants[0].variantName", "productionVariants[1].variantName"}


def test_policies_that_mean_the_same_are_no_change() -> None:
    def role(action: Any) -> dict[str, Any]:
        return {"assumeRolePolicy": json.dumps({"Statement": [{"Effect": "Allow", "Action": action}]})}

    assert not compare(ROLE, role(["a"]), role("a")).changes
    assert not compare(ROLE, role(["a", "b"]), role(["b", "a"])).changes
    assert compare(ROLE, role(["a"]), role(["a", "b"])).changes


def test_changed_tags_change_all_tags_too() -> None:
    found = compare(BUCKET, {"tags": {"a": "1", "b": "1"}}, {"tags": {"a": "2", "c": "1"}})
    assert found.changes == {
        "tags.a": Kind.UPDATE, "tags.b": Kind.DELETE, "tags.c": Kind.ADD,
        "tagsAll.a": Kind.UPDATE, "tagsAll.b": Kind.DELETE, "tagsAll.c": Kind.ADD,
    }  # fmt: skip


def test_what_the_cloud_changed_on_its_own_is_to_be_undone() -> None:
    inputs, _ = check(LOG_GROUP, {"name": "g", "retentionInDays": 30})
    state = {**states.given(inputs), "arn": "arn:x", "retentionInDays": 7}
    found = differences.compare(RESOURCES[LOG_GROUP], state, inputs, inputs)
    assert found.changes == {"retentionInDays": Kind.UPDATE}


def test_without_old_inputs_the_clouds_own_properties_are_no_change() -> None:
    inputs, _ = check(LOG_GROUP, {"name": "g", "retentionInDays": 30})
    state = {**states.given(inputs), "arn": "arn:x", "tags": {"foreign": "1"}}
    assert not differences.compare(RESOURCES[LOG_GROUP], state, {}, inputs).changes


@pytest.mark.parametrize("ignored", ["primaryContainer", "primaryContainer.environment"])
def test_ignored_changes_do_not_count_at_any_depth(ignored: str) -> None:
    old = {"primaryContainer": {"image": "i", "environment": {"A": "1"}}}
    new = {"primaryContainer": {"image": "i", "environment": {"A": "2"}}}
    assert compare(MODEL, old, new).replaces
    assert not compare(MODEL, old, new, ignored=frozenset({ignored})).changes


def test_empty_values_are_the_same_as_none() -> None:
    alarm = {"name": "a", "threshold": 1}
    assert not compare(ALARM, alarm, {**alarm, "alarmActions": [], "alarmDescription": "", "dimensions": {}}).changes
    assert not compare(ALARM, {**alarm, "alarmActions": [], "dimensions": {}}, alarm).changes


def test_what_is_recorded_is_spelled_as_the_program_spelled_it() -> None:
    arn = "arn:aws:kms:eu-west-1:1:key/abc"
    actual = {"targetKeyId": "abc", "name": "alias/x", "arn": "arn:alias"}
    recorded = states.outputs(RESOURCES["aws:kms/alias:Alias"], {"targetKeyId": arn, DEFAULTS: ["name"]}, actual)
    assert recorded == {"targetKeyId": arn, "name": "alias/x", "arn": "arn:alias"}


def test_a_refresh_keeps_the_inputs_that_were_given_and_says_what_they_are_now() -> None:
    inputs, _ = check(LOG_GROUP, {"retentionInDays": 30, "kmsKeyId": "k", "tags": {"a": "1"}})
    actual = {**states.given(inputs), "arn": "arn:x", "retentionInDays": 7, "tags": {"a": "2", "foreign": "1"}}
    del actual["kmsKeyId"]
    refreshed = states.refreshed_inputs(inputs, actual)
    expected = {**inputs, "retentionInDays": 7, "tags": {"a": "2"}}
    del expected["kmsKeyId"]
    assert refreshed == expected


def test_a_preview_knows_the_inputs_and_nothing_that_the_cloud_decides() -> None:
    variants = [{**VARIANT, "initialVariantWeight": 1}]
    inputs, _ = check(CONFIG, {"namePrefix": "p-", "productionVariants": variants, "tags": {"a": "1"}})
    planned = states.planned(RESOURCES[CONFIG], inputs)
    assert planned == {
        "namePrefix": "p-", "productionVariants": variants, "tags": {"a": "1"}, "tagsAll": {"a": "1"},
        "name": UNKNOWN, "arn": UNKNOWN, "region": UNKNOWN,
    }  # fmt: skip
