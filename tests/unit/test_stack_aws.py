from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
import yaml
from pulumi.output import Unknown

from cohost import catalog, fleet, tokens
from tests.unit import inventory
from tests.unit.mocks import ROOT, Recording, Registered, run_main

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
MODEL = "aws:sagemaker/model:Model"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
BUCKET = "aws:s3/bucket:Bucket"
KEY = "aws:kms/key:Key"

# pulumi_aws imports its own deprecated classes.
pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")


@pytest.fixture(scope="module")
def default() -> Recording:
    return run_main()


@pytest.mark.parametrize("variant", inventory.VARIANTS)
def test_a_stack_registers_what_its_inventory_says(variant: str) -> None:
    assert inventory.taken(variant) == inventory.kept(variant), (
        f"{variant} registers something else; if that is meant: {inventory.COMMAND}"
    )


def test_an_inventory_file_exists_for_each_variant_and_no_other() -> None:
    assert {path.stem for path in inventory.FOLDER.glob("*.yaml")} == set(inventory.VARIANTS)


def test_a_first_preview_declares_what_an_up_does_and_knows_each_model_and_the_endpoint(default: Recording) -> None:
    preview = run_main(preview=True)
    assert set(preview.resources) == set(default.resources)
    assert preview.one(KEY).inputs == default.one(KEY).inputs
    for type_ in (tokens.ARTIFACT_SET, tokens.SAGEMAKER_ACTIVE_RELEASE):
        assert preview.one(type_).inputs["models"] == default.one(type_).inputs["models"]
    assert isinstance(preview.one(tokens.ARTIFACT_SET).inputs["store"], Unknown)
    assert preview.one(tokens.SAGEMAKER_ACTIVE_RELEASE).inputs["release"] == default.outputs["release"]
    for name in ("name", "instanceType", "instanceCount", "rollbackAlarms"):
        wanted = default.one(tokens.SAGEMAKER_ENDPOINT_NAME).inputs[name]
        assert preview.one(tokens.SAGEMAKER_ENDPOINT_NAME).inputs[name] == wanted
    assert preview.one(ENDPOINT).inputs["name"] == "shared-endpoint-dev"
    assert preview.outputs["release"] == default.outputs["release"]


def test_the_outputs_are_what_clients_and_attached_policies_need(default: Recording) -> None:
    assert set(default.outputs) == {
        *("platform", "region", "endpoint", "store", "release"),
        *("callerPolicyArn", "deployerPolicyArns"),
    }
    assert default.outputs["endpoint"] == "shared-endpoint-dev"
    assert default.outputs["store"] == f"s3://{default.one(BUCKET).name}-1a2b3c4"


def test_only_what_must_has_a_name_that_pulumi_did_not_make(default: Recording) -> None:
    """A given name makes a replacement come after its predecessor is gone."""
    given = {
        resource.type
        for resource in default.custom
        if {"name", "namePrefix", "bucket", "bucketPrefix"} & set(resource.inputs)
        and not resource.type.startswith("aws:s3/bucket")
    }
    assert given == {ENDPOINT, tokens.SAGEMAKER_ENDPOINT_NAME, LOG_GROUP, ALARM}
    assert not {"bucket", "bucketPrefix"} & set(default.one(BUCKET).inputs)


def test_what_has_a_given_name_is_still_replaced_before_it_is_deleted(default: Recording) -> None:
    for resource in [default.one(ENDPOINT), default.one(LOG_GROUP), *default.of(ALARM)]:
        assert resource.options["deleteBeforeReplace"] is False, resource.urn


def test_generated_names_tell_the_stack_and_fit_where_they_are_used() -> None:
    long = run_main({"endpointName": "models"}, stack="Team_A.an-uncommonly-long-name-of-a-stack")
    bucket, role, model = long.one(BUCKET), long.one(ROLE), long.one(MODEL)
    assert bucket.name == "cohost-team-a-an-uncommonly-long-name-o-models"
    # Source of the limits: botocore 1.44.5 (S3, IAM, SageMaker); Pulumi adds a hyphen and seven characters.
    assert len(bucket.name) + 8 <= 63
    assert len(role.name) + 8 <= 64
    assert len(model.name) + 8 <= 63


def test_every_guard_of_the_bucket_holds_before_the_first_upload_and_after_the_last_deletion(
    default: Recording,
) -> None:
    guards = {resource.urn for resource in default.custom if resource.type.startswith("aws:s3/bucket")}
    assert len(guards) == 7
    assert guards <= default.after(default.one(tokens.ARTIFACT_SET))


def test_the_model_comes_after_the_artifacts_and_after_what_its_role_may_do(default: Recording) -> None:
    before = default.after(default.one(MODEL))
    assert {default.one(type_).urn for type_ in (ROLE, ROLE_POLICY, tokens.ARTIFACT_SET)} <= before


def test_on_destroy_a_failed_endpoint_goes_before_all_that_sagemaker_needs_to_delete_it(default: Recording) -> None:
    """A failed first endpoint is in no state; EndpointName deletes it, so everything else must still be there."""
    name = default.one(tokens.SAGEMAKER_ENDPOINT_NAME)
    needed = [default.one(type_) for type_ in (CONFIGURATION, MODEL, ROLE, ROLE_POLICY, BUCKET, KEY)]
    assert {resource.urn for resource in needed} <= default.after(name)
    assert name.urn in default.after(default.one(ENDPOINT))


def test_what_is_called_by_the_endpoints_name_comes_after_that_name_is_known_to_be_this_stacks(
    default: Recording,
) -> None:
    """CloudWatch would take another stack's alarm of the same name for an older version of this one."""
    name = default.one(tokens.SAGEMAKER_ENDPOINT_NAME)
    alarms = default.of(ALARM)
    assert len(alarms) == 6
    for resource in (*alarms, default.one(LOG_GROUP)):
        assert name.urn in default.after(resource)
    rollback = default.one(ALARM, "rollback-5xx")
    assert {rollback.urn, default.one(LOG_GROUP).urn} <= default.after(default.one(ENDPOINT))


def test_the_endpoint_takes_its_name_from_the_right_to_use_it(default: Recording) -> None:
    wanted = default.one(ENDPOINT).request.propertyDependencies["name"].urns
    assert list(wanted) == [default.one(tokens.SAGEMAKER_ENDPOINT_NAME).urn]


def test_the_release_comes_after_the_endpoint_and_the_artifacts(default: Recording) -> None:
    release = default.one(tokens.SAGEMAKER_ACTIVE_RELEASE)
    assert {default.one(ENDPOINT).urn, default.one(tokens.ARTIFACT_SET).urn} <= default.after(release)
    assert release.inputs["models"] == default.one(tokens.ARTIFACT_SET).inputs["models"]


def test_scaling_is_there_only_while_the_endpoint_is() -> None:
    scaled = run_main(inventory.VARIANTS["autoscaling"])
    policy = scaled.one("aws:appautoscaling/policy:Policy")
    target = scaled.one("aws:appautoscaling/target:Target")
    assert target.inputs["resourceId"] == "endpoint/shared-endpoint-dev/variant/main"
    assert target.urn in scaled.after(policy)
    assert scaled.one(ENDPOINT).urn in scaled.after(target)


def test_the_fleet_begins_with_the_least_that_scaling_allows() -> None:
    """The aws provider resets the count to it with each update."""
    scaled = run_main({"variant": {"minInstances": 2, "maxInstances": 5, "invocationsPerInstance": 60}})
    variant = scaled.one(CONFIGURATION).inputs["productionVariants"][0]
    target = scaled.one("aws:appautoscaling/target:Target").inputs
    assert variant["initialInstanceCount"] == target["minCapacity"] == 2
    assert scaled.one(tokens.SAGEMAKER_ENDPOINT_NAME).inputs["instanceCount"] == 2


def test_every_resource_that_can_carry_tags_carries_the_owner_and_the_users() -> None:
    scaled = run_main({**inventory.VARIANTS["autoscaling"], "tags": {"team": "ml"}})
    tagged = [resource for resource in scaled.custom if _takes_tags(resource)]
    assert len(tagged) > 10
    for resource in tagged:
        assert resource.inputs.get("tags") == {"team": "ml", "cohost:stack": "shared-endpoint/dev"}, resource.urn


def _takes_tags(resource: Registered) -> bool:
    if not resource.type.startswith("aws:"):
        return False
    _, module, name = resource.type.split(":")
    made = getattr(getattr(aws, module.partition("/")[0]), name)
    return "tags" in inspect.signature(made._internal_init).parameters


def test_production_protects_what_callers_would_miss_and_nothing_else_is_protected(default: Recording) -> None:
    assert [resource.type for resource in default.custom if resource.request.protect] == []
    guarded = run_main({"production": "true"})
    assert {resource.type for resource in guarded.custom if resource.request.protect} == {
        *(KEY, BUCKET, ENDPOINT),
        *(tokens.ARTIFACT_SET, tokens.SAGEMAKER_ACTIVE_RELEASE),
    }


def test_the_same_alarms_are_made_watched_by_the_role_and_fixed_with_the_endpoint(default: Recording) -> None:
    name = default.one(ALARM, "rollback-5xx").inputs["name"]
    deployment = default.one(ENDPOINT).inputs["deploymentConfig"]
    assert deployment["autoRollbackConfiguration"]["alarms"] == [{"alarmName": name}]
    assert default.one(tokens.SAGEMAKER_ENDPOINT_NAME).inputs["rollbackAlarms"] == [name]
    assert f":alarm:{name}" in default.one(ROLE_POLICY).inputs["policy"]


def test_without_rollback_no_alarm_is_watched_and_no_time_is_spent_on_it() -> None:
    stack = run_main({"rollback": {"enabled": False, "bakeSeconds": 1200}})
    deployment = stack.one(ENDPOINT).inputs["deploymentConfig"]
    assert set(deployment) == {"blueGreenUpdatePolicy"}
    assert deployment["blueGreenUpdatePolicy"]["trafficRoutingConfiguration"]["waitIntervalInSeconds"] == 0
    assert stack.one(tokens.SAGEMAKER_ENDPOINT_NAME).inputs["rollbackAlarms"] == []
    assert "DescribeAlarms" not in stack.one(ROLE_POLICY).inputs["policy"]


@pytest.mark.parametrize("bake_seconds", [0, 1800])
def test_sagemaker_gives_an_update_up_before_the_provider_does_and_after_it_has_watched(bake_seconds: int) -> None:
    stack = run_main({"rollback": {"bakeSeconds": bake_seconds}})
    policy = stack.one(ENDPOINT).inputs["deploymentConfig"]["blueGreenUpdatePolicy"]
    waits = policy["trafficRoutingConfiguration"]["waitIntervalInSeconds"] + policy["terminationWaitInSeconds"]
    # Source of the 60 minutes: hashicorp/terraform-provider-aws, sagemaker/endpoint.go, waitEndpointInService.
    assert waits == bake_seconds
    assert waits + 1200 < policy["maximumExecutionTimeoutInSeconds"] < 3600


def test_a_given_key_is_used_and_none_is_made() -> None:
    stack = run_main(inventory.VARIANTS["given-key"])
    assert stack.of(KEY) == stack.of("aws:kms/alias:Alias") == []
    rules = stack.one("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
    wanted = rules.inputs["rules"][0]["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"]
    assert wanted == inventory.VARIANTS["given-key"]["encryption"]["kmsKeyArn"]


def test_no_credential_of_the_environment_or_the_configuration_reaches_the_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "a-sentinel")
    stack = run_main(more={"aws:secretKey": "a-sentinel", "aws:token": "a-sentinel"})
    assert len(stack.resources) > 20
    assert "a-sentinel" not in str([resource.request for resource in stack.resources.values()])
    assert "a-sentinel" not in str(stack.outputs)


def test_bad_settings_and_a_bad_catalog_are_reported_together_before_anything_is_registered(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text("models:\n  - {name: absent, path: absent, owner: a-team, tags: {}}\n")
    bad: dict[str, Any] = {
        "catalog": str(tmp_path / "catalog.yaml"),
        "variant": {"instanceType": "ml.p3.2xlarge"},
        "vaiant": {},
    }
    tried = Recording()
    with pytest.raises(pulumi.RunError) as raised:
        run_main(bad, into=tried)
    lines = str(raised.value).splitlines()
    assert [line for line in lines if line.startswith("Pulumi.dev.yaml: shared-endpoint:vaiant: ")]
    assert [line for line in lines if line.startswith("Pulumi.dev.yaml: shared-endpoint:variant.instanceType: ")]
    assert [line for line in lines if "absent" in line]
    assert tried.custom == []


def test_an_image_with_a_known_issue_is_used_and_warned_of(default: Recording) -> None:
    issue = fleet.image_version("25.04-py3")
    assert issue is not None
    assert issue.issue is not None
    stack = run_main({"image": {"version": "25.04-py3"}})
    assert default.warnings == []
    assert [issue.issue in warning for warning in stack.warnings] == [True]
    variant = stack.one(CONFIGURATION).inputs["productionVariants"][0]
    assert variant["inferenceAmiVersion"] == issue.ami


def test_the_stacks_of_the_checkout_are_deployed_as_they_stand() -> None:
    values = yaml.safe_load((ROOT / "Pulumi.aws.yaml").read_text())["config"]
    settings = {key.partition(":")[2]: value for key, value in values.items() if key.startswith(tokens.PROJECT)}
    stack = run_main(settings, stack="aws")
    names = {model.name for model in catalog.load(ROOT / "model_artifacts/catalog.yaml").models}
    assert set(stack.one(tokens.ARTIFACT_SET).inputs["models"]) == names


def test_a_stack_of_another_platform_is_refused_in_one_line() -> None:
    with pytest.raises(pulumi.RunError, match=r"^Pulumi\.dev\.yaml: shared-endpoint:platform: 'azure' is not"):
        run_main({"platform": "azure"})
