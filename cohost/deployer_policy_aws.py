"""What somebody needs who runs `up`, `refresh` and `destroy` of the stack on AWS.

Physical names begin with what `components/names.py` puts before them, so that a statement covers a resource
and the one that replaces it. The actions are those of the aws provider's create, read, update and delete; the
list is read from its source and not yet tried against an account.
"""

from __future__ import annotations

from collections.abc import Sequence

from cohost.policies_aws import OWNER_TAG, Document, Place, Statement, allow, document


def deployer(
    place: Place, *, endpoint: str, owner: str, prefix: str, autoscaled: bool, given_key_arn: str | None
) -> list[Document]:
    """Returns the deployer's policies; two, since IAM limits one to 6,144 characters.

    Args:
        place: Where the stack is.
        endpoint: The endpoint's name.
        owner: "<project>/<stack>", the value of the tag `cohost:stack`.
        prefix: What physical names begin with.
        autoscaled: Whether the stack scales.
        given_key_arn: The key that the store was given; None when the stack makes its own.
    """
    return [
        document(*_store(place, owner, prefix, given_key_arn)),
        document(*_identity(place, prefix), *_endpoint(place, endpoint, prefix), *_scaling(place, autoscaled)),
    ]


def _store(place: Place, owner: str, prefix: str, given_key_arn: str | None) -> Sequence[Statement]:
    bucket = f"arn:{place.partition}:s3:::{prefix}-*"
    use = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
    if given_key_arn:
        keys = [allow("UseKey", use, [given_key_arn])]
    else:
        keys = _own_key(place, owner, prefix, use)
    return [
        allow("Bucket", _BUCKET_ACTIONS, [bucket]),
        allow("Objects", _OBJECT_ACTIONS, [f"{bucket}/*"]),
        *keys,
    ]


_BUCKET_ACTIONS = [
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
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
    "s3:ListBucketVersions",
    "s3:ListTagsForResource",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:TagResource",
    "s3:UntagResource",
]
_OBJECT_ACTIONS = [
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
]


def _own_key(place: Place, owner: str, prefix: str, use: Sequence[str]) -> list[Statement]:
    keys = place.arn("kms", "key/*")
    tagged = {"StringEquals": {f"aws:ResourceTag/{OWNER_TAG}": owner}}
    manage = [
        "kms:CreateAlias",
        "kms:DeleteAlias",
        "kms:EnableKeyRotation",
        "kms:GetKeyPolicy",
        "kms:GetKeyRotationStatus",
        "kms:ListResourceTags",
        "kms:ScheduleKeyDeletion",
        "kms:UntagResource",
        "kms:UpdateAlias",
        "kms:UpdateKeyDescription",
    ]
    return [
        # The key has no name yet. Source: SAR, AWS KMS, CreateKey and ListAliases know no resource.
        allow("MakeKey", ["kms:CreateKey"], ["*"], {"StringEquals": {f"aws:RequestTag/{OWNER_TAG}": owner}}),
        allow("FindAlias", ["kms:ListAliases"], ["*"]),
        # Creating a key with tags asks for this on the key that does not exist yet.
        allow(
            "TagKey",
            ["kms:TagResource"],
            [keys],
            {"StringEquals": {f"aws:RequestTag/{OWNER_TAG}": owner}},
        ),
        allow("OwnKey", sorted([*use, *manage]), [keys], tagged),
        allow(
            "OwnAlias",
            ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
            [place.arn("kms", f"alias/{prefix}-*")],
        ),
    ]


def _identity(place: Place, prefix: str) -> Sequence[Statement]:
    role = place.iam(f"role/{prefix}-serving-*")
    return [
        allow(
            "Role",
            [
                "iam:CreateRole",
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:ListRolePolicies",
                "iam:PutRolePolicy",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
            ],
            [role],
        ),
        allow(
            "PassRole",
            ["iam:PassRole"],
            [role],
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        allow(
            "CallerPolicy",
            [
                "iam:CreatePolicy",
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:TagPolicy",
                "iam:UntagPolicy",
            ],
            [place.iam(f"policy/{prefix}-caller-*")],
        ),
        # Read only for the deployer's own: whoever may change it could give themselves anything.
        allow(
            "ReadPolicies",
            ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyVersions"],
            [place.iam(f"policy/{prefix}-*")],
        ),
    ]


def _endpoint(place: Place, endpoint: str, prefix: str) -> Sequence[Statement]:
    served = [
        place.arn("sagemaker", f"endpoint/{endpoint}"),
        place.arn("sagemaker", f"endpoint-config/{prefix}-*"),
        place.arn("sagemaker", f"model/{prefix}-*"),
    ]
    log_group = place.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{endpoint}")
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
                "sagemaker:DeleteTags",
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
                "cloudwatch:UntagResource",
            ],
            [place.arn("cloudwatch", f"alarm:{endpoint}-*")],
        ),
        # Know no resource. Source: SAR, Amazon CloudWatch.
        allow("Metrics", ["cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics"], ["*"]),
        allow(
            "LogGroup",
            [
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:DeleteRetentionPolicy",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ],
            [log_group, f"{log_group}:*"],
        ),
        # Finds a group by a prefix. Source: SAR, Amazon CloudWatch Logs.
        allow("FindLogGroup", ["logs:DescribeLogGroups"], [place.arn("logs", "log-group:*")]),
        allow("Quota", ["servicequotas:GetServiceQuota"], [place.arn("servicequotas", "sagemaker/*")]),
        # Know no resource. Source: SAR, Service Quotas.
        allow(
            "Quotas",
            ["servicequotas:GetAWSDefaultServiceQuota", "servicequotas:ListServiceQuotas"],
            ["*"],
        ),
    ]


def _scaling(place: Place, autoscaled: bool) -> Sequence[Statement]:
    if not autoscaled:
        return []
    service = "sagemaker.application-autoscaling.amazonaws.com"
    return [
        allow(
            "Scaling",
            [
                "application-autoscaling:DeleteScalingPolicy",
                "application-autoscaling:DeregisterScalableTarget",
                "application-autoscaling:ListTagsForResource",
                "application-autoscaling:PutScalingPolicy",
                "application-autoscaling:RegisterScalableTarget",
                "application-autoscaling:TagResource",
            ],
            [place.arn("application-autoscaling", "scalable-target/*")],
        ),
        # Know no resource. Source: SAR, Application Auto Scaling.
        allow(
            "LookAtScaling",
            [
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
            ],
            ["*"],
        ),
        allow(
            "ChangeCapacity",
            ["sagemaker:UpdateEndpointWeightsAndCapacities"],
            [place.arn("sagemaker", "endpoint/*")],
        ),
        allow(
            "ScalingRole",
            ["iam:CreateServiceLinkedRole"],
            [place.iam(f"role/aws-service-role/{service}/*")],
            {"StringEquals": {"iam:AWSServiceName": service}},
        ),
    ]
