"""The answer of `cohost local preview STACK --json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from cohost.engine import Change, Planned, PolicyResult
from cohost.report.preview import Preview, Resource


class _Answer(BaseModel):
    """What is read of it; all of it: `cohost/schemas/operation.schema.json`."""

    operation: Literal["preview"]
    changes: list[Change]
    resources: list[Planned]
    policies: list[PolicyResult] = []
    policy_pack: str | None = None
    warnings: list[str] = []
    error: str | None


def from_answer(stack: str, document: dict[str, Any]) -> Preview:
    """Returns the preview that the answer tells of.

    Raises:
        ValidationError: It is the answer of another operation, or of another version of the command.
    """
    answer = _Answer.model_validate(document)
    return Preview(
        stack,
        resources=paired(answer.changes, answer.resources),
        policies=None if answer.policy_pack is None else tuple(answer.policies),
        warnings=tuple(answer.warnings),
        error=answer.error or "",
        local=True,
    )


def paired(changes: list[Change], planned: list[Planned]) -> tuple[Resource, ...]:
    """Returns each resource with what happens to it; what no change names stays the same."""
    by_urn = {change.urn: change for change in changes}
    found: list[Resource] = []
    for item in planned:
        change = by_urn.get(item.urn)
        op, diff = (change.op, change.diff) if change else ("same", ())
        found.append(Resource(item.urn, item.type, op, diff, item.before, item.after))
    return tuple(found)
