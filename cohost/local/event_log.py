"""The log of a stack's last operation, what nobody needs to see while all goes well included."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cohost.engine import Event, Operation


@contextlib.contextmanager
def logged(file: Path, operation: Operation, on_event: Callable[[Event], None]) -> Iterator[Callable[[Event], None]]:
    """Yields a listener that hands events on and writes each to a file, which it begins anew."""
    begin = time.monotonic()
    with file.open("w", encoding="utf-8") as log:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {operation}", file=log)

        def listener(event: Event) -> None:
            name = event.urn.split("::", 3)[-1]
            what = event.severity if event.kind == "log" else f"{event.op} {event.status}"
            line = " ".join(part for part in (what, event.type, name, event.message) if part)
            print(f"{time.monotonic() - begin:8.2f} {line}", file=log, flush=True)
            on_event(event)

        yield listener
