"""A scratch project on the emulators, for measurements through the whole stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cohost.local import emulators, scratch

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def project() -> Iterator[Path]:
    """A copy of the project; its emulators are ended with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        copy = scratch.copy(ROOT, Path(folder) / "project")
        try:
            yield copy
        finally:
            emulators.stop(copy)


def cohost(root: Path, *arguments: str) -> Any:
    """The JSON document of a `cohost` command that succeeds."""
    environment = {**emulators.isolated(os.environ), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cohost.cli", *arguments, "--json"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)
