"""What an operation tells its listener, and what it adds up to."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

from cohost.engine.model import Change, Event, Listener, PolicyResult
from cohost.engine.state import STACK_TYPE, ResourceState

Severity = Literal["debug", "info", "warning", "error"]

_COUNTED = ("create", "update", "replace", "delete", "same", "import")


def broken(result: PolicyResult) -> str:
    """Says which policy fails an operation, on which resource; what is wrong stands in the result itself."""
    kind, name = result.urn.split("::", 3)[2:]
    kind = kind.rpartition("$")[2]
    subject = "the stack" if kind == STACK_TYPE else f"{kind} {name}:"
    return f"{subject} breaks the mandatory policy {result.policy}"


class Reporter:
    """Passes events on, one at a time, and keeps the sums.

    Attributes:
        changes: What changed so far.
        errors: Why it failed so far, a line each.
        policies: What the policies found so far.
        broken: What the listener raised; it is not called again.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self.changes: list[Change] = []
        self.errors: list[str] = []
        self.policies: list[PolicyResult] = []
        self.broken: Exception | None = None
        self.root = ""

    def started(self, op: str, resource: ResourceState) -> None:
        """A step on a resource begins."""
        self._emit(Event("resource", resource.urn, resource.type, op, "started"))

    def done(self, op: str, resource: ResourceState, diff: tuple[str, ...] = ()) -> None:
        """A step on a resource has ended well."""
        with self._lock:
            if op in _COUNTED:
                self._counts[op] += 1
                if op != "same":
                    self.changes.append(Change(resource.urn, resource.type, op, diff))
        self._emit(Event("resource", resource.urn, resource.type, op, "done"))

    def failed(self, op: str, resource: ResourceState, message: str) -> None:
        """A step on a resource has failed."""
        with self._lock:
            self.errors.append(f"{resource.type} {resource.name}: {message}")
        self._emit(Event("resource", resource.urn, resource.type, op, "failed", message, "error"))

    def found(self, result: PolicyResult) -> None:
        """A policy has something to say; what breaks a mandatory one fails the operation."""
        severity, line = "debug", f"{result.level} policy {result.policy}: {result.message}"
        with self._lock:
            self.policies.append(result)
            cause = broken(result)
            if result.level == "mandatory" and cause not in self.errors:
                severity = "error"
                self.errors.append(cause)
        self.log(severity, line, result.urn)

    def error(self, message: str, urn: str = "") -> None:
        """Something failed that is no step."""
        with self._lock:
            self.errors.append(message)
        self.log("error", message, urn)

    def log(self, severity: Severity, message: str, urn: str = "", *, ephemeral: bool = False) -> None:
        """A line of text, of a resource or of the whole stack."""
        self._emit(Event("log", urn, message=message, severity=severity, ephemeral=ephemeral))

    def summary(self) -> dict[str, int]:
        """Resources by outcome; imports only where there were any."""
        with self._lock:
            shown = [op for op in _COUNTED if op != "import" or self._counts[op]]
            return {op: self._counts[op] for op in shown}

    def _emit(self, event: Event) -> None:
        with self._lock:
            if self.broken is None:
                try:
                    self._listener(event)
                except Exception as error:
                    # Who watches a deployment must not break it in the middle.
                    self.broken = error
