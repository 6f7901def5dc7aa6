"""Live progress of an operation: redrawn lines in a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TextIO

from cohost.engine import Event
from cohost.urns import name_of, short_type

_REDRAW_SECONDS: Final = 0.2
_STACK: Final = "pulumi:pulumi:Stack"
_DOING: Final = {
    "create": "creating",
    "update": "updating",
    "replace": "replacing",
    "delete": "deleting",
    "refresh": "refreshing",
    "import": "importing",
    "discard": "discarding",
}
_DONE: Final = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "refresh": "refreshed",
    "import": "imported",
    "discard": "discarded",
}
MARKS: Final = {"create": "+", "update": "~", "replace": "±", "delete": "-", "refresh": "~", "import": "="}
_COLORS: Final = {"+": "32", "~": "33", "±": "33", "-": "31", "!": "31"}


@contextlib.contextmanager
def progress(stream: TextIO | None = None, *, preview: bool = False) -> Iterator[Callable[[Event], None]]:
    """Shows the events it is given until the block ends.

    Args:
        stream: Where to; a terminal gets redrawn lines, anything else a line for each thing that happened.
        preview: Whether nothing really happens: then only what is logged shows, the result names the changes.

    Yields:
        What takes the events; may be called from any thread.
    """
    out = stream or sys.stdout
    if preview:
        yield _Plain(out, steps=False).take
        return
    if not out.isatty() or os.environ.get("TERM") == "dumb":
        yield _Plain(out).take
        return
    live = _Live(out)
    with live.running():
        yield live.take


class Warnings:
    """Passes events on, and keeps what the resources warn of.

    Attributes:
        seen: A text for each warning, begun with the resource's name; each once.
    """

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self.seen: list[str] = []

    def take(self, event: Event) -> None:
        """Takes the next event."""
        if event.kind == "log" and event.severity == "warning" and not event.ephemeral:
            text = f"{name_of(event.urn)}: {event.message}" if event.urn else event.message
            if text not in self.seen:
                self.seen.append(text)
        self._on_event(event)


@dataclass
class _Running:
    event: Event
    since: float
    message: str = ""


class _Plain:
    """A line for each step that began or ended, and for each message that is not replaced by the next."""

    def __init__(self, stream: TextIO, *, steps: bool = True) -> None:
        self._stream = stream
        self._steps = steps
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, event: Event) -> None:
        with self._lock:
            line = self._line(event)
            if line:
                print(line, file=self._stream, flush=True)

    def _line(self, event: Event) -> str | None:
        if event.kind == "log":
            return _log_line(event) if _shown(event) and not event.ephemeral else None
        if not self._steps or _uninteresting(event):
            return None
        if event.status == "started":
            self._since[event.urn] = time.monotonic()
            return f"    {_DOING[event.op]} {_subject(event)}" if _slow(event) else None
        return _ended_line(event, self._since.pop(event.urn, None))


class _Live:
    """Lines of what is done scroll by; below them a line for each resource that something happens to."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._running: dict[str, _Running] = {}
        self._above: list[str] = []
        self._drawn = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def take(self, event: Event) -> None:
        with self._lock:
            if event.kind == "log":
                self._log(event)
            elif not _uninteresting(event):
                self._step(event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        painter = threading.Thread(target=self._paint, daemon=True)
        painter.start()
        try:
            yield
        finally:
            self._ended.set()
            painter.join()
            with self._lock:
                self._running.clear()
                self._redraw()

    def _log(self, event: Event) -> None:
        if not _shown(event):
            return
        known = self._running.get(event.urn)
        if known:
            known.message = event.message.splitlines()[-1] if event.message else ""
        if not event.ephemeral:
            self._above.append(_colored(_log_line(event), "!" if event.severity == "error" else ""))

    def _step(self, event: Event) -> None:
        if event.status == "started":
            self._running[event.urn] = _Running(event, time.monotonic())
            return
        known = self._running.pop(event.urn, None)
        mark = "!" if event.status == "failed" else MARKS.get(event.op, "")
        self._above.append(_colored(_ended_line(event, known.since if known else None), mark))

    def _paint(self) -> None:
        while not self._ended.wait(_REDRAW_SECONDS):
            with self._lock:
                self._redraw()

    def _redraw(self) -> None:
        columns, rows = shutil.get_terminal_size()
        now = time.monotonic()
        live = [_running_line(item, now)[: columns - 1] for item in self._running.values()][: rows - 2]
        back = f"\x1b[{self._drawn}F" if self._drawn else ""
        self._stream.write(f"{back}\x1b[J" + "".join(f"{line}\n" for line in [*self._above, *live]))
        self._stream.flush()
        self._above.clear()
        self._drawn = len(live)


def _shown(event: Event) -> bool:
    """Errors stand together at the end of every command; what only helps to find a defect is in the log file."""
    return event.severity in ("info", "warning")


def _uninteresting(event: Event) -> bool:
    return event.type == _STACK or event.op not in _DOING


def _slow(event: Event) -> bool:
    """Components only group others: they take no time of their own."""
    return not event.type.startswith(("cohost:aws:", "cohost:gcp:"))


def _subject(event: Event) -> str:
    return f"{short_type(event.type)} {name_of(event.urn)}"


def _ended_line(event: Event, since: float | None) -> str:
    took = f" ({time.monotonic() - since:.1f} s)" if since is not None and _slow(event) else ""
    if event.status == "failed":
        return f"  ! {_DOING[event.op]} {_subject(event)} failed{took}"
    return f"  {MARKS.get(event.op, ' ')} {_DONE[event.op]} {_subject(event)}{took}"


def _running_line(item: _Running, now: float) -> str:
    doing, seconds = _DOING[item.event.op], now - item.since
    return f"    {doing} {_subject(item.event)}  {seconds:.0f} s  {item.message}".rstrip()


def _log_line(event: Event) -> str:
    about = f"{name_of(event.urn)}: " if event.urn else ""
    severity = f"{event.severity}: " if event.severity in ("warning", "error") else ""
    first, *rest = (event.message or "").splitlines() or [""]
    return "\n".join([f"    {about}{severity}{first}", *(f"      {line}" for line in rest)])


def _colored(text: str, mark: str) -> str:
    color = _COLORS.get(mark)
    return f"\x1b[{color}m{text}\x1b[0m" if color and not os.environ.get("NO_COLOR") else text
