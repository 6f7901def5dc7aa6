"""The policy documents of a stack, and decisions on them as IAM makes them, as far as they need it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from cohost import policies_aws, release
from cohost.deployer_policy_aws import PARTS, deployer
from cohost.policies_aws import Document, Place, Vpc

# A stack "dev" as it might be.
PLACE = Place(partition="aws", region="eu-west-1", account="123456789012")
BUCKET = "arn:aws:s3:::cohost-dev-models-1a2b3c4"
KEY = PLACE.arn("kms", "key/0a1b")
ROLE = PLACE.iam("role/cohost-dev-serving-1a2b3c4")
ENDPOINT = PLACE.arn("sagemaker", "endpoint/shared-endpoint-dev")
IMAGE = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-tritonserver:26.05-py3"
VPC = Vpc(subnets=["subnet-0a", "subnet-0b"], security_groups=["sg-0a"])
ARTIFACT = f"{BUCKET}/{release.archive_key('digits', '0' * 64)}"
CURRENT = f"{BUCKET}/{release.CURRENT_KEY}"


@dataclass(frozen=True)
class Iam:
    """Decides on a document as IAM does, for the operators that are used here.

    Source: IAM user guide, "Policy evaluation logic" and "Condition operators" (a key that is absent from a request
    fits only `Null: true`; all keys of a condition must fit, and any value of a key).
    """

    document: Document

    def allows(self, action: str, resource: str, **context: Any) -> bool:
        """Whether a request is allowed; context keys are written with `__` for `:` and `_` for `-` and `/`."""
        effects = {
            statement["Effect"]
            for statement in self.document["Statement"]
            if _fits(statement, action, resource, context)
        }
        return effects == {"Allow"}

    def denies(self, action: str, resource: str, **context: Any) -> bool:
        return any(
            statement["Effect"] == "Deny" and _fits(statement, action, resource, context)
            for statement in self.document["Statement"]
        )


def _fits(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, Any]) -> bool:
    named = any(_like(action, pattern) for pattern in several(statement["Action"]))
    placed = any(_like(resource, pattern) for pattern in several(statement["Resource"]))
    conditions = [
        _holds(operator, context.get(re.sub(r"[-/]", "_", key).replace(":", "__")), several(wanted))
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    ]
    return named and placed and all(conditions)


def _holds(operator: str, value: Any, wanted: Sequence[str]) -> bool:
    if operator == "Null":
        return wanted == [str(value is None).lower()]
    if value is None:
        return False
    if operator in ("StringEquals", "Bool"):
        return str(value) in wanted
    assert operator in ("StringLike", "ArnLike"), operator
    return any(_like(str(value), pattern) for pattern in wanted)


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def several(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def execution(vpc: Vpc | None = None, alarms: Sequence[str] = ("shared-endpoint-dev-rollback-5xx",)) -> Iam:
    return Iam(
        policies_aws.execution(
            PLACE,
            bucket_arn=BUCKET,
            key_arn=KEY,
            endpoint="shared-endpoint-dev",
            image_uri=IMAGE,
            alarms=alarms,
            vpc=vpc,
        )
    )


def caller(*target_models: str) -> Iam:
    return Iam(
        policies_aws.caller(
            PLACE, endpoint="shared-endpoint-dev", bucket_arn=BUCKET, key_arn=KEY, target_models=target_models
        )
    )


def deploying(*, has_own_key: bool = True) -> Iam:
    documents = deployer(
        PLACE,
        prefix="cohost-dev",
        owner="shared-endpoint/dev",
        endpoint="shared-endpoint-dev",
        bucket_arn=BUCKET,
        key_arn=KEY,
        has_own_key=has_own_key,
        role_arn=ROLE,
    )
    assert tuple(documents) == PARTS
    return Iam(policies_aws.document(*(statement for part in PARTS for statement in documents[part]["Statement"])))
