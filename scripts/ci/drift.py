"""Drift: what was changed in the cloud and not by the program.

`python -m scripts.ci.drift look STACK --into FILE` asks the cloud and changes nothing: 0 also where there is drift,
which FILE tells of. `python -m scripts.ci.drift report FILE...` keeps the one issue about it: opened by the first
drift, brought up to date, closed when all stacks are as the program wants them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cohost.errors import CohostError
from cohost.report.markdown import code, fenced, table
from scripts.ci import pulumi
from scripts.ci.github import Repository

MARKER: Final = "<!-- cohost: drift -->"
TITLE: Final = "The cloud is not as the program wants it"
# pulumi/pulumi, pkg/cmd/pulumi/cmd/exit_codes.go, ExitNoChanges: --expect-no-changes found changes.
_CHANGES: Final = 7
_ROWS: Final = 100
_PATHS: Final = 8


def look(stack: str) -> dict[str, Any]:
    """Returns {stack, error, changes: [{title, op, diff}]}; `error` where it could not be found out."""
    done = pulumi.run("refresh", "--preview-only", "--expect-no-changes", "--json", "--stack", stack)
    found = pulumi.preview_of(stack, done)
    changes = [{"title": item.title, "op": item.op, "diff": list(item.diff)} for item in found.changes]
    failed = done.code not in (0, _CHANGES) or (done.code == _CHANGES and not changes)
    error = (found.error or f"pulumi refresh ended with exit code {done.code}") if failed else ""
    return {"stack": stack, "error": error, "changes": changes}


def _found(file: Path) -> dict[str, Any]:
    """What `look` has left; an error where its job ended before."""
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    return {"stack": file.stem, "error": "The job ended before it had an answer; its log says why.", "changes": []}


def text(found: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns the issue's text; None where nothing has drifted and nothing failed."""
    parts = [_part(item) for item in found if item["changes"] or item["error"]]
    if not parts:
        return None
    advice = (
        "Run `pulumi refresh` and `pulumi up` to bring the cloud back, or change the program to what is there. "
        "This issue is brought up to date by the next run, and closed when nothing differs."
    )
    return "\n\n".join([MARKER, advice, *parts]) + "\n"


def _part(item: Mapping[str, Any]) -> str:
    lines = [f"### {code(item['stack'])}"]
    if item["error"]:
        lines.append(f"Could not be found out:\n\n{fenced(item['error'])}")
    if item["changes"]:
        lines.append(table(["in the cloud", "resource", "properties"], item["changes"], _row, _ROWS))
    return "\n\n".join(lines)


def _row(change: Mapping[str, Any]) -> list[str]:
    return [change["op"], code(change["title"]), " ".join(map(code, change["diff"][:_PATHS]))]


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the arguments."""
    made = argparse.ArgumentParser(description=__doc__)
    commands = made.add_subparsers(required=True, dest="command")
    looking = commands.add_parser("look")
    looking.add_argument("stack")
    looking.add_argument("--into", type=Path, required=True, metavar="FILE")
    commands.add_parser("report").add_argument("files", type=Path, nargs="+", metavar="FILE")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Looks or reports; 1 where a stack could not be looked at, or GitHub refuses."""
    given = parser().parse_args(arguments)
    if given.command == "look":
        found = look(given.stack)
        given.into.parent.mkdir(parents=True, exist_ok=True)
        given.into.write_text(json.dumps(found), encoding="utf-8")
        return 1 if found["error"] else 0
    try:
        found = [_found(file) for file in given.files]
        Repository.of_workflow().issue(MARKER, TITLE, text(found))
    except CohostError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
