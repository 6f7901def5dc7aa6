"""What `pulumi preview --json` prints: one digest, or with PULUMI_ENABLE_STREAMING_JSON_PREVIEW a stream of events.

Only the stream tells of policies: "At this point in time, we don't handle policy events in JSON serialization"
(pulumi/pulumi, pkg/backend/display/json.go, ShowPreviewDigest, version 3.260). Both print secrets as "[secret]" or
encrypted, and leave unchanged resources out of the digest unless it is made with --show-sames.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, Field

from cohost.engine import Event, Operation
from cohost.engine.values import masked
from cohost.local.pulumi_events import Recorder
from cohost.report.local import paired
from cohost.report.preview import OPERATIONS, Preview, Resource
from cohost.urns import name_of

_PROVIDER: Final = "pulumi:providers:"
# What the progress display colours text with where no colour was asked for.
_COLOUR: Final = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")


class _State(BaseModel):
    inputs: dict[str, Any] = {}


class _Step(BaseModel):
    op: str
    urn: str
    old: _State | None = Field(None, alias="oldState")
    new: _State | None = Field(None, alias="newState")
    reasons: list[str] | None = Field(None, alias="diffReasons")
    detailed: dict[str, Any] | None = Field(None, alias="detailedDiff")


class _Diagnostic(BaseModel):
    urn: str = ""
    message: str = ""
    severity: str = ""


class _Digest(BaseModel):
    """pulumi/pulumi, pkg/display/json.go, PreviewDigest."""

    steps: list[_Step] = []
    diagnostics: list[_Diagnostic] = []
    summary: dict[str, int] | None = Field(None, alias="changeSummary")


def from_digest(stack: str, document: dict[str, Any]) -> Preview:
    """Returns the preview that a digest tells of; without its policies, which a digest leaves out.

    Raises:
        ValidationError: It is no digest.
        ValueError: Nothing in it is a digest's.
    """
    if not document.keys() & {"steps", "diagnostics", "changeSummary"}:
        raise ValueError("has neither steps nor diagnostics")
    digest = _Digest.model_validate(document)
    resources = tuple(_resource(step) for step in digest.steps if step.op in OPERATIONS and not _is_provider(step.urn))
    unchanged = (digest.summary or {}).get("same", 0)
    errors = [_text(item) for item in digest.diagnostics if item.severity == "error"]
    if digest.summary is None and not errors:
        errors = ["the preview ended before it was done"]
    return Preview(
        stack,
        resources=resources,
        warnings=tuple(_text(item) for item in digest.diagnostics if item.severity == "warning"),
        error="\n".join(errors),
        complete=sum(resource.op == "same" for resource in resources) >= unchanged,
    )


def from_events(stack: str, lines: Iterable[str]) -> Preview:
    """Returns the preview that a stream of events tells of; lines between them are what the command said beside it.

    Raises:
        ValueError: There is no event among the lines.
        LookupError: An event lacks what every version had.
    """
    heard: list[Event] = []
    recorder = Recorder(Operation.PREVIEW, heard.append)
    summary: dict[str, Any] = {}
    said: list[str] = []
    known = False
    for line in filter(None, map(str.strip, lines)):
        if not line.startswith("{"):
            said.append(line)
            continue
        event = json.loads(line)
        known = known or "sequence" in event
        summary = event.get("summaryEvent") or summary
        recorder.take(event)
    if not known:
        raise ValueError("no event in it" if said else "it is empty")
    failed = summary.get("result") != "succeeded"
    warnings = [_said(event) for event in heard if event.severity == "warning" and not event.ephemeral]
    return Preview(
        stack,
        resources=paired(list(recorder.changes()), list(recorder.planned())),
        policies=recorder.policies() if summary.get("PolicyPacks") or recorder.policies() else None,
        warnings=tuple(dict.fromkeys(warnings)),
        error=_plain(recorder.error(int(failed), said) or ""),
    )


def _resource(step: _Step) -> Resource:
    kind = step.urn.split("::")[2].rpartition("$")[2]
    diff = tuple(step.detailed or step.reasons or ())
    before = masked(step.old.inputs) if step.old else None
    after = masked(step.new.inputs) if step.new and step.op != "delete" else None
    return Resource(step.urn, kind, step.op, diff, before, after)


def _is_provider(urn: str) -> bool:
    return urn.split("::")[2].rpartition("$")[2].startswith(_PROVIDER)


def _text(item: _Diagnostic) -> str:
    message = item.message.strip().removeprefix(f"{item.severity}: ")
    return _plain(f"{name_of(item.urn)}: {message}" if item.urn else message)


def _said(event: Event) -> str:
    return _plain(f"{name_of(event.urn)}: {event.message}" if event.urn else event.message)


def _plain(text: str) -> str:
    return _COLOUR.sub("", text)
