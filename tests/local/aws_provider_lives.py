"""The life of a resource of each type of the emulated aws provider: what it is created with and updated to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.local.cloud import REGION

CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/sagemaker-tritonserver:26.05-py3"
DEPLOYMENT = {
    "blueGreenUpdatePolicy": {
        "trafficRoutingConfiguration": {"type": "ALL_AT_ONCE", "waitIntervalInSeconds": 0},
        "terminationWaitInSeconds": 0,
        "maximumExecutionTimeoutInSeconds": 3600,
    }
}
VARIANT = {"variantName": "all", "instanceType": "ml.g5.xlarge", "initialInstanceCount": 1}
TARGET = {
    "serviceNamespace": "sagemaker",
    "resourceId": "endpoint/scaled/variant/all",
    "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
SCALING = {
    "predefinedMetricSpecification": {"predefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    "scaleInCooldown": 600,
    "scaleOutCooldown": 300,
}
TAGS, OTHER_TAGS = {"same": "1", "changed": "1", "gone": "1"}, {"same": "1", "changed": "2", "new": "1"}
TAG_CHANGES = {f"{tags}.{key}" for tags in ("tags", "tagsAll") for key in ("changed", "gone", "new")}


def policy(*actions: str, resource: str = "*", **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass(frozen=True)
class Ground:
    """What other resources stand on."""

    key_arn: str
    bucket: str
    role: str
    role_arn: str
    model: str
    config: str
    other_config: str


def model(role_arn: str, bucket: str, **more: Any) -> dict[str, Any]:
    container = {"image": IMAGE, "mode": "MultiModel", "modelDataUrl": f"s3://{bucket}/models/", **more}
    return {"executionRoleArn": role_arn, "primaryContainer": container, "tags": TAGS}


def endpoint(name: str, config: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "endpointConfigName": config, "deploymentConfig": DEPLOYMENT, **more}


@dataclass(frozen=True)
class Life:
    """One type's life.

    Attributes:
        inputs: What it is created with.
        news: What it is updated to.
        changed: The paths that then differ.
        unreadable: Properties that the cloud does not tell.
        import_id: The id to import it by, from its own.
        outlives: Whether something is left to read after its deletion.
    """

    inputs: dict[str, Any]
    news: dict[str, Any]
    changed: set[str]
    unreadable: set[str] = field(default_factory=set)
    import_id: Callable[[str], str] = str
    outlives: bool = False


def bucket_setting(bucket: str, name: str, old: Any, new: Any, changed: str, *, outlives: bool = False) -> Life:
    return Life({"bucket": bucket, name: old}, {"bucket": bucket, name: new}, {changed}, outlives=outlives)


def encrypted(ground: Ground, *, key: bool) -> list[Any]:
    default = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": ground.key_arn}
    return [{"bucketKeyEnabled": key, "applyServerSideEncryptionByDefault": default}]


def expiring(days: int) -> list[Any]:
    return [
        {"id": "old", "status": "Enabled", "noncurrentVersionExpiration": {"noncurrentDays": days}},
        {"id": "parts", "status": "Enabled", "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}},
    ]


ALARM = {
    "name": "endpoint-5xx", "alarmDescription": "why", "namespace": "AWS/SageMaker", "metricName": "Invocations",
    "dimensions": {"EndpointName": "e", "VariantName": "all"}, "statistic": "Average", "period": 60,
    "evaluationPeriods": 2, "datapointsToAlarm": 1, "threshold": 0.5, "comparisonOperator": "GreaterThanThreshold",
    "treatMissingData": "notBreaching", "alarmActions": [], "okActions": [], "tags": TAGS,
}  # fmt: skip
BLOCK = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
TRACKING = {**TARGET, "policyType": "TargetTrackingScaling"}

LIVES: dict[str, Callable[[Ground], Life]] = {
    "aws:kms/key:Key": lambda ground: Life(
        {"description": "a", "enableKeyRotation": True, "deletionWindowInDays": 7, "tags": TAGS},
        {"description": "b", "enableKeyRotation": False, "deletionWindowInDays": 7, "tags": OTHER_TAGS},
        {"description", "enableKeyRotation", *TAG_CHANGES},
        unreadable={"deletionWindowInDays"},
    ),
    "aws:kms/alias:Alias": lambda ground: Life(
        {"namePrefix": "alias/cohost-", "targetKeyId": ground.key_arn.rpartition("/")[2]},
        {"namePrefix": "alias/cohost-", "targetKeyId": ground.key_arn},
        set(),
    ),
    "aws:s3/bucket:Bucket": lambda ground: Life(
        {"forceDestroy": True, "tags": TAGS},
        {"forceDestroy": True, "tags": OTHER_TAGS},
        TAG_CHANGES,
        unreadable={"forceDestroy"},
    ),
    "aws:s3/bucketVersioning:BucketVersioning": lambda ground: bucket_setting(
        ground.bucket,
        "versioningConfiguration",
        {"status": "Enabled"},
        {"status": "Suspended"},
        "versioningConfiguration.status",
        outlives=True,
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        lambda ground: bucket_setting(
            ground.bucket,
            "rules",
            encrypted(ground, key=True),
            encrypted(ground, key=False),
            "rules[0].bucketKeyEnabled",
        )
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": lambda ground: Life(
        {"bucket": ground.bucket, **dict.fromkeys(BLOCK, True)},
        {"bucket": ground.bucket, **dict.fromkeys(BLOCK, True), "blockPublicAcls": False},
        {"blockPublicAcls"},
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": lambda ground: bucket_setting(
        ground.bucket,
        "rule",
        {"objectOwnership": "BucketOwnerEnforced"},
        {"objectOwnership": "BucketOwnerPreferred"},
        "rule.objectOwnership",
    ),
    "aws:s3/bucketPolicy:BucketPolicy": lambda ground: bucket_setting(
        ground.bucket,
        "policy",
        policy("s3:GetObject", resource=f"arn:aws:s3:::{ground.bucket}/*", Principal="*"),
        policy("s3:PutObject", resource=f"arn:aws:s3:::{ground.bucket}/*", Principal="*"),
        "policy",
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": lambda ground: bucket_setting(
        ground.bucket, "rules", expiring(90), expiring(30), "rules[0].noncurrentVersionExpiration.noncurrentDays"
    ),
    "aws:iam/role:Role": lambda ground: Life(
        {"assumeRolePolicy": trust("sagemaker.amazonaws.com"), "description": "a", "tags": TAGS},
        {"assumeRolePolicy": trust("ec2.amazonaws.com"), "description": "b", "tags": OTHER_TAGS},
        {"assumeRolePolicy", "description", *TAG_CHANGES},
    ),
    "aws:iam/rolePolicy:RolePolicy": lambda ground: Life(
        {"role": ground.role, "policy": policy("s3:GetObject")},
        {"role": ground.role, "policy": policy("s3:GetObject", "s3:ListBucket")},
        {"policy"},
    ),
    "aws:iam/policy:Policy": lambda ground: Life(
        {"description": "a", "policy": policy("s3:GetObject"), "tags": TAGS},
        {"description": "a", "policy": policy("s3:PutObject"), "tags": OTHER_TAGS},
        {"policy", *TAG_CHANGES},
    ),
    "aws:cloudwatch/logGroup:LogGroup": lambda ground: Life(
        {"name": "/aws/sagemaker/Endpoints/e", "retentionInDays": 30, "tags": TAGS},
        {"name": "/aws/sagemaker/Endpoints/e", "tags": OTHER_TAGS},
        {"retentionInDays", *TAG_CHANGES},
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": lambda ground: Life(
        ALARM,
        {**ALARM, "threshold": 2, "tags": OTHER_TAGS, "alarmActions": [f"arn:aws:sns:{REGION}:123456789012:t"]},
        {"threshold", "alarmActions[0]", *TAG_CHANGES},
    ),
    "aws:appautoscaling/target:Target": lambda ground: Life(
        {**TARGET, "minCapacity": 1, "maxCapacity": 2, "tags": TAGS},
        {**TARGET, "minCapacity": 1, "maxCapacity": 4, "tags": OTHER_TAGS},
        {"maxCapacity", *TAG_CHANGES},
        unreadable={f"{tags}.{key}" for tags in ("tags", "tagsAll") for key in OTHER_TAGS},
        import_id=lambda id: f"sagemaker/{id}/{TARGET['scalableDimension']}",
    ),
    "aws:appautoscaling/policy:Policy": lambda ground: Life(
        {**TRACKING, "targetTrackingScalingPolicyConfiguration": {**SCALING, "targetValue": 70}},
        {**TRACKING, "targetTrackingScalingPolicyConfiguration": {**SCALING, "targetValue": 50.5}},
        {"targetTrackingScalingPolicyConfiguration.targetValue"},
        import_id=lambda id: f"sagemaker/{TARGET['resourceId']}/{TARGET['scalableDimension']}/{id}",
    ),
    "aws:sagemaker/model:Model": lambda ground: Life(
        model(ground.role_arn, ground.bucket, environment={"SAGEMAKER_TRITON_LOG_VERBOSE": "false"}),
        {
            **model(ground.role_arn, ground.bucket, environment={"SAGEMAKER_TRITON_LOG_VERBOSE": "false"}),
            "tags": OTHER_TAGS,
        },
        TAG_CHANGES,
    ),
    CONFIG: lambda ground: Life(
        {"namePrefix": "cohost-", "productionVariants": [{**VARIANT, "modelName": ground.model}], "tags": TAGS},
        {"namePrefix": "cohost-", "productionVariants": [{**VARIANT, "modelName": ground.model}], "tags": OTHER_TAGS},
        TAG_CHANGES,
    ),
    ENDPOINT: lambda ground: Life(
        endpoint("living", ground.config, tags=TAGS),
        endpoint("living", ground.other_config, tags=OTHER_TAGS),
        {"endpointConfigName", *TAG_CHANGES},
    ),
}
