"""What a check answers, and how checks that need each other are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from cohost.errors import CohostError


class Outcome(StrEnum):
    """How a check ended.

    A warning is something to know, or something that could not be looked at; it does not stop an `up`.
    """

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """The answer of one check.

    Attributes:
        name: What was looked at: "quota".
        outcome: How it ended.
        found: What is there, in a line or some.
        remedy: What to do; empty where there is nothing to do.
    """

    name: str
    outcome: Outcome
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Finding:
    """What a step found: a check without its name."""

    outcome: Outcome
    found: str
    remedy: str = ""


ok = partial(Finding, Outcome.OK)
warning = partial(Finding, Outcome.WARNING)
failed = partial(Finding, Outcome.FAILED)
skipped = partial(Finding, Outcome.SKIPPED)


@dataclass(frozen=True)
class Step:
    """One thing to look at.

    Attributes:
        name: The check's name; no two steps share one.
        look: Looks; what it raises of `CohostError` means that it could not see.
        needs: Names of earlier steps without which there is nothing to see.
    """

    name: str
    look: Callable[[], Finding]
    needs: tuple[str, ...] = ()


def run(steps: Iterable[Step]) -> tuple[Check, ...]:
    """Runs all steps in their order.

    Returns:
        One check for each step. A step that could not see is a warning, since an account may be allowed to deploy and
        not to look; one that needs a step that failed or was skipped is skipped.
    """
    done: dict[str, Check] = {}
    for step in steps:
        found = _look(step, done)
        done[step.name] = Check(step.name, found.outcome, found.found, found.remedy)
    return tuple(done.values())


def _look(step: Step, done: dict[str, Check]) -> Finding:
    absent = [done[name] for name in step.needs if done[name].outcome in (Outcome.FAILED, Outcome.SKIPPED)]
    if absent:
        # One that was skipped itself is only in the way of the same thing.
        causes = [each for each in absent if each.outcome is Outcome.FAILED] or absent
        return skipped(f"needs {' and '.join(each.name for each in causes)}")
    try:
        return step.look()
    except CohostError as error:
        return warning(f"cannot be looked at: {error}", "see to it that this account may read it, or check it yourself")
