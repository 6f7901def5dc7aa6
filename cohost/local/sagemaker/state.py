"""What the control plane knows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cohost.local.tables import Tables

_TABLES: Final = ("models", "configs", "endpoints", "tags")


class State(Tables):
    """Tables by ARN: `models`, `configs`, `endpoints`, `tags`.

    A record is what the caller sent, with what the service adds.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file, if there is one."""
        super().__init__(path, _TABLES)
        self.models, self.configs, self.endpoints, self.tags = (self._tables[name] for name in _TABLES)
