"""One operation in a process of its own, for who wants to kill it: `python -m tests.engine.operation VERB FOLDER N`."""

from __future__ import annotations

import sys
from pathlib import Path

from cohost.engine import Operation, execute
from tests.engine.workspace import Workspace


def main(verb: str, folder: str, parallel: str) -> int:
    result = execute(Workspace(Path(folder)).stack, Operation(verb), parallel=int(parallel))
    print(result.error or "done", *result.pending, sep="\n")
    return 1 if result.error else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
