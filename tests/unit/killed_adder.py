"""Adds a model and is killed, with -9, at the n-th change of the file system: `python -m tests.unit.killed_adder …`.

Ends with 0 when there were fewer changes than that.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from cohost import add

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.copyfile", "shutil.copymode"}


def _changes(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        _, mode, flags = arguments
        return "w" in (mode or "") or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))
    return event in _CHANGES


if __name__ == "__main__":
    file, catalog, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        global left
        if _changes(event, arguments) and any(str(catalog.parent) in str(argument) for argument in arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    add.add(file, name="added", owner="a-team", catalog=catalog)
