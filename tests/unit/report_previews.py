"""Previews to report on: the recorded ones (tests/local/pull_request.py) and hand-made ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cohost.report.preview import Preview, Resource
from cohost.report.read import read

RECORDED = Path(__file__).with_name("previews")


def text(name: str) -> str:
    """A recorded output: answer-aws, digest-gcp, …"""
    return (RECORDED / f"{name}.json").read_text()


def recorded(name: str) -> Preview:
    """A recorded preview; its stack is what its name ends with."""
    return read(name.rpartition("-")[2], f"{name}.json", text(name))


def a_resource(
    kind: str,
    op: str = "same",
    *,
    name: str = "shared",
    diff: tuple[str, ...] = (),
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> Resource:
    """One resource of stack aws."""
    return Resource(f"urn:pulumi:aws::shared-endpoint::{kind}::{name}", kind, op, diff, before, after)
