"""What the real engine's event log says, in the words of the embedded engine.

The log holds one `apitype.EngineEvent` as JSON in each line (pulumi, sdk/go/common/apitype/events.go).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from cohost.engine import Change, Event, Operation, Planned, PolicyResult
from cohost.engine.policies import remediation
from cohost.engine.report import broken
from cohost.engine.values import changed_keys, masked

_STACK: Final = "pulumi:pulumi:Stack"
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SECRET: Final = "4dabf18193072939515e22adb298388d"
_PROVIDER: Final = "pulumi:providers:"
_CHANGES: Final = ("create", "update", "replace", "delete", "import")
# How the engine's steps read to a user; what is missing is bookkeeping.
_STEPS: Final = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "same": "same",
    "refresh": "refresh",
    "import": "import",
    "create-replacement": "replace",
    "delete-replaced": "discard",
    "discard": "discard",
}
_PREAMBLE: Final = re.compile(r"^\d+ errors? occurred:\s*\* ")
_PENDING: Final = re.compile(r"\* (urn:\S.*?), interrupted while (\w+)")


class Recorder:
    """Follows the events of one operation: hands them on, and keeps what its result needs."""

    def __init__(self, operation: Operation, on_event: Callable[[Event], None]) -> None:
        self._operation = operation
        self._on_event = on_event
        self._changes: dict[str, Change] = {}
        self._planned: dict[str, Planned] = {}
        self._policies: list[PolicyResult] = []
        self._counts: Counter[str] = Counter()
        self._errors: list[str] = []
        self._pending: list[str] = []
        self._outputs: Mapping[str, Any] = {}
        self._over = False

    def take(self, event: Mapping[str, Any]) -> None:
        """Takes one line of the log."""
        if "diagnosticEvent" in event:
            self._diagnostic(event["diagnosticEvent"])
        elif "resourcePreEvent" in event:
            self._step(event["resourcePreEvent"]["metadata"], "started")
        elif "resOutputsEvent" in event:
            metadata = event["resOutputsEvent"]["metadata"]
            self._step(metadata, "done")
            self._keep(metadata)
        elif "resOpFailedEvent" in event:
            self._step(event["resOpFailedEvent"]["metadata"], "failed")
        elif "policyEvent" in event:
            self._policy(event["policyEvent"])
        elif "policyRemediationEvent" in event:
            self._remediation(event["policyRemediationEvent"])
        elif "summaryEvent" in event:
            self._counts.update(event["summaryEvent"].get("resourceChanges") or {})
            self._over = True

    def summary(self) -> dict[str, int]:
        """Returns how many resources there were by outcome; imports only where there were any."""
        return {name: self._counts[name] for name in (*_CHANGES, "same") if name != "import" or self._counts[name]}

    def changes(self) -> tuple[Change, ...]:
        """Returns what changed, in order."""
        return tuple(self._changes.values())

    def planned(self) -> tuple[Planned, ...]:
        """Returns every resource of a preview before and after, in order."""
        return tuple(self._planned.values()) if self._operation is Operation.PREVIEW else ()

    def policies(self) -> tuple[PolicyResult, ...]:
        """Returns what the policies found, sorted."""
        return tuple(sorted(self._policies))

    def pending(self) -> tuple[str, ...]:
        """Returns the operations that an earlier, killed run left unfinished."""
        return tuple(dict.fromkeys(self._pending))

    def previewed_outputs(self) -> dict[str, Any]:
        """Returns the stack's outputs known in a preview, without unknown and secret ones."""
        return {name: value for name, value in self._outputs.items() if not _veiled(value)}

    def error(self, exit_code: int, said: Iterable[str]) -> str | None:
        """Returns why the operation failed, a line for each cause; None when it did not."""
        if exit_code == 0:
            return None
        causes = list(dict.fromkeys(self._errors))
        plain = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
        return "\n".join(causes or plain) or f"pulumi ended with exit code {exit_code}"

    def _diagnostic(self, diagnostic: Mapping[str, Any]) -> None:
        severity, urn = diagnostic["severity"], diagnostic.get("urn", "")
        message = diagnostic["message"].strip()
        # After a failure the engine interrupts the program, whose traceback of that says nothing to anybody.
        if severity == "debug" or not message or (self._over and severity.startswith("info")):
            return
        self._pending += [f"{doing} {found}" for found, doing in _PENDING.findall(message)]
        if severity == "error" and not _is_summary(message):
            self._errors.append(_cause(urn, message))
        level: Literal["info", "warning", "error"] = "info"
        if severity in ("warning", "error"):
            level = severity
        ephemeral = bool(diagnostic.get("ephemeral"))
        self._on_event(Event("log", urn=urn, message=message, severity=level, ephemeral=ephemeral))

    def _policy(self, found: Mapping[str, Any]) -> None:
        level: Literal["advisory", "mandatory"] = (
            "mandatory" if found["enforcementLevel"] == "mandatory" else "advisory"
        )
        result = PolicyResult(found["policyName"], level, found["message"].strip(), found["resourceUrn"])
        self._policies.append(result)
        if level == "mandatory":
            self._errors.append(broken(result))

    def _remediation(self, done: Mapping[str, Any]) -> None:
        message = remediation(changed_keys(done.get("before") or {}, done.get("after") or {}))
        self._policies.append(PolicyResult(done["policyName"], "remediate", message, done["resourceUrn"]))

    def _step(self, metadata: Mapping[str, Any], status: Literal["started", "done", "failed"]) -> None:
        op = _STEPS.get(metadata["op"])
        if op and not metadata["type"].startswith(_PROVIDER):
            self._on_event(Event("resource", metadata["urn"], metadata["type"], op, status))

    def _keep(self, metadata: Mapping[str, Any]) -> None:
        """Keeps a finished step that changed something."""
        op, kind = metadata["op"], metadata["type"]
        if kind == _STACK and metadata.get("new"):
            self._outputs = metadata["new"].get("outputs") or {}
        if op in (*_CHANGES, "same") and not kind.startswith(_PROVIDER):
            before, after = _inputs(metadata.get("old")), _inputs(metadata.get("new"))
            self._planned[metadata["urn"]] = Planned(metadata["urn"], kind, before, None if op == "delete" else after)
        # A replacement also has steps of its own for the new and the old one, which are no changes besides it.
        if op in _CHANGES and not kind.startswith(_PROVIDER):
            diff = tuple(sorted(metadata.get("detailedDiff") or metadata.get("diffs") or ()))
            self._changes[metadata["urn"]] = Change(urn=metadata["urn"], type=kind, op=op, diff=diff)


def _inputs(state: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if state is None else masked(state.get("inputs") or {})


def _cause(urn: str, message: str) -> str:
    """Names the resource as the embedded engine does, without the words the real one puts before a provider's."""
    text = _PREAMBLE.sub("", message)
    kind, name = urn.split("::")[2:4] if urn else (_STACK, "")
    return text if kind == _STACK else f"{kind.rpartition('$')[2]} {name}: {text}"


def _is_summary(message: str) -> bool:
    """Tells the engine's closing words from the causes before them."""
    return message in ("update failed", "preview failed", "resource creation failed", "destroy failed")


def _veiled(value: Any) -> bool:
    if isinstance(value, Mapping):
        return _SECRET in value or any(map(_veiled, value.values()))
    return any(map(_veiled, value)) if isinstance(value, list) else value == _UNKNOWN
