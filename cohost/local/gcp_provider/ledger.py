"""What has no emulator of its own: records by type and id, in one small file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cohost import folder_lock

_FOLDER: Final = "provider"
_FILE: Final = "ledger.json"

Records = dict[str, dict[str, dict[str, Any]]]


class Ledger:
    """The records of a state folder; several processes may use it."""

    def __init__(self, folder: Path) -> None:
        """Opens nothing yet.

        Args:
            folder: The folder. Its lock may be an emulator's, so the records have a folder of their own in it.
        """
        self._folder = folder / _FOLDER

    def get(self, kind: str, identity: str) -> dict[str, Any] | None:
        """Returns a record; None when there is none."""
        return self._read().get(kind, {}).get(identity)

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Returns the records of a type by id."""
        return self._read().get(kind, {})

    def put(self, kind: str, identity: str, record: Mapping[str, Any]) -> None:
        """Keeps a record in place of an older one."""
        with self._changing() as records:
            records.setdefault(kind, {})[identity] = {**record}

    def remove(self, kind: str, identity: str) -> None:
        """Forgets a record; none there is no error."""
        with self._changing() as records:
            records.get(kind, {}).pop(identity, None)

    @contextmanager
    def _changing(self) -> Iterator[Records]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with folder_lock.held(self._folder):
            records = self._read()
            yield records
            # In two steps, so that a kill leaves the one state or the other.
            written = self._folder / f"{_FILE}.new"
            written.write_text(json.dumps(records, indent=1, sort_keys=True))
            written.replace(self._folder / _FILE)

    def _read(self) -> Records:
        try:
            return json.loads((self._folder / _FILE).read_text())
        except FileNotFoundError:
            return {}
