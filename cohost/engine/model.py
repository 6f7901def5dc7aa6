"""What a caller gives the embedded engine and gets back: plain values, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
class PolicyPack:
    """Rules that what a program registers is held to: a process that serves Pulumi's Analyzer protocol.

    Attributes:
        folder: Where the pack lies.
        launch: How to start it; its command is given the engine's address and the folder besides.
        config_file: Where `config` stands; None where there is none.
        config: What is set otherwise than the pack has it, by policy: properties by name, and `enforcementLevel`.
    """

    folder: Path
    launch: Launch
    config_file: Path | None = None
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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
        policies: What `up` and `preview` are held to; None for nothing.
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
    policies: PolicyPack | None = None


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
class Planned:
    """One resource as it is and as a preview's program wants it; providers aside.

    Attributes:
        urn: The resource.
        type: Its type token.
        before: Its inputs in the state; None when it is not there yet. Secrets are masked.
        after: Its inputs after an `up`, unknown values as `values.UNKNOWN`; None when it would be deleted.
    """

    urn: str
    type: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, order=True)
class PolicyResult:
    """What one policy has to say of one resource, or of the whole stack.

    Attributes:
        policy: The policy's name.
        level: "advisory" only says so, "mandatory" fails the operation, "remediate" has changed the inputs.
        message: The policy's description and, below it, what is wrong; of a remediation the inputs that it changed.
        urn: The resource; the stack's own for the whole stack.
    """

    policy: str
    level: Literal["advisory", "mandatory", "remediate"]
    message: str
    urn: str


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
        planned: Of a preview: every resource before and after, unchanged ones too.
        policies: What the policies found, sorted.
    """

    operation: Operation
    summary: Mapping[str, int]
    changes: tuple[Change, ...]
    outputs: Mapping[str, Any]
    secret_outputs: frozenset[str]
    error: str | None
    duration_s: float
    pending: tuple[str, ...] = ()
    planned: tuple[Planned, ...] = ()
    policies: tuple[PolicyResult, ...] = ()


Listener = Callable[[Event], None]
