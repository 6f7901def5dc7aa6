"""What a caller gives the embedded engine and gets back: plain values, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal


class Operation(StrEnum):
    """The four life-cycle operations of a stack."""

    UP = "up"
    PREVIEW = "preview"
    REFRESH = "refresh"
    DESTROY = "destroy"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start one provider process; its first line on standard output is the port it serves.

    Attributes:
        command: Program and arguments.
        cwd: Working directory.
        env: The whole environment of the process.
    """

    command: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A local stack.

    Attributes:
        project: The name in Pulumi.yaml.
        name: The stack's name.
        root: The folder of the program's `__main__.py`.
        config: Every configuration value by its full key ("aws:region"); secrets in plain text.
        secret_keys: Which of them are secret.
        providers: One launch for each package; a package without one is refused by name.
        state: The state file (JSON); its folder is made when missing.
        passphrase: What secrets in the state are encrypted with.
        environment: The whole environment of the program's process.
        organization: What `pulumi.get_organization()` answers.
    """

    project: str
    name: str
    root: Path
    config: Mapping[str, str]
    secret_keys: frozenset[str]
    providers: Mapping[str, Launch]
    state: Path
    passphrase: str
    environment: Mapping[str, str]
    organization: str = "organization"


@dataclass(frozen=True)
class Event:
    """Something a user watching the operation should see.

    Attributes:
        kind: A step on a resource, or a line of log.
        urn: The resource; empty for a log line of the whole stack.
        type: The resource's type token.
        op: create, update, replace, delete, same, refresh, import or discard; empty for a log line.
        status: "started", "done" or "failed"; empty for a log line.
        message: The text of a log line, or why a step failed.
        severity: debug, info, warning or error.
        ephemeral: Whether the line only shows until the next one of the same resource.
    """

    kind: Literal["resource", "log"]
    urn: str = ""
    type: str = ""
    op: str = ""
    status: Literal["started", "done", "failed", ""] = ""
    message: str = ""
    severity: Literal["debug", "info", "warning", "error"] = "info"
    ephemeral: bool = False


@dataclass(frozen=True)
class Change:
    """One resource that is not as before.

    Attributes:
        urn: The resource.
        type: Its type token.
        op: create, update, replace or delete.
        diff: The property paths that changed, as the provider names them (`models["digits"]`).
    """

    urn: str
    type: str
    op: str
    diff: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What an operation did.

    Attributes:
        operation: The operation.
        summary: Resources by outcome: create, update, replace, delete, same (always these five).
        changes: What changed, or in a preview would change.
        outputs: The stack's outputs, secrets in plain text; unknown ones of a preview are left out.
        secret_outputs: The names of those that must be masked.
        error: Why it failed, one line per cause; None when it succeeded.
        duration_s: Wall time in seconds.
        pending: Operations that a killed run left unfinished ("creating urn:…").
    """

    operation: Operation
    summary: Mapping[str, int]
    changes: tuple[Change, ...]
    outputs: Mapping[str, Any]
    secret_outputs: frozenset[str]
    error: str | None
    duration_s: float
    pending: tuple[str, ...] = ()


Listener = Callable[[Event], None]
