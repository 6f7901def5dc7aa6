"""One run at a time on one state file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cohost.errors import CohostError


@contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Holds the lock beside a state file; the system frees it when the process ends, however it ends.

    Raises:
        CohostError: Another run holds it.
    """
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.with_name(state.name + ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise CohostError(f"another run (process {holder}) is changing this stack; wait for it to end") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            # Not left to closing: a process that is just being started may still hold a copy of the file.
            fcntl.flock(file, fcntl.LOCK_UN)
