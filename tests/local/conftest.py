"""Scratch projects whose emulators are ended with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.project import Project, scratch_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The whole project in a folder of its own."""
    made = scratch_project(tmp_path / "project")
    yield made
    _end(made)


@pytest.fixture
def small_project(tmp_path: Path) -> Iterator[Project]:
    """The project with a catalog of two models: quicker where the number of models does not matter."""
    made = scratch_project(tmp_path / "project", models=("digits", "iris"))
    yield made
    _end(made)


def _end(project: Project) -> None:
    stopped = project.cohost("local", "stop")
    assert stopped.code == 0, stopped.err
    assert project.processes() == [], "a process outlived `cohost local stop`"
