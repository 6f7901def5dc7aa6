"""The cost of a stack now and after the change, from `cohost.cost`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cohost.cost import Change, Difference, Estimate, difference, of_resources, span
from cohost.cost.estimate import NOTHING
from cohost.engine.values import UNKNOWN
from cohost.report.markdown import code, details, fenced, table
from cohost.report.preview import Preview

_ROWS: Final = 20


@dataclass(frozen=True)
class Cost:
    """What the comment says of the cost of one stack.

    Attributes:
        short: For the table of all stacks.
        sections: For the stack's own part.
    """

    short: str
    sections: tuple[str, ...]


def of_preview(preview: Preview) -> Cost:
    """Returns what the comment says of the cost; what a preview has not told of is not guessed."""
    if not preview.complete:
        return Cost("not known", ("**Cost:** not known, the preview leaves unchanged resources out (`--show-sames`).",))
    if preview.error:
        return Cost("not known", ())
    before = of_resources(_declared(preview, "before"))
    after = of_resources(_declared(preview, "after"))
    found = difference(before, after)
    return Cost(_short(found), tuple(_sections(found)))


def _short(found: Difference) -> str:
    text = _amount(found.after)
    return text if found.per_month == NOTHING else f"{text} (**{_change(found)}**)"


def _sections(found: Difference) -> list[str]:
    parts = [f"**Cost:** {_amount(found.before)} → {_amount(found.after)} a month (**{_change(found)}**)"]
    if found.changes:
        parts.append(table(["a month", "now", "after", "difference"], found.changes, _row, _ROWS))
    parts.append(details("The estimate after the change", fenced(found.after.text())))
    return parts


def _row(item: Change) -> list[str]:
    return [code(item.text), span(item.before), span(item.after), span(item.after - item.before, signed=True)]


def _amount(estimate: Estimate) -> str:
    least = "at least " if estimate.unknown else ""
    return f"{least}{span(estimate.per_month, estimate.currency)}{estimate.mark and f' {estimate.mark}'}"


def _change(found: Difference) -> str:
    if found.per_month == NOTHING:
        return "no change"
    return span(found.per_month, found.after.currency, signed=True)


def _declared(preview: Preview, side: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for resource in preview.resources:
        inputs: Mapping[str, Any] | None = getattr(resource, side)
        if inputs is not None:
            found.append({"type": resource.type, "name": resource.name, "props": _known(inputs)})
    return found


def _known(value: Any) -> Any:
    """The value with None, which is no text and no number, in the place of what a preview does not know."""
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_known(item) for item in value]
    return None if value == UNKNOWN else value
