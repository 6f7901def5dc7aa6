"""`cohost doctor`: what would stand in the way of an `up`, on an account or on the emulators."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any, Final

from cohost.cli.answer import Answer
from cohost.doctor import state
from cohost.doctor.check import Check, Outcome
from cohost.doctor.examine import examine
from cohost.doctor.subject import Subject
from cohost.errors import InputError, Problem
from cohost.local import stack_config

_PLATFORMS: Final = ("aws", "gcp")


def doctor(arguments: argparse.Namespace) -> Answer:
    """Looks at everything that can be looked at without changing anything.

    Raises:
        InputError: There is no such stack, or it is for no cloud that is known.
    """
    subject, platform = _local(arguments) if arguments.local else _real(arguments)
    checks = examine(subject, platform)
    return Answer(
        document=document(subject, platform, checks),
        text=text(checks),
        exit_code=1 if any(check.outcome is Outcome.FAILED for check in checks) else 0,
    )


def document(subject: Subject, platform: str, checks: tuple[Check, ...]) -> dict[str, Any]:
    """Returns the answer as `cohost/schemas/doctor.schema.json` describes it."""
    return {
        "stack": subject.stack,
        "platform": platform,
        "local": subject.local,
        "summary": _counted(checks),
        "checks": [
            {"name": check.name, "outcome": str(check.outcome), "found": check.found, "remedy": check.remedy}
            for check in checks
        ],
    }


def text(checks: tuple[Check, ...]) -> str:
    """Returns the answer for a person: a check a line, what to do below it."""
    width = max(len(check.name) for check in checks)
    margin = " " * (len(Outcome.WARNING) + width + 4)
    lines: list[str] = []
    for check in checks:
        found, *more = check.found.splitlines()
        lines.append(f"{check.outcome:<{len(Outcome.WARNING)}}  {check.name:<{width}}  {found}")
        lines += [f"{margin}{line}" for line in more]
        lines += [f"{margin}-> {line}" for line in check.remedy.splitlines()]
    counted = ", ".join(f"{count} {outcome}" for outcome, count in _counted(checks).items() if count)
    return "\n".join([*lines, counted])


def _counted(checks: tuple[Check, ...]) -> dict[str, int]:
    found = Counter(check.outcome for check in checks)
    return {str(outcome): found[outcome] for outcome in Outcome}


def _real(arguments: argparse.Namespace) -> tuple[Subject, str]:
    root = stack_config.find_root(arguments.root)
    config = stack_config.load(root, arguments.stack)
    if config.platform not in _PLATFORMS:
        file = stack_config.stack_file(root, arguments.stack).name
        message = f'is {config.platform!r}; "aws" and "gcp" can be looked at'
        raise InputError([Problem(file, f"{config.project}:platform", message)])
    subject = Subject(
        root=root,
        project=config.project,
        stack=config.stack,
        config=config.values,
        local=False,
        needs_pulumi=True,
        resources=lambda: state.exported(root, config.stack),
    )
    return subject, config.platform


def _local(arguments: argparse.Namespace) -> tuple[Subject, str]:
    from cohost.cli.deployed import reach_emulators
    from cohost.local import held, session

    root = stack_config.find_root(arguments.root)
    stack = session.open_stack(root, arguments.stack)
    subject = Subject(
        root=root,
        project=stack.config.project,
        stack=stack.name,
        config=stack.config.values,
        local=True,
        needs_pulumi=stack.engine is session.Engine.PULUMI,
        resources=lambda: held.resources(stack),
    )
    reach_emulators(stack)
    return subject, stack.config.platform
