"""`cohost report …`: documents for people, made of what other commands answered."""

from __future__ import annotations

import argparse

from cohost.cli.answer import Answer
from cohost.errors import InputError, Problem
from cohost.report import comment
from cohost.report.preview import Preview
from cohost.report.read import read


def pr(arguments: argparse.Namespace) -> Answer:
    """Renders the comment on a pull request; a preview that failed is part of it, not a failure of this command.

    Raises:
        InputError: A file cannot be read or holds no preview.
    """
    previews: dict[str, Preview] = {}
    problems: list[Problem] = []
    seen: set[str] = set()
    for given in arguments.preview:
        stack, _, file = given.partition("=")
        if not stack or not file:
            problems.append(Problem("", "--preview", f"{given!r} is not STACK=FILE"))
        elif stack in seen:
            problems.append(Problem("", "--preview", f"{stack} is given twice"))
        else:
            seen.add(stack)
            try:
                previews[stack] = read(stack, file, (arguments.root / file).read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                problems.append(Problem(file, "", f"cannot be read: {error}"))
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(problems)
    text = comment.render(list(previews.values()))
    return Answer(document={"marker": comment.MARKER, "comment": text}, text=text.rstrip("\n"))
