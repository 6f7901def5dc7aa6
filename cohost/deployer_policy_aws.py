"""What somebody needs who keeps a stack on AWS up to date: `preview`, `refresh`, and every `up` after the first.

Setting up and destroying a stack, and changing who may do what, is left to an administrator: whoever may write
policies could give themselves anything, and these are themselves a part of the stack. So the deployer reads all of it,
writes artifacts, and changes the endpoint and what belongs to it; nothing here deletes an artifact, weakens the
bucket, or touches IAM.

The actions are those that the aws provider calls (hashicorp/terraform-provider-aws, `internal/service`), and those of
our own provider; none of it has been tried against an account.
"""

from __future__ import annotations

from typing import Final

from cohost.ownership import OWNER_TAG
from cohost.policies_aws import Document, Place, Statement, allow, document, for_bucket, log_group

# IAM limits a managed policy to 6,144 characters, so there is more than one.
PARTS: Final = ("store", "endpoint")


def deployer(
    place: Place,
    *,
    prefix: str,
    owner: str,
    endpoint: str,
    bucket_arn: str,
    key_arn: str,
    has_own_key: bool,
    role_arn: str,
) -> dict[str, Document]:
    """Returns the deployer's policies, one for each of `PARTS`.

    Args:
        place: Where the stack is.
        prefix: What generated names begin with; only those of resources that come and go are matched by it.
        owner: "<project>/<stack>", the value of the tag `cohost:stack`.
        endpoint: The endpoint's name.
        bucket_arn: The store's bucket.
        key_arn: The store's key.
        has_own_key: Whether the key is the stack's own.
        role_arn: The execution role.
    """
    return {
        "store": document(
            *_store(place, bucket_arn, key_arn, has_own_key),
            *_identity(place, prefix, role_arn),
        ),
        "endpoint": document(
            *_endpoint(place, prefix, endpoint),
            *_scaling(place, owner, endpoint),
        ),
    }


def _store(place: Place, bucket_arn: str, key_arn: str, has_own_key: bool) -> list[Statement]:
    written = [f"{bucket_arn}/{prefix}/*" for prefix in ("models", "releases", "smoke")]
    statements = [
        allow(
            "Objects",
            ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
            written,
        ),
        allow("ReadBucket", _READ_BUCKET, [bucket_arn]),
        allow("UseKey", ["kms:Decrypt", "kms:GenerateDataKey"], [key_arn], for_bucket(place, bucket_arn)),
    ]
    if not has_own_key:
        return statements
    reads = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
    return [
        *statements,
        allow("ReadKey", reads, [key_arn]),
        # Knows no resource. Source: SAR, AWS KMS.
        allow("FindAlias", ["kms:ListAliases"], ["*"]),
    ]


# A bucket is read whole, also what is never set. Source: s3/bucket.go and one file for each setting.
_READ_BUCKET = [
    "s3:GetAccelerateConfiguration",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLocation",
    "s3:GetBucketLogging",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketRequestPayment",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetBucketWebsite",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListTagsForResource",
]


def _identity(place: Place, prefix: str, role_arn: str) -> list[Statement]:
    reads = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    return [
        allow("ReadRole", reads, [role_arn]),
        allow(
            "PassRole",
            ["iam:PassRole"],
            [role_arn],
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        # A pattern, because this policy is one of them and cannot hold its own ARN.
        allow("ReadPolicies", ["iam:GetPolicy", "iam:GetPolicyVersion"], [place.iam(f"policy/{prefix}-*")]),
    ]


def _endpoint(place: Place, prefix: str, endpoint: str) -> list[Statement]:
    served = [
        place.arn("sagemaker", f"endpoint/{endpoint}"),
        # Every change of these is a new one under a new name.
        place.arn("sagemaker", f"endpoint-config/{prefix}-*"),
        place.arn("sagemaker", f"model/{prefix}-*"),
    ]
    return [
        allow(
            "Endpoint",
            [
                "sagemaker:AddTags",
                "sagemaker:CreateEndpoint",
                "sagemaker:CreateEndpointConfig",
                "sagemaker:CreateModel",
                "sagemaker:DeleteEndpoint",
                "sagemaker:DeleteEndpointConfig",
                "sagemaker:DeleteModel",
                "sagemaker:DescribeEndpoint",
                "sagemaker:DescribeEndpointConfig",
                "sagemaker:DescribeModel",
                "sagemaker:InvokeEndpoint",
                "sagemaker:ListTags",
                "sagemaker:UpdateEndpoint",
            ],
            served,
        ),
        allow(
            "Alarms",
            [
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
            ],
            [place.arn("cloudwatch", f"alarm:{endpoint}-*")],
        ),
        # Knows no resource. Source: SAR, Amazon CloudWatch.
        allow("ReadMetrics", ["cloudwatch:GetMetricStatistics"], ["*"]),
        allow(
            "LogGroup",
            [
                "logs:CreateLogGroup",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
            ],
            log_group(place, endpoint),
        ),
        # Finds a group by a prefix; so written in the CloudWatch Logs user guide, "Logs sent to CloudWatch Logs".
        allow("FindLogGroup", ["logs:DescribeLogGroups"], [place.arn("logs", "log-group:*")]),
        # Knows no resource. Source: SAR, Service Quotas.
        allow("ReadQuotas", ["servicequotas:ListServiceQuotas"], ["*"]),
    ]


def _scaling(place: Place, owner: str, endpoint: str) -> list[Statement]:
    """Whether the stack scales or not: the deployer may change that.

    Source: SageMaker developer guide, "Auto scaling prerequisites"; Application Auto Scaling user guide, its service
    page on SageMaker (the service-linked role) and "Identity-based policy examples" (the alarms of target tracking).
    """
    targets = place.arn("application-autoscaling", "scalable-target/*")  # AWS makes up their ids.
    role = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    service = "sagemaker.application-autoscaling.amazonaws.com"
    return [
        allow(
            "Scaling",
            [
                "application-autoscaling:DeleteScalingPolicy",
                "application-autoscaling:DeregisterScalableTarget",
                "application-autoscaling:PutScalingPolicy",
                "application-autoscaling:RegisterScalableTarget",
            ],
            [targets],
            {
                "StringEquals": {
                    "application-autoscaling:scalable-dimension": "sagemaker:variant:DesiredInstanceCount",
                    "application-autoscaling:service-namespace": "sagemaker",
                }
            },
        ),
        allow(
            "TagScaling",
            ["application-autoscaling:TagResource"],
            [targets],
            {"StringEquals": {f"aws:RequestTag/{OWNER_TAG}": owner}},
        ),
        allow("ReadScalingTags", ["application-autoscaling:ListTagsForResource"], [targets]),
        # Know no resource. Source: SAR, Application Auto Scaling.
        allow(
            "ReadScaling",
            ["application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies"],
            ["*"],
        ),
        allow(
            "ScaleEndpoint",
            ["sagemaker:UpdateEndpointWeightsAndCapacities"],
            [place.arn("sagemaker", f"endpoint/{endpoint}")],
        ),
        allow(
            "ScalingAlarms",
            ["cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"],
            [place.arn("cloudwatch", f"alarm:TargetTracking-endpoint/{endpoint}/variant/*")],
        ),
        allow(
            "ScalingRole",
            ["iam:CreateServiceLinkedRole"],
            [place.iam(f"role/aws-service-role/{service}/{role}")],
            {"StringEquals": {"iam:AWSServiceName": service}},
        ),
    ]
