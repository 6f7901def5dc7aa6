"""The comment: a table of all stacks, then each stack's changes, models, cost and policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cohost.engine import PolicyResult
from cohost.report import fleet, models
from cohost.report.cost import Cost, of_preview
from cohost.report.markdown import alert, code, details, fenced, table
from cohost.report.preview import STACK, Preview, Resource
from cohost.urns import name_of, short_type

MARKER: Final = "<!-- cohost: report pr -->"
# GitHub refuses a comment of more than 65,536 characters ("Body is too long (maximum is 65536 characters)"); some
# room is left for who adds a line.
LIMIT: Final = 65_000
_MARKS: Final = {"create": "➕", "update": "✏️", "replace": "♻️", "delete": "🗑️"}
_LEVELS: Final = {"mandatory": "❌", "remediate": "🔧", "advisory": "⚠️"}
# The comment has the cost with its difference, which a policy cannot know.
_COST_POLICY: Final = "estimated-cost"
_DIGEST: Final = 12
_CUT: Final = "Cut to fit into a comment: the files given to `cohost report pr` hold the rest."


@dataclass(frozen=True)
class _Room:
    """How much of each list is shown."""

    rows: int
    text: int


_ROOMS: Final = (_Room(1000, 8_000), _Room(200, 2_000), _Room(40, 800), _Room(8, 300))


def render(previews: Sequence[Preview], limit: int = LIMIT) -> str:
    """Returns the comment.

    Args:
        previews: One for each stack, in the order to show.
        limit: The most characters it may have; lists are cut, with a note, until it fits.
    """
    costs = [of_preview(preview) for preview in previews]
    head = [MARKER, "## What this change does", _overview(previews, costs)]
    for number, room in enumerate(_ROOMS):
        parts = ["\n\n".join(_stack(preview, cost, room)) for preview, cost in zip(previews, costs, strict=True)]
        text = "\n\n".join([*head, *([_CUT] if number else []), *parts]) + "\n"
        if len(text) <= limit:
            return text
    return "\n\n".join([*head, _CUT])[: limit - 1].rstrip() + "\n"


def _overview(previews: Sequence[Preview], costs: Sequence[Cost]) -> str:
    def row(item: tuple[Preview, Cost]) -> list[str]:
        preview, cost = item
        counted = "**failed**" if preview.error else _counted(preview)
        told = (counted, _counted_models(preview), cost.short, _counted_policies(preview))
        return [code(preview.stack), preview.cloud or "—", *told]

    head = ["stack", "cloud", "resources", "models", "cost a month", "policies"]
    return table(head, list(zip(previews, costs, strict=True)), row, limit=50)


def _counted(preview: Preview) -> str:
    words = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}
    found = [f"{preview.counts[op]} {word}" for op, word in words.items() if preview.counts[op]]
    return ", ".join(found) or "no change"


def _counted_models(preview: Preview) -> str:
    changed = models.changes(preview)
    counts = {op: sum(item.op == op for item in changed) for op in ("added", "changed", "removed")}
    return ", ".join(f"{count} {op}" for op, count in counts.items() if count) or "no change"


def _counted_policies(preview: Preview) -> str:
    if preview.policies is None:
        return "not checked"
    counts = {level: len(_broken(preview, level)) for level in _LEVELS}
    told = [
        f"**{count} {level}**" if level == "mandatory" else f"{count} {level}"
        for level, count in counts.items()
        if count
    ]
    return ", ".join(told) or "all kept"


def _broken(preview: Preview, *levels: str) -> list[PolicyResult]:
    return [item for item in preview.policies or () if item.level in levels and item.policy != _COST_POLICY]


def _stack(preview: Preview, cost: Cost, room: _Room) -> Iterator[str]:
    where = ", previewed on the local emulators" if preview.local else ""
    yield f"### {code(preview.stack)}{f' on {preview.cloud}' if preview.cloud else ''}{where}"
    if preview.error:
        yield alert("CAUTION", ["**The preview failed.** What stands below is what it found out until then."])
        yield fenced(preview.error, room.text)
    yield from _policies(_broken(preview, "mandatory"), room)
    yield from _losses(preview)
    yield from _fleet(preview)
    yield from _models(preview, room)
    yield from cost.sections
    yield from _policies(_broken(preview, "remediate", "advisory"), room)
    yield from _warnings(preview, room)
    yield _resources(preview, room)


def _losses(preview: Preview) -> Iterator[str]:
    found = fleet.losses(preview)
    words = {"replace": "Replaced", "delete": "Deleted"}
    loud = [
        f"**{words[loss.kind]}:** {code(loss.resource.title)}: {loss.weight}." for loss in found if loss.kind in words
    ]
    if loud:
        yield alert("CAUTION", ["  \n> ".join(loud)])
    for loss in found:
        if loss.kind == "roll over":
            text = f"{code(loss.resource.title)} is undeployed after the new release has passed its smoke tests."
            yield alert("NOTE", [text])


def _fleet(preview: Preview) -> Iterator[str]:
    found = fleet.fleets(preview)
    if found.before != found.after:
        yield f"**Machines:** {_machines(found.before)} → {_machines(found.after)}"


def _machines(text: str) -> str:
    return code(text) if text else "none"


def _models(preview: Preview, room: _Room) -> Iterator[str]:
    found = models.changes(preview)
    if found:
        yield "**Models**"
        yield table(["", "model", "artifact now", "artifact after"], found, _model, room.rows)


def _model(item: models.ModelChange) -> list[str]:
    return [item.op, code(item.name), _digest(item.before), _digest(item.after)]


def _digest(text: str) -> str:
    return code(text[:_DIGEST]) if text else "—"


def _policies(found: Sequence[PolicyResult], room: _Room) -> Iterator[str]:
    """Says each broken rule once, with everything that breaks it the same way."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for item in sorted(found, key=lambda item: (item.policy, item.message, item.urn)):
        groups.setdefault((item.level, item.policy, item.message), []).append(item.urn)
    for (level, policy, message), urns in list(groups.items())[: room.rows]:
        about = _subjects(urns, room)
        yield f"{_LEVELS[level]} **{level}** {code(policy)}{about and f': {about}'}\n\n{fenced(message, room.text)}"
    if len(groups) > room.rows:
        yield f"… and {len(groups) - room.rows} more."


def _subjects(urns: Sequence[str], room: _Room) -> str:
    """Names what breaks a rule; nothing where that is the whole stack."""
    named = [_subject(urn) for urn in urns if urn and _type_of(urn) != STACK]
    most = min(20, room.rows)
    shown = ", ".join(named[:most])
    return shown if len(named) <= most else f"{shown} and {len(named) - most} more"


def _subject(urn: str) -> str:
    return code(f"{short_type(_type_of(urn))} {name_of(urn)}")


def _type_of(urn: str) -> str:
    parts = urn.split("::")
    return parts[2].rpartition("$")[2] if len(parts) > 2 else ""


def _warnings(preview: Preview, room: _Room) -> Iterator[str]:
    if preview.warnings:
        yield "**Warnings**"
        yield fenced("\n".join(preview.warnings), room.text)


def _resources(preview: Preview, room: _Room) -> str:
    changes, same = preview.changes, preview.counts["same"]
    stays = f"{same} stay" if preview.complete else "unchanged ones are not told of"
    if not changes:
        return f"No resource changes; {stays}."

    def row(item: Resource) -> list[str]:
        return [_MARKS[item.op], item.op, code(item.title), _paths(item, room)]

    counted = "1 resource changes" if len(changes) == 1 else f"{len(changes)} resources change"
    return details(f"{counted}, {stays}", table(["", "", "resource", "properties"], changes, row, room.rows))


def _paths(item: Resource, room: _Room) -> str:
    most = min(20, room.rows)
    shown = " ".join(map(code, item.diff[:most]))
    return shown if len(item.diff) <= most else f"{shown} and {len(item.diff) - most} more"
