"""The difference between two estimates: what a change will cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cohost.cost.estimate import NOTHING, Estimate, Line, Range, span


@dataclass(frozen=True)
class Change:
    """What one kind of thing costs a month before and after.

    Attributes:
        text: What it is, as after the change (before, where it goes).
        before: What it costs before.
        after: What it costs after.
    """

    text: str
    before: Range
    after: Range


@dataclass(frozen=True)
class Difference:
    """What changes between two estimates.

    Attributes:
        before: The estimate before.
        after: The estimate after.
    """

    before: Estimate
    after: Estimate

    @property
    def per_hour(self) -> Range:
        """What an hour costs more; less where it is negative."""
        return self.after.per_hour - self.before.per_hour

    @property
    def per_month(self) -> Range:
        """What a month costs more; less where it is negative."""
        return self.after.per_month - self.before.per_month

    @property
    def complete(self) -> bool:
        """Whether everything on both sides has a price."""
        return not self.before.unknown and not self.after.unknown

    @property
    def changes(self) -> tuple[Change, ...]:
        """What costs something else than before, by what the price is for."""
        before, after = _by_item(self.before), _by_item(self.after)
        pairs = [(before.get(key, []), after.get(key, [])) for key in sorted({*before, *after})]
        found = [Change(_text(new or old), _sum(old), _sum(new)) for old, new in pairs]
        return tuple(change for change in found if change.before != change.after)

    def text(self) -> str:
        """Returns the difference in one line: "+$219.00 a month"."""
        known = "" if self.complete else " (of what has a price)"
        if self.per_month == NOTHING:
            return f"no change{known}"
        return f"{span(self.per_month, self.after.currency, signed=True)} a month{known}"

    def as_document(self) -> dict[str, Any]:
        """Returns the difference for JSON."""
        return {
            "currency": self.after.currency,
            "per_hour": self.per_hour.as_document(),
            "per_month": self.per_month.as_document(),
            "complete": self.complete,
            "changes": [
                {"text": each.text, "before": each.before.as_document(), "after": each.after.as_document()}
                for each in self.changes
            ],
        }


def difference(before: Estimate, after: Estimate) -> Difference:
    """Returns what changes from one estimate to another."""
    return Difference(before, after)


def _by_item(estimate: Estimate) -> dict[tuple[str, str, str], list[Line]]:
    found: dict[tuple[str, str, str], list[Line]] = {}
    for line in estimate.lines:
        found.setdefault((line.price.service, line.price.item, line.price.purchase), []).append(line)
    return found


def _sum(lines: list[Line]) -> Range:
    return sum((line.per_month for line in lines), NOTHING)


def _text(lines: list[Line]) -> str:
    return ", ".join(line.text for line in lines)
