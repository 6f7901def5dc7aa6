"""Workspaces whose processes are ended with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cohost.local import daemons
from tests.engine import workspace as workspaces
from tests.engine.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose provider is served by the test itself."""
    with workspaces.serving(tmp_path / "project") as made:
        yield made


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose provider is a process, as a stack's are; none of its processes may outlive the test."""
    made = workspaces.make(tmp_path / "project")
    yield made
    left = made.survivors()
    daemons.end(left, grace_seconds=0)
    assert not left, "a process outlived the engine"
