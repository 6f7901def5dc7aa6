"""What workflows may do on AWS, as plain data: who is trusted, what they do with state, and what with a stack.

What a stack's deployer needs is `cohost.deployer_policy_aws`, here for a stack that may not be there yet: its key is
known by its tag, and a name that Pulumi generates by all but its random end. Who only looks gets the reading part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import state_layout

from cohost import ownership, tokens
from cohost.deployer_policy_aws import PARTS, deployer
from cohost.policies_aws import Document, Place, Statement, allow, document

__all__ = ["PARTS", "reading", "stack", "state", "trust"]

_READING: Final = ("Describe", "Get", "List")
# Objects and state are encrypted: without it nothing of them can be read.
_READING_TOO: Final = frozenset({"kms:Decrypt"})


def trust(provider_arn: str, subjects: Sequence[str]) -> Document:
    """Returns who may take a role: jobs with these subjects, by tokens that GitHub made for AWS.

    Source: IAM user guide, "Create a role for OpenID Connect federation", section on GitHub.
    """
    issuer = provider_arn.partition("oidc-provider/")[2]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider_arn},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": list(subjects)}},
            }
        ],
    }


def state(bucket_arn: str, key_arn: str, *, write: bool) -> Document:
    """Returns what the state asks for.

    A preview, and `refresh --preview-only`, take no lock and write nothing (pulumi/pulumi 3.260,
    pkg/backend/diy/backend.go, Preview and Refresh); a stack's secrets provider then only decrypts. A bucket is listed
    whole: that tells names, and no state.
    """
    changes = ["s3:DeleteObject", "s3:PutObject"] if write else []
    keys = ["kms:Encrypt", "kms:GenerateDataKey"] if write else []
    return document(
        allow("FindState", ["s3:ListBucket"], [bucket_arn]),
        allow("Layout", ["s3:GetObject"], [f"{bucket_arn}/{state_layout.META}"]),
        allow("State", ["s3:GetObject", *changes], [f"{bucket_arn}/{prefix}*" for prefix in state_layout.STACKS]),
        allow("UseKey", ["kms:Decrypt", *keys], [key_arn]),
    )


def stack(place: Place, name: str) -> dict[str, Document]:
    """Returns what the deployer of a stack needs, by the policies' names.

    Args:
        place: Where the stack is.
        name: The stack's name; its endpoint has the name that it gets by default.
    """
    prefix, owner = ownership.prefix(name), ownership.owner(tokens.PROJECT, name)
    keys = place.arn("kms", "key/*")
    documents = deployer(
        place,
        prefix=prefix,
        owner=owner,
        endpoint=f"{tokens.PROJECT}-{name}",
        bucket_arn=f"arn:{place.partition}:s3:::{prefix}-models-*",
        key_arn=keys,
        has_own_key=True,
        role_arn=place.iam(f"role/{prefix}-serving-*"),
    )
    tagged = {f"aws:ResourceTag/{ownership.OWNER_TAG}": owner}
    return {part: _narrowed(found, keys, tagged) for part, found in documents.items()}


def reading(policy: Document) -> Document:
    """Returns the part of a policy that changes nothing."""
    statements: list[Statement] = []
    for statement in policy["Statement"]:
        actions = [action for action in statement["Action"] if _reads(action)]
        if actions:
            statements.append({**statement, "Action": actions})
    return document(*statements)


def _reads(action: str) -> bool:
    return action in _READING_TOO or action.partition(":")[2].startswith(_READING)


def _narrowed(policy: Document, resource: str, tags: Mapping[str, str]) -> Document:
    """Adds that a resource known by a pattern alone must carry a tag."""
    return document(
        *(
            _tagged(statement, tags) if resource in statement["Resource"] else statement
            for statement in policy["Statement"]
        )
    )


def _tagged(statement: Statement, tags: Mapping[str, str]) -> Statement:
    condition: dict[str, Any] = dict(statement.get("Condition", {}))
    condition["StringEquals"] = {**condition.get("StringEquals", {}), **tags}
    return {**statement, "Condition": condition}
