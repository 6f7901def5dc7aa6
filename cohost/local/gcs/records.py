"""What survives the process: a row in SQLite for each bucket, policy, object version and upload; bytes as files.

SQLite's journal makes what one request changed appear together or not at all; without fsync, which only a crash
of the whole machine would need. A file of bytes is written whole before any row names it, and removed only after
the last row that named it is gone: a kill at any moment leaves at worst a file nobody names.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_SCHEMA: Final = """
PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;
CREATE TABLE IF NOT EXISTS records (kind, bucket, name, generation, record TEXT,
    PRIMARY KEY (kind, bucket, name, generation)) WITHOUT ROWID;
"""


class Records:
    """Rows of JSON by kind, bucket, name and generation; not thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Opens the database of a folder; makes both when missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(folder / "state.db", check_same_thread=False, isolation_level=None)
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Ends the use of the database."""
        self._database.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is changed in the block is kept whole or, if the process is killed in it, not at all."""
        self._database.execute("BEGIN")
        try:
            yield
        finally:
            self._database.execute("COMMIT")

    def read(self, kind: str) -> Iterator[tuple[str, str, str, Any]]:
        """Yields (bucket, name, generation, record) of every row of a kind."""
        rows = self._database.execute(
            "SELECT bucket, name, generation, record FROM records WHERE kind = ? ORDER BY bucket, name, generation",
            (kind,),
        )
        for bucket, name, generation, record in rows.fetchall():
            yield bucket, name, generation, json.loads(record)

    def put(self, kind: str, bucket: str, name: str, generation: str, record: Any) -> None:
        """Writes a row, over one that is there."""
        row = (kind, bucket, name, generation, json.dumps(record))
        self._database.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", row)

    def remove(self, kind: str, bucket: str, name: str = "", generation: str = "") -> None:
        """Removes a row; none there is no error."""
        self._database.execute(
            "DELETE FROM records WHERE kind = ? AND bucket = ? AND name = ? AND generation = ?",
            (kind, bucket, name, generation),
        )


class Bodies:
    """The bytes of objects, each content once: a copy within the store costs nothing."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder; makes it when missing."""
        self._folder = folder
        self._uses: Counter[str] = Counter()
        self._unneeded: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, content: bytes) -> str:
        """Stores bytes and returns their name; `use` it."""
        name = hashlib.sha256(content).hexdigest()
        if not (self._folder / name).exists():
            partial = self._folder / f"{name}.partial"
            partial.write_bytes(content)
            partial.replace(self._folder / name)
        return name

    def read(self, name: str) -> bytes:
        """Returns bytes by their name."""
        return (self._folder / name).read_bytes()

    def use(self, name: str) -> None:
        """Notes that one row more names these bytes."""
        self._uses[name] += 1

    def release(self, name: str) -> None:
        """Notes that one row less names these bytes."""
        self._uses[name] -= 1
        if not self._uses[name]:
            self._unneeded.add(name)

    def forget_unneeded(self) -> None:
        """Removes bytes that no row names any more; call it when the rows' end is recorded."""
        names, self._unneeded = self._unneeded, set()
        for name in names:
            if not self._uses[name]:
                del self._uses[name]
                (self._folder / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes every file that no row names: what a kill left behind."""
        for file in self._folder.iterdir():
            if not self._uses[file.name]:
                file.unlink(missing_ok=True)
