"""What the service knows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cohost.local.tables import Tables

_TABLES: Final = ("models", "endpoints", "operations", "deployments")


class State(Tables):
    """Tables by full resource name; `deployments` holds whatever was ever given machines."""

    def __init__(self, path: Path) -> None:
        """Reads the file, if there is one."""
        super().__init__(path, _TABLES)
        self.models, self.endpoints, self.operations, self.deployments = (self._tables[name] for name in _TABLES)
