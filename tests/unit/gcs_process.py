"""The local Google Cloud Storage as a process of its own on the loopback interface."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class GcsProcess:
    """The running service.

    Attributes:
        folder: Its state.
        process: The process.
        url: Where it answers.
    """

    folder: Path
    process: subprocess.Popen[str]
    url: str

    @property
    def environment(self) -> dict[str, str]:
        """Where google-cloud-storage finds it, and a cache of its own for what Cloud Storage makes cohost note."""
        return {"STORAGE_EMULATOR_HOST": self.url, "XDG_CACHE_HOME": str(self.folder.parent / "cache")}


@contextlib.contextmanager
def local_gcs(folder: Path) -> Iterator[GcsProcess]:
    """Runs the service until the block ends."""
    command = [sys.executable, "-m", "cohost.local.gcs", "--state", str(folder), "--port", "0"]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield GcsProcess(folder, process, f"http://127.0.0.1:{ready['port']}")
        finally:
            process.terminate()
