"""Every command that a document shows, run as written and in its order in a copy of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT, blocks


def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    uv = shutil.which("uv") or str(ROOT / ".uv/bin/uv")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(uv).parent), os.environ["PATH"]]),
        # The copy uses the checkout's own environment as it is.
        "UV_PROJECT_ENVIRONMENT": str(ROOT / ".venv"),
        "UV_NO_SYNC": "1",
        "PYTHONPATH": str(cwd),
    }
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    for environment in (".venv", "policies/.venv"):
        (tmp_path / environment).symlink_to(ROOT / environment)
    yield tmp_path
    run("uv run cohost local stop", tmp_path)


RUN = [path for path in DOCUMENTS if any(not block.not_run for block in blocks(path))]


@pytest.mark.parametrize("document", RUN, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_document_work_as_written(document: Path, checkout: Path) -> None:
    for block in blocks(document):
        if block.not_run:
            continue
        for command in block.commands:
            done = run(command, checkout)
            assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
