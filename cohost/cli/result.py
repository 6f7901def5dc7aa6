"""The result of a life-cycle operation: its JSON contract, and the same for a person."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cohost.cli.display import MARKS
from cohost.engine import Operation, Result
from cohost.engine.state import STACK_TYPE
from cohost.engine.values import MASK
from cohost.urns import name_of, short_type

_DONE: Final = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "same": "unchanged",
}
_WOULD: Final = {
    "create": "to create",
    "update": "to update",
    "replace": "to replace",
    "delete": "to delete",
    "same": "unchanged",
}


def masked(outputs: Mapping[str, Any], secret: Collection[str]) -> dict[str, Any]:
    """Returns the outputs in the order of their names, with a mask in the place of each secret."""
    return {name: MASK if name in secret else value for name, value in sorted(outputs.items())}


def document(
    stack: str, engine: str, result: Result, *, warnings: Collection[str], pack: Path | None
) -> dict[str, Any]:
    """Returns the result as `cohost/schemas/operation.schema.json` describes it.

    Args:
        stack: The stack's name.
        engine: Who ran the program.
        result: What came of it.
        warnings: What the resources warned of.
        pack: The policy pack that the stack was held to, None for none.
    """
    answer: dict[str, Any] = {
        "stack": stack,
        "engine": str(engine),
        "operation": str(result.operation),
        "summary": dict(result.summary),
        "changes": [
            {"urn": change.urn, "type": change.type, "op": change.op, "diff": list(change.diff)}
            for change in result.changes
        ],
        "outputs": masked(result.outputs, result.secret_outputs),
        "policies": [asdict(found) for found in result.policies],
        "error": result.error,
        "duration_s": round(result.duration_s, 3),
    }
    if result.operation is Operation.PREVIEW:
        answer["resources"] = [asdict(resource) for resource in result.planned]
        answer["warnings"] = list(warnings)
        answer["policy_pack"] = None if pack is None else str(pack)
    return answer


def text(result: Result) -> str:
    """Returns the result for a person: a preview's changes, the outputs and the count."""
    preview = result.operation is Operation.PREVIEW
    lines = [*(_changes(result) if preview else []), *_policies(result)]
    words = _WOULD if preview else _DONE
    counted = [f"{result.summary[op]} {word}" for op, word in words.items() if result.summary.get(op)]
    if result.outputs and not preview and result.error is None:
        lines += ["", outputs_text(masked(result.outputs, result.secret_outputs)), ""]
    lines.append(f"{', '.join(counted) or 'nothing to do'} ({result.duration_s:.1f} s)")
    return "\n".join(lines)


def outputs_text(outputs: Mapping[str, Any]) -> str:
    """Returns outputs a line each, anything but text as JSON."""
    width = max(map(len, outputs), default=0)
    return "\n".join(
        f"  {name.ljust(width)}  {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in outputs.items()
    )


def _policies(result: Result) -> list[str]:
    """A block for each of the policies' findings: level, policy, resource, and below it the message."""
    lines: list[str] = ["", "policies:"] if result.policies else []
    for found in result.policies:
        kind, name = found.urn.split("::", 3)[2:]
        kind = kind.rpartition("$")[2]
        subject = "the stack" if kind == STACK_TYPE else f"{short_type(kind)} {name}"
        lines.append(f"  {found.level} {found.policy}: {subject}")
        lines += [f"      {line}".rstrip() for line in found.message.splitlines()]
    return [*lines, ""] if lines else []


def _changes(result: Result) -> list[str]:
    lines: list[str] = []
    for change in result.changes:
        if change.type == STACK_TYPE:
            continue
        lines.append(f"  {MARKS.get(change.op, ' ')} {short_type(change.type)} {name_of(change.urn)}")
        if change.op in ("update", "replace"):
            lines += [f"      {path}" for path in change.diff]
    return lines
