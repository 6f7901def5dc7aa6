"""The policy documents of the stack on AWS, as plain data: who may do what, and under which conditions.

Least privilege: no action has a wildcard; a resource is "*" only where the service knows nothing narrower, and
the statement says so with its source. `SAR` stands for AWS's Service Authorization Reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Document = Mapping[str, Any]
Statement = dict[str, Any]
# It takes away: of a Deny that named fewer, nobody else would be held (IAM user guide, "Policy evaluation logic").
_EVERYONE_DENIED: Final = {"Effect": "Deny", "Principal": "*"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the stack is.

    Attributes:
        partition: "aws", "aws-cn" or "aws-us-gov".
        region: The region.
        account: The account's number.
    """

    partition: str
    region: str
    account: str

    def arn(self, service: str, resource: str, *, account: str | None = None) -> str:
        """Returns the ARN of a resource of this region, and of this account unless another is given."""
        return f"arn:{self.partition}:{service}:{self.region}:{account or self.account}:{resource}"

    def iam(self, resource: str) -> str:
        """Returns the ARN of an IAM resource, which has no region."""
        return f"arn:{self.partition}:iam::{self.account}:{resource}"


@dataclass(frozen=True, kw_only=True)
class Vpc:
    """Where in a VPC the containers run.

    Attributes:
        subnets: Ids of the subnets.
        security_groups: Ids of the security groups.
    """

    subnets: Sequence[str]
    security_groups: Sequence[str]


def to_json(document: Document) -> str:
    """Returns a document as the services take it; the same document always gives the same text."""
    return json.dumps(document, separators=(",", ":"))


def document(*statements: Statement | None) -> Document:
    """Returns a policy of the statements that are not None."""
    return {"Version": "2012-10-17", "Statement": [statement for statement in statements if statement]}


def allow(
    sid: str, actions: Sequence[str], resources: Sequence[str], condition: Mapping[str, Any] | None = None
) -> Statement:
    """Returns a statement that allows actions on resources."""
    statement: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    if condition:
        statement["Condition"] = condition
    return statement


def bucket(bucket_arn: str) -> Document:
    """Returns the bucket's own policy: encrypted on the way, and no artifact is ever written over.

    Source of the second: S3 user guide, "Enforce conditional writes on Amazon S3 buckets"; the parts of an upload
    carry no condition, only what creates the object does.
    """
    return document(
        encrypted_on_the_way(bucket_arn),
        {
            "Sid": "DenyOverwritingArtifacts",
            **_EVERYONE_DENIED,
            "Action": "s3:PutObject",
            "Resource": f"{bucket_arn}/models/*",
            "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
        },
    )


def encrypted_on_the_way(bucket_arn: str) -> Statement:
    """Returns the statement that a bucket answers to nothing but TLS."""
    return {
        "Sid": "DenyInsecureTransport",
        **_EVERYONE_DENIED,
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def sagemaker_trust(place: Place) -> Document:
    """Returns who may take the execution role: SageMaker, on behalf of this account in this region.

    The form of the ARN is fixed, its asterisk included. Source: SageMaker developer guide, "Cross-service confused
    deputy prevention", section on inference.
    """
    return document(
        {
            "Sid": "SageMakerOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": place.account},
                "ArnLike": {"aws:SourceArn": place.arn("sagemaker", "*")},
            },
        }
    )


def execution(
    place: Place,
    *,
    bucket_arn: str,
    key_arn: str,
    endpoint: str,
    image_uri: str,
    alarms: Sequence[str],
    vpc: Vpc | None,
) -> Document:
    """Returns what the containers' role may do.

    Source: SageMaker developer guide, "SageMaker AI roles", CreateModel and CreateEndpoint permissions; "multi-model
    endpoint security" (`s3:ListBucket` on the bucket is demanded for multi-model); "Auto-rollback configuration and
    monitoring" (the role must be allowed to read the alarms).

    Args:
        place: Where the stack is.
        bucket_arn: The store's bucket.
        key_arn: The store's key.
        endpoint: The endpoint's name.
        image_uri: The serving image, whose repository may be pulled from.
        alarms: Names of the alarms that take an endpoint update back.
        vpc: The VPC's subnets and security groups; None outside a VPC.
    """
    watched = [place.arn("cloudwatch", f"alarm:{alarm}") for alarm in alarms]
    return document(
        allow("ReadArtifacts", ["s3:GetObject"], [f"{bucket_arn}/models/*"]),
        allow(
            "ListArtifacts",
            ["s3:ListBucket"],
            [bucket_arn],
            {"StringLike": {"s3:prefix": ["models", "models/*"]}},
        ),
        allow("DecryptArtifacts", ["kms:Decrypt"], [key_arn], for_bucket(place, bucket_arn)),
        # Knows no resource. Source: SAR, Amazon Elastic Container Registry.
        allow("LogInToRegistry", ["ecr:GetAuthorizationToken"], ["*"]),
        allow(
            "PullImage",
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [repository_arn(place, image_uri)],
        ),
        allow(
            "WriteLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            log_group(place, endpoint),
        ),
        # Knows no resource that SageMaker writes to, but the namespace. Sources: SAR, Amazon CloudWatch; SageMaker
        # developer guide, "Monitor Amazon SageMaker AI with Amazon CloudWatch" (the two namespaces of endpoints).
        allow(
            "WriteMetrics",
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": ["AWS/SageMaker", "/aws/sagemaker/Endpoints"]}},
        ),
        allow("WatchRollbackAlarms", ["cloudwatch:DescribeAlarms"], watched) if watched else None,
        *(interfaces(place, vpc) if vpc else ()),
    )


def interfaces(place: Place, vpc: Vpc) -> list[Statement]:
    """Returns the statements on the network interfaces that SageMaker makes in a VPC; their ids are not known before.

    Subnets and security groups keep the account out of their ARN: in a shared VPC it is the owner's, and an id is
    unique without it.
    """
    made = place.arn("ec2", "network-interface/*")
    subnets = [place.arn("ec2", f"subnet/{subnet}", account="*") for subnet in vpc.subnets]
    groups = [place.arn("ec2", f"security-group/{group}", account="*") for group in vpc.security_groups]
    return [
        allow("MakeInterfaces", ["ec2:CreateNetworkInterface"], [made, *subnets, *groups]),
        allow(
            "UseInterfaces",
            [
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            [made],
            {"ArnLike": {"ec2:Subnet": subnets}},
        ),
        # None of these knows a resource. Source: SAR, Amazon EC2.
        allow(
            "LookAtNetwork",
            [
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            ["*"],
        ),
    ]


def caller(place: Place, *, endpoint: str, bucket_arn: str, key_arn: str, target_models: Sequence[str]) -> Document:
    """Returns what a caller needs: invoke the endpoint, and read which release is active.

    Args:
        place: Where the stack is.
        endpoint: The endpoint's name.
        bucket_arn: The store's bucket.
        key_arn: The store's key.
        target_models: Patterns of TargetModels that may be invoked; empty = every artifact in the store.
    """
    # Source of the condition key: SAR, Amazon SageMaker, `sagemaker:TargetModel`.
    only = {"StringLike": {"sagemaker:TargetModel": list(target_models)}} if target_models else None
    return document(
        allow("Invoke", ["sagemaker:InvokeEndpoint"], [place.arn("sagemaker", f"endpoint/{endpoint}")], only),
        allow("ReadActiveRelease", ["s3:GetObject"], [f"{bucket_arn}/releases/*"]),
        allow("DecryptActiveRelease", ["kms:Decrypt"], [key_arn], for_bucket(place, bucket_arn)),
    )


def for_bucket(place: Place, bucket_arn: str) -> Mapping[str, Any]:
    """Returns the condition that a key is used through S3 only, and for this bucket only.

    Sources: KMS developer guide, `kms:ViaService` (the service's name ends in the partition's own domain); S3 user
    guide, "Reducing the cost of SSE-KMS with Amazon S3 Bucket Keys" (the encryption context is the bucket's ARN with
    a bucket key, the object's without).
    """
    domain = "amazonaws.com.cn" if place.partition == "aws-cn" else "amazonaws.com"
    return {
        "StringEquals": {"kms:ViaService": f"s3.{place.region}.{domain}"},
        "StringLike": {"kms:EncryptionContext:aws:s3:arn": [bucket_arn, f"{bucket_arn}/*"]},
    }


def log_group(place: Place, endpoint: str) -> list[str]:
    """Returns an endpoint's log group in both forms of its ARN.

    Source: CloudWatch Logs user guide, "Overview of managing access permissions" (tags and some others want the form
    without ":*", everything else and the streams that with it).
    """
    arn = place.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{endpoint}")
    return [arn, f"{arn}:*"]


def repository_arn(place: Place, image_uri: str) -> str:
    """Returns the ARN of an image's ECR repository.

    Args:
        place: Where the stack is.
        image_uri: `<account>.dkr.ecr.<region>.<domain>/<repository>`, with a tag, a digest or both.
    """
    registry, _, rest = image_uri.partition("/")
    account, _, _, region, *_ = registry.split(".")
    return f"arn:{place.partition}:ecr:{region}:{account}:repository/{rest.split('@')[0].split(':')[0]}"
