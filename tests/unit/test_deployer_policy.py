from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cohost import policies_aws
from cohost.aws_rules import target_models
from cohost.deployer_policy_aws import deployer
from cohost.policies_aws import Place, to_json
from components.names import prefix
from tests.unit.iam import ENDPOINT, KEY, PLACE, ROLE, Iam, deploying
from tests.unit.mocks import ACCOUNT, REGION, SUFFIX, Recording, Registered, run_main

pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")


def test_a_deployer_gives_the_role_to_sagemaker_only() -> None:
    assert deploying().allows("iam:PassRole", ROLE, iam__PassedToService="sagemaker.amazonaws.com")
    assert not deploying().allows("iam:PassRole", ROLE, iam__PassedToService="ec2.amazonaws.com")
    assert not deploying().allows("iam:PassRole", ROLE + "2", iam__PassedToService="sagemaker.amazonaws.com")


def test_a_deployer_can_neither_give_rights_nor_weaken_the_store_nor_delete_what_is_in_it() -> None:
    changing = re.compile(r"(Create|Put|Delete|Update|Attach|Detach|Add|Remove|Set|Schedule|Disable|Tag|Untag)")
    allowed = {
        action
        for statement in deploying().document["Statement"]
        for action in statement["Action"]
        if action.startswith(("iam:", "kms:", "s3:")) and changing.match(action.partition(":")[2])
    }
    assert allowed == {"s3:PutObject", "iam:CreateServiceLinkedRole"}


def test_a_deployer_scales_only_sagemaker_endpoints_and_only_this_one() -> None:
    target = PLACE.arn("application-autoscaling", "scalable-target/0a1b")
    ours = {
        "application_autoscaling__service_namespace": "sagemaker",
        "application_autoscaling__scalable_dimension": "sagemaker:variant:DesiredInstanceCount",
    }
    register = "application-autoscaling:RegisterScalableTarget"
    assert deploying().allows(register, target, **ours)
    assert not deploying().allows(register, target, **{**ours, "application_autoscaling__service_namespace": "ecs"})
    tag = "application-autoscaling:TagResource"
    assert deploying().allows(tag, target, aws__RequestTag_cohost__stack="shared-endpoint/dev")
    assert not deploying().allows(tag, target, aws__RequestTag_cohost__stack="shared-endpoint/prod")
    change = "sagemaker:UpdateEndpointWeightsAndCapacities"
    assert deploying().allows(change, ENDPOINT)
    assert not deploying().allows(change, f"{ENDPOINT}-2")
    role = "role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    service = {"iam__AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}
    for name, allowed in (("AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint", True), ("Another", False)):
        assert deploying().allows("iam:CreateServiceLinkedRole", PLACE.iam(role + name), **service) == allowed


def test_a_deployer_reads_a_key_only_when_it_is_the_stacks_own() -> None:
    assert deploying().allows("kms:DescribeKey", KEY)
    assert not deploying(has_own_key=False).allows("kms:DescribeKey", KEY)


# What the aws provider calls to refresh a resource, and what it and our own call in an `up` after the first.
# Source: hashicorp/terraform-provider-aws, internal/service (the file of each resource); cohost/provider.
CALLS = {
    "aws:s3/bucket:Bucket": ("s3:ListBucket", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketWebsite"),
    "aws:s3/bucketPolicy:BucketPolicy": ("s3:GetBucketPolicy",),
    "aws:s3/bucketVersioning:BucketVersioning": ("s3:GetBucketVersioning",),
    "aws:kms/key:Key": ("kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"),
    "aws:iam/role:Role": ("iam:GetRole", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies"),
    "aws:iam/policy:Policy": ("iam:GetPolicy", "iam:GetPolicyVersion"),
    "aws:sagemaker/model:Model": (
        *("sagemaker:CreateModel", "sagemaker:AddTags", "sagemaker:DescribeModel", "sagemaker:ListTags"),
        "sagemaker:DeleteModel",
    ),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": (
        *("sagemaker:CreateEndpointConfig", "sagemaker:AddTags", "sagemaker:DescribeEndpointConfig"),
        *("sagemaker:ListTags", "sagemaker:DeleteEndpointConfig", "sagemaker:UpdateEndpoint"),
    ),
    "aws:sagemaker/endpoint:Endpoint": (
        *("sagemaker:CreateEndpoint", "sagemaker:AddTags", "sagemaker:DescribeEndpoint", "sagemaker:ListTags"),
        *("sagemaker:UpdateEndpoint", "sagemaker:DeleteEndpoint", "sagemaker:InvokeEndpoint"),
    ),
    "aws:cloudwatch/logGroup:LogGroup": (
        *("logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:ListTagsForResource", "logs:TagResource"),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        *("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"),
        *("cloudwatch:TagResource", "cloudwatch:DeleteAlarms"),
    ),
}


def test_a_deployer_may_do_all_that_an_up_after_the_first_calls_on_what_the_stack_declares() -> None:
    stack = run_main({"variant": {"maxInstances": 2, "invocationsPerInstance": 60}})
    documents = [
        json.loads(resource.inputs["policy"])
        for resource in stack.of("aws:iam/policy:Policy")
        if "deployer" in resource.name
    ]
    allowed = Iam(policies_aws.document(*(statement for found in documents for statement in found["Statement"])))
    refused = [
        (call, _arn(resource))
        for resource in stack.custom
        for call in CALLS.get(resource.type, ())
        if not allowed.allows(call, _arn(resource))
    ]
    assert refused == []
    assert set(CALLS) <= {resource.type for resource in stack.custom}


def _arn(resource: Registered) -> str:
    name = resource.inputs.get("name", f"{resource.name}-{SUFFIX}")
    kind = resource.type.rpartition(":")[2]
    return {
        "Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{SUFFIX}",
        "Role": f"arn:aws:iam::{ACCOUNT}:role/{name}",
        "Policy": f"arn:aws:iam::{ACCOUNT}:policy/{name}",
        "Model": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/{name}",
        "EndpointConfiguration": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/{name}",
        "Endpoint": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{name}",
        "LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}",
        "MetricAlarm": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}",
    }.get(kind, f"arn:aws:s3:::{name}")


@pytest.mark.parametrize(
    "settings",
    [
        {"variant": {"instanceType": "ml.g4dn.xlarge", "maxInstances": 3, "invocationsPerInstance": 60}},
        {"image": {"version": "25.09-py3"}},
        {"inferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-3-1"},
        {"network": {"isolation": True}},
        {"rollback": {"errorRate": 0.2, "bakeSeconds": 60}},
        {"alarms": {"enabled": False}},
        {"verify": {"gpu": False}, "production": "true", "logRetentionDays": "7"},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_what_a_deployer_may_set_changes_nothing_that_takes_an_administrator(settings: dict[str, Any]) -> None:
    assert _of_an_administrator(run_main(settings)) == _of_an_administrator(run_main())


def _of_an_administrator(stack: Recording) -> dict[str, Any]:
    services = ("aws:iam/", "aws:kms/", "aws:s3/")
    return {resource.urn: resource.inputs for resource in stack.custom if resource.type.startswith(services)}


# Source: IAM user guide, "IAM and AWS STS quotas" (characters of a managed policy; white space does not count).
MOST_CHARACTERS = 6144
LONG_STACK = "s" * 100
LONG = Place(partition="aws-us-gov", region="ap-southeast-9", account=ACCOUNT)
LONG_BUCKET = f"arn:aws-us-gov:s3:::{'b' * 63}"
LONG_KEY = LONG.arn("kms", f"key/mrk-{'k' * 32}")


def test_the_deployers_policies_fit_into_iam_with_the_longest_names() -> None:
    documents = deployer(
        LONG,
        prefix=prefix(LONG_STACK),
        owner=f"shared-endpoint/{LONG_STACK}",
        endpoint="e" * 48,
        bucket_arn=LONG_BUCKET,
        key_arn=LONG_KEY,
        has_own_key=True,
        role_arn=LONG.iam(f"role/{'r' * 64}"),
    )
    for part, document in documents.items():
        assert len(to_json(document)) <= MOST_CHARACTERS, part


@pytest.mark.parametrize("pattern", ["d", "digits/*", 'a"b', "x" * 1024])
def test_a_callers_policy_fits_into_iam_with_as_many_patterns_as_the_settings_allow(pattern: str) -> None:
    patterns: list[str] = []
    while not list(target_models([*patterns, pattern])):
        patterns.append(pattern)
    document = policies_aws.caller(
        LONG, endpoint="e" * 48, bucket_arn=LONG_BUCKET, key_arn=LONG_KEY, target_models=patterns
    )
    assert len(patterns) >= 4
    assert len(to_json(document)) <= MOST_CHARACTERS


def test_the_documents_are_of_their_partition() -> None:
    place = Place(partition="aws-cn", region="cn-north-1", account=ACCOUNT)
    image = f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn/triton:1"
    bucket, key = "arn:aws-cn:s3:::b", place.arn("kms", "key/k")
    document = policies_aws.execution(
        place, bucket_arn=bucket, key_arn=key, endpoint="e", image_uri=image, alarms=["e-a"], vpc=None
    )
    assert "arn:aws:" not in to_json(document)
    iam = Iam(document)
    assert iam.allows("ecr:BatchGetImage", f"arn:aws-cn:ecr:cn-north-1:{ACCOUNT}:repository/triton")
    used = {"kms__EncryptionContext__aws__s3__arn": bucket}
    assert iam.allows("kms:Decrypt", key, kms__ViaService="s3.cn-north-1.amazonaws.com.cn", **used)
    assert not iam.allows("kms:Decrypt", key, kms__ViaService="s3.cn-north-1.amazonaws.com", **used)


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
def test_a_whole_stack_names_no_other_partition(partition: str) -> None:
    stack = run_main(partition=partition)
    documents = [resource.inputs[key] for resource in stack.custom for key in resource.inputs if "olicy" in key]
    found = {arn for text in map(str, documents) for arn in re.findall(r"arn:([a-z-]+):", text)}
    assert found == {partition}
