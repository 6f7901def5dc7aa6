"""Who may assume a role, by the role's trust policy."""

from __future__ import annotations

import json
from typing import Any, Final

_SERVICES: Final = frozenset({"sagemaker.amazonaws.com"})
_ASSUME: Final = frozenset({"*", "sts:*", "sts:AssumeRole"})


def trusted(policy: str, caller: str, account: str) -> bool:
    """Tells whether a trust policy lets this caller, or SageMaker on whose behalf it acts, assume the role.

    Conditions are not evaluated: one that would refuse the caller on AWS refuses nobody here.

    Args:
        policy: The role's trust policy, JSON.
        caller: ARN of the signing user or session.
        account: The account of both.
    """
    statements = _several(json.loads(policy).get("Statement", []))
    concerned = [statement for statement in statements if _concerns(statement, caller, account)]
    return any(statement.get("Effect") == "Allow" for statement in concerned) and not any(
        statement.get("Effect") == "Deny" and not statement.get("Condition") for statement in concerned
    )


def _concerns(statement: dict[str, Any], caller: str, account: str) -> bool:
    if not _ASSUME.intersection(_several(statement.get("Action", []))):
        return False
    principal = statement.get("Principal", {})
    if principal == "*":
        return True
    accounts = {"*", account, f"arn:aws:iam::{account}:root", caller}
    return bool(
        accounts.intersection(_several(principal.get("AWS", [])))
        or _SERVICES.intersection(_several(principal.get("Service", [])))
    )


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
