"""The comment on a pull request: `python -m scripts.ci.comment FOLDER --stacks JSON [--pull-request NUMBER]`.

FOLDER holds what the previews left, `<stack>.json` each. The text goes into the job's summary, and with a number onto
that pull request, as its one comment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cohost.errors import CohostError, InputError
from cohost.report.comment import MARKER, render
from cohost.report.preview import Preview
from cohost.report.read import read
from scripts.ci.github import Repository


def previews(folder: Path, stacks: Sequence[str]) -> list[Preview]:
    """Returns a preview for each stack; a failed one where its job left nothing to read."""
    return [_preview(stack, folder / f"{stack}.json") for stack in stacks]


def _preview(stack: str, file: Path) -> Preview:
    try:
        return read(stack, file.name, file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Preview(stack, error="The job ended before there was a preview; its log says why.")
    except (UnicodeDecodeError, InputError) as error:
        return Preview(stack, error=f"The preview cannot be read: {error}")


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the arguments."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("folder", type=Path)
    made.add_argument("--stacks", type=json.loads, required=True, metavar="JSON", help="as in '[\"aws\"]'")
    made.add_argument("--pull-request", type=int, metavar="NUMBER")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Writes the summary and the comment; 1 where GitHub refuses."""
    given = parser().parse_args(arguments)
    text = render(previews(given.folder, given.stacks))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(text)
    try:
        if given.pull_request is not None:
            Repository.of_workflow().comment(given.pull_request, MARKER, text)
    except CohostError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
