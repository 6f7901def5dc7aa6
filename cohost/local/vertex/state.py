"""What the service knows, kept in one JSON file so that it survives a kill at any moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cohost.local.process import read_json, write_atomically
from cohost.local.vertex.protos import Record

_TABLES: Final = ("models", "endpoints", "operations", "deployments")


class State:
    """Tables of records by full resource name; `deployments` holds whatever was ever given machines."""

    def __init__(self, path: Path) -> None:
        """Reads the file, if there is one."""
        self._path = path
        self._lock = threading.RLock()
        found = read_json(path)
        self.models, self.endpoints, self.operations, self.deployments = (
            dict[str, Record](found.get(table, {})) for table in _TABLES
        )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Holds everybody else's changes off."""
        with self._lock:
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Makes the changes of its block one: on disk when it ends well, one thread at a time.

        What is checked in the block is checked before anything is changed: there is no way back.
        """
        with self._lock:
            yield
            tables = {table: getattr(self, table) for table in _TABLES}
            write_atomically(self._path, json.dumps(tables, indent=1).encode())
