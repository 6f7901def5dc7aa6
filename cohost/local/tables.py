"""What an emulated service knows, kept in one JSON file so that it survives a kill at any moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cohost.local.process import read_json, write_atomically

Record = dict[str, Any]


class Tables:
    """Tables of records by name; a record holds only JSON values. What they are called is the subclass's matter."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        """Reads the file, if there is one.

        Args:
            path: The file.
            names: Its tables.

        Raises:
            ValueError: The file is not readable.
        """
        self._path = path
        self._lock = threading.RLock()
        found = read_json(path)
        self._tables: dict[str, dict[str, Record]] = {name: found.get(name, {}) for name in names}

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
            write_atomically(self._path, json.dumps(self._tables, indent=1).encode())
