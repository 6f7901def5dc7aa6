"""What the control plane knows, kept in one JSON file so that it survives a kill at any moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cohost.local.process import read_json, write_atomically

Record = dict[str, Any]


class State:
    """Tables of records by ARN: `models`, `configs`, `endpoints`, `tags`.

    A record is what the caller sent, with what the service adds; only JSON values.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file, if there is one."""
        self._path = path
        self._lock = threading.RLock()
        found = read_json(path)
        self.models: dict[str, Record] = found.get("models", {})
        self.configs: dict[str, Record] = found.get("configs", {})
        self.endpoints: dict[str, Record] = found.get("endpoints", {})
        self.tags: dict[str, dict[str, str]] = found.get("tags", {})

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Holds everybody else's changes off."""
        with self._lock:
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Makes the changes of its block one: on disk when it ends well, one thread at a time."""
        with self._lock:
            yield
            tables = {
                "models": self.models,
                "configs": self.configs,
                "endpoints": self.endpoints,
                "tags": self.tags,
            }
            write_atomically(self._path, json.dumps(tables, indent=1).encode())
