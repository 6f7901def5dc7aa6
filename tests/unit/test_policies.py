from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest

from cohost import policies_aws, release
from tests.unit.iam import (
    ARTIFACT,
    BUCKET,
    CURRENT,
    ENDPOINT,
    KEY,
    PLACE,
    ROLE,
    VPC,
    Iam,
    caller,
    deploying,
    execution,
    several,
)

ALL = {
    "bucket": Iam(policies_aws.bucket(BUCKET)),
    "trust": Iam(policies_aws.sagemaker_trust(PLACE)),
    "execution": execution(VPC),
    "caller": caller("digits/*"),
    "deployer": deploying(),
    "deployer with a given key": deploying(has_own_key=False),
}


def statements() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, iam in ALL.items():
        for statement in iam.document["Statement"]:
            yield f"{name}: {statement['Sid']}", statement


# Actions that know no resource, so that "*" is the only one. Source: AWS Service Authorization Reference.
WITHOUT_RESOURCE = {
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:PutMetricData",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "kms:ListAliases",
    "servicequotas:ListServiceQuotas",
}
# ARNs with a wildcard, and why they cannot be narrower.
PATTERNS = {
    f"{BUCKET}/*": "the bucket's own Deny is for all that is in it",
    f"{BUCKET}/models/*": "artifacts are named by their content",
    f"{BUCKET}/releases/*": "releases are named by their content",
    f"{BUCKET}/smoke/*": "smoke tests are named by their content",
    f"{PLACE.arn('logs', 'log-group:/aws/sagemaker/Endpoints/shared-endpoint-dev')}:*": "SageMaker names the streams",
    PLACE.arn("logs", "log-group:*"): "DescribeLogGroups takes no other (CloudWatch Logs user guide)",
    PLACE.arn("ec2", "network-interface/*"): "SageMaker makes them; ec2:Subnet bounds their use",
    PLACE.arn("ec2", "subnet/subnet-0a", account="*"): "the id is whole; a shared subnet is of another account",
    PLACE.arn("ec2", "subnet/subnet-0b", account="*"): "as above",
    PLACE.arn("ec2", "security-group/sg-0a", account="*"): "as above",
    PLACE.arn("sagemaker", "model/cohost-dev-*"): "every change is another model",
    PLACE.arn("sagemaker", "endpoint-config/cohost-dev-*"): "every change is another configuration",
    PLACE.iam("policy/cohost-dev-*"): "a policy cannot hold its own ARN",
    PLACE.arn("cloudwatch", "alarm:shared-endpoint-dev-*"): "the settings decide which alarms there are",
    PLACE.arn("cloudwatch", "alarm:TargetTracking-endpoint/shared-endpoint-dev/variant/*"): "AWS names them",
    PLACE.arn("application-autoscaling", "scalable-target/*"): "AWS makes up the ids; conditions bound them",
}


@pytest.mark.parametrize(
    ("where", "statement"), list(statements()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_resource_is_wider_than_its_service_asks(where: str, statement: Mapping[str, Any]) -> None:
    for resource in several(statement.get("Resource", [])):
        if resource == "*":
            assert set(statement["Action"]) <= WITHOUT_RESOURCE, where
        elif "*" in resource or "?" in resource:
            assert resource in PATTERNS, where


def test_every_reason_for_a_wildcard_is_still_needed() -> None:
    used = {resource for _, statement in statements() for resource in several(statement.get("Resource", []))}
    assert set(PATTERNS) <= used
    starred = [statement["Action"] for _, statement in statements() if statement.get("Resource") == ["*"]]
    assert {action for actions in starred for action in actions} == WITHOUT_RESOURCE


def test_no_action_has_a_wildcard_but_the_one_that_is_denied() -> None:
    wild = [
        (where, action, statement["Effect"])
        for where, statement in statements()
        for action in several(statement["Action"])
        if "*" in action
    ]
    assert wild == [("bucket: DenyInsecureTransport", "s3:*", "Deny")]


def test_every_statement_has_a_name_of_its_own_of_letters_and_digits() -> None:
    for name, iam in ALL.items():
        sids = [statement["Sid"] for statement in iam.document["Statement"]]
        assert len(set(sids)) == len(sids), name
        assert all(sid.isalnum() and sid.isascii() for sid in sids), name


# Permissions that are not called as the operation they allow. Sources: S3 user guide, "Required permissions for Amazon
# S3 API operations"; IAM user guide, `iam:PassRole`.
RENAMED = {
    "s3:GetAccelerateConfiguration": "GetBucketAccelerateConfiguration",
    "s3:GetBucketCORS": "GetBucketCors",
    "s3:GetBucketObjectLockConfiguration": "GetObjectLockConfiguration",
    "s3:GetBucketPublicAccessBlock": "GetPublicAccessBlock",
    "s3:GetEncryptionConfiguration": "GetBucketEncryption",
    "s3:GetLifecycleConfiguration": "GetBucketLifecycleConfiguration",
    "s3:GetReplicationConfiguration": "GetBucketReplication",
    "s3:ListBucket": "ListObjectsV2",
    "s3:ListBucketMultipartUploads": "ListMultipartUploads",
    "s3:ListMultipartUploadParts": "ListParts",
}
SERVICES = {"servicequotas": "service-quotas"}
ELSEWHERE = {"iam:PassRole", "sagemaker:InvokeEndpoint", "s3:ListTagsForResource", "s3:*"}


def test_every_action_is_an_operation_of_its_service() -> None:
    session = botocore.session.get_session()
    for where, statement in statements():
        for action in set(several(statement["Action"])) - ELSEWHERE:
            service, _, name = action.partition(":")
            operations = session.get_service_model(SERVICES.get(service, service)).operation_names
            assert RENAMED.get(action, name) in operations, f"{where}: {action}"


def test_the_bucket_refuses_whatever_is_not_encrypted_on_its_way() -> None:
    policy = ALL["bucket"]
    for action, resource in (("s3:GetObject", ARTIFACT), ("s3:ListBucket", BUCKET), ("s3:PutObject", CURRENT)):
        assert policy.denies(action, resource, aws__SecureTransport="false")
        assert not policy.denies(action, resource, aws__SecureTransport="true", s3__if_none_match="*")


def test_the_bucket_refuses_to_write_an_artifact_that_may_be_there_already() -> None:
    policy = ALL["bucket"]
    create = {"aws__SecureTransport": "true", "s3__ObjectCreationOperation": "true"}
    assert policy.denies("s3:PutObject", ARTIFACT, **create)
    assert not policy.denies("s3:PutObject", ARTIFACT, **create, s3__if_none_match="*")
    part = {"aws__SecureTransport": "true", "s3__ObjectCreationOperation": "false"}
    assert not policy.denies("s3:PutObject", ARTIFACT, **part), "parts of an upload carry no condition"
    assert not policy.denies("s3:PutObject", CURRENT, **create), "the active release is written over"


def test_only_sagemaker_takes_the_role_and_only_for_this_account_and_region() -> None:
    (statement,) = ALL["trust"].document["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    trust = Iam({"Statement": [{**statement, "Resource": "*"}]})
    ours = {"aws__SourceAccount": PLACE.account, "aws__SourceArn": ENDPOINT}
    assert trust.allows("sts:AssumeRole", ROLE, **ours)
    assert not trust.allows("sts:AssumeRole", ROLE, **{**ours, "aws__SourceAccount": "210987654321"})
    assert not trust.allows("sts:AssumeRole", ROLE, **{**ours, "aws__SourceArn": ENDPOINT.replace("eu-", "us-")})
    assert not trust.allows("sts:AssumeRole", ROLE)


def test_the_role_reads_and_lists_artifacts_and_nothing_else_of_the_bucket() -> None:
    role = execution()
    assert role.allows("s3:GetObject", ARTIFACT)
    assert not role.allows("s3:GetObject", CURRENT)
    assert not role.allows("s3:GetObject", ARTIFACT.replace("dev", "prod"))
    assert not role.allows("s3:PutObject", ARTIFACT)
    assert role.allows("s3:ListBucket", BUCKET, s3__prefix="models/")
    assert not role.allows("s3:ListBucket", BUCKET, s3__prefix="releases/")
    assert not role.allows("s3:ListBucket", BUCKET)


@pytest.mark.parametrize("iam", [execution(), caller(), deploying(), deploying(has_own_key=False)])
def test_the_key_is_used_through_s3_and_for_this_bucket_only(iam: Iam) -> None:
    used = {"kms__ViaService": "s3.eu-west-1.amazonaws.com", "kms__EncryptionContext__aws__s3__arn": BUCKET}
    assert iam.allows("kms:Decrypt", KEY, **used)
    assert iam.allows("kms:Decrypt", KEY, **{**used, "kms__EncryptionContext__aws__s3__arn": ARTIFACT})
    assert not iam.allows("kms:Decrypt", KEY)
    assert not iam.allows("kms:Decrypt", KEY, **{**used, "kms__ViaService": "ebs.eu-west-1.amazonaws.com"})
    other = {**used, "kms__EncryptionContext__aws__s3__arn": BUCKET.replace("dev", "prod")}
    assert not iam.allows("kms:Decrypt", KEY, **other)
    assert not iam.allows("kms:Decrypt", KEY.replace("0a1b", "another"), **used)


def test_the_role_pulls_only_the_serving_image() -> None:
    role = execution()
    assert role.allows("ecr:BatchGetImage", "arn:aws:ecr:eu-west-1:763104351884:repository/sagemaker-tritonserver")
    assert not role.allows("ecr:BatchGetImage", "arn:aws:ecr:eu-west-1:763104351884:repository/another")


@pytest.mark.parametrize("reference", [":1", "@sha256:0a", ":1@sha256:0a"])
def test_a_repository_is_found_in_an_address_with_a_tag_or_a_digest(reference: str) -> None:
    image = f"111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/triton{reference}"
    assert policies_aws.repository_arn(PLACE, image) == "arn:aws:ecr:eu-west-1:111122223333:repository/team/triton"


def test_the_role_writes_the_logs_of_its_endpoint_only() -> None:
    role, group = execution(), PLACE.arn("logs", "log-group:/aws/sagemaker/Endpoints/shared-endpoint-dev")
    assert role.allows("logs:PutLogEvents", f"{group}:log-stream:main/i-0")
    assert role.allows("logs:CreateLogGroup", group)
    assert not role.allows("logs:PutLogEvents", f"{group}-2:log-stream:main/i-0")


def test_the_role_writes_metrics_only_where_sagemaker_does() -> None:
    assert execution().allows("cloudwatch:PutMetricData", "*", cloudwatch__namespace="/aws/sagemaker/Endpoints")
    assert not execution().allows("cloudwatch:PutMetricData", "*", cloudwatch__namespace="AWS/Billing")


def test_the_role_reads_the_alarms_that_take_an_update_back_and_no_other() -> None:
    alarm = PLACE.arn("cloudwatch", "alarm:shared-endpoint-dev-rollback-5xx")
    assert execution().allows("cloudwatch:DescribeAlarms", alarm)
    assert not execution().allows("cloudwatch:DescribeAlarms", alarm.replace("rollback", "latency"))
    assert not execution(alarms=()).allows("cloudwatch:DescribeAlarms", alarm)


def test_interfaces_are_made_and_used_only_in_the_given_subnets_also_of_a_shared_vpc() -> None:
    interface, shared = (
        PLACE.arn("ec2", "network-interface/eni-0a"),
        "arn:aws:ec2:eu-west-1:999988887777:subnet/subnet-0a",
    )
    inside = execution(VPC)
    assert inside.allows("ec2:CreateNetworkInterface", shared)
    assert not inside.allows("ec2:CreateNetworkInterface", shared.replace("0a", "0c"))
    for action in ("CreateNetworkInterfacePermission", "DeleteNetworkInterface", "DeleteNetworkInterfacePermission"):
        assert inside.allows(f"ec2:{action}", interface, ec2__Subnet=shared)
        assert not inside.allows(f"ec2:{action}", interface, ec2__Subnet=shared.replace("0a", "0c"))
        assert not execution().allows(f"ec2:{action}", interface, ec2__Subnet=shared)


def test_a_caller_invokes_this_endpoint_and_reads_which_release_is_active() -> None:
    free = caller()
    assert free.allows("sagemaker:InvokeEndpoint", ENDPOINT, sagemaker__TargetModel="wine/0.tar.gz")
    assert not free.allows("sagemaker:InvokeEndpoint", f"{ENDPOINT}-2", sagemaker__TargetModel="wine/0.tar.gz")
    assert free.allows("s3:GetObject", CURRENT)
    assert not free.allows("s3:GetObject", ARTIFACT)
    assert not free.allows("s3:PutObject", CURRENT)


def test_a_caller_of_certain_models_invokes_no_other() -> None:
    bound = caller("digits/*", "common-*")
    target = release.target("digits", "0" * 64)
    assert bound.allows("sagemaker:InvokeEndpoint", ENDPOINT, sagemaker__TargetModel=target)
    assert bound.allows("sagemaker:InvokeEndpoint", ENDPOINT, sagemaker__TargetModel="common-words/0.tar.gz")
    assert not bound.allows("sagemaker:InvokeEndpoint", ENDPOINT, sagemaker__TargetModel="wine/0.tar.gz")
    assert not bound.allows("sagemaker:InvokeEndpoint", ENDPOINT)
