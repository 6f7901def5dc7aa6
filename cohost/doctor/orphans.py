"""What carries a stack's mark and is in no state: found, listed, and never touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cohost.doctor.check import Finding, failed, ok, warning

_LISTED: Final = 20


@dataclass(frozen=True)
class Orphan:
    """Something that the stack's state does not know.

    Attributes:
        what: What it is: "endpoint".
        name: Its name or id.
        costs: Whether it costs by the hour.
        remove: The command that removes it.
    """

    what: str
    name: str
    costs: bool
    remove: str


def finding(orphans: Sequence[Orphan], looked_at: str) -> Finding:
    """Returns what was found, what costs by the hour first: that alone is a failure.

    Args:
        orphans: What was found.
        looked_at: What was looked at, for the good case: "endpoints, configurations and models".
    """
    if not orphans:
        return ok(f"all {looked_at} of this stack are in its state")
    ordered = sorted(orphans, key=lambda each: (not each.costs, each.what, each.name))
    lines = [f"{each.what} {each.name}{' costs by the hour' if each.costs else ''}" for each in ordered[:_LISTED]]
    removals = [each.remove for each in ordered[:_LISTED]]
    if len(ordered) > _LISTED:
        lines.append(f"and {len(ordered) - _LISTED} more")
    found = "\n".join(["not in the state of this stack, but with its mark:", *lines])
    remedy = "\n".join(["`up` again, if one was interrupted; else, once you know that nobody needs it:", *removals])
    return (failed if ordered[0].costs else warning)(found, remedy)
