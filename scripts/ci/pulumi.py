"""The `pulumi` command as the workflows run it: never asking, without colours, its events as JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cohost.report.preview import Preview
from cohost.report.read import read


@dataclass(frozen=True)
class Ran:
    """An ended command.

    Attributes:
        code: Its exit code.
        out: What it printed.
        err: What it printed to standard error, which has been passed on already.
    """

    code: int
    out: str
    err: str


def run(*arguments: str, root: Path | None = None) -> Ran:
    """Runs `pulumi` with these arguments; its standard error is shown as well."""
    environment = {
        **os.environ,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # The digest that `preview --json` prints otherwise leaves policies out.
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
    }
    command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    print(done.stderr, end="", file=sys.stderr)
    return Ran(done.returncode, done.stdout, done.stderr)


def document(done: Ran) -> str:
    """Returns what `cohost report pr` reads: the events, or the refusal where the command ended before the first."""
    if any(line.startswith("{") for line in done.out.splitlines()):
        return f"{done.out.rstrip()}\n{done.err}"
    said = (done.err or done.out).strip()
    return json.dumps({"error": said.removeprefix("error: ") or f"pulumi ended with exit code {done.code}"})


def preview_of(stack: str, done: Ran) -> Preview:
    """Returns what the command would do or did; a failed preview where it ended before the first event."""
    return read(stack, "pulumi", document(done))


def packs(folders: Sequence[Path]) -> list[str]:
    """Returns the arguments that hold a stack to policy packs."""
    return [argument for folder in folders for argument in ("--policy-pack", str(folder))]
