"""Policy documents of AWS, read as far as the rules need."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement.

    Attributes:
        name: Its Sid, or its place in the document where it has none.
        allows: Whether it allows; else it denies.
        everyone: Whether it is for every principal.
        services: The services it is for.
        actions: Its actions.
        resources: Its resources.
        inverted: Which of NotAction, NotResource and NotPrincipal it has.
        condition: Its conditions.
    """

    name: str
    allows: bool
    everyone: bool
    services: Sequence[str]
    actions: Sequence[str]
    resources: Sequence[str]
    inverted: Sequence[str]
    condition: Mapping[str, Any]


def statements(document: Any) -> list[Statement]:
    """Returns the statements of a document; none where there is no document, or it is not known yet.

    Raises:
        ValueError: It is not JSON.
    """
    if isinstance(document, str):
        document = json.loads(document)
    if not isinstance(document, Mapping):
        return []
    return [_statement(found, index) for index, found in enumerate(_list(document.get("Statement")))]


def _statement(found: Mapping[str, Any], index: int) -> Statement:
    principal = found.get("Principal")
    by_kind: Mapping[str, Any] = principal if isinstance(principal, Mapping) else {}
    return Statement(
        name=str(found.get("Sid") or f"Statement[{index}]"),
        allows=found.get("Effect") == "Allow",
        everyone=principal == "*" or "*" in _list(by_kind.get("AWS")),
        services=_list(by_kind.get("Service")),
        actions=_list(found.get("Action")),
        resources=_list(found.get("Resource")),
        inverted=[key for key in ("NotAction", "NotResource", "NotPrincipal") if key in found],
        condition=found.get("Condition") or {},
    )


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
