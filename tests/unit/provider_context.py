"""The context of an operation of the plugin, for tests of its parts inside this process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from cohost.provider.aws import Aws
from cohost.provider.context import Context


@dataclass
class Operation:
    """One operation: what it says, and how it is ended."""

    root: Path = Path()
    seconds: float = 60.0
    said: list[str] = field(default_factory=list)
    cancelled: bool = False

    def context(self) -> Context:
        return Context(
            urn="urn:pulumi:test::shared-endpoint::cohost:index:Test::test",
            root=self.root,
            aws=Aws(),
            log=self._log,
            cancelled=lambda: self.cancelled,
            deadline=time.monotonic() + self.seconds,
        )

    def _log(self, severity: str, message: str, *, urn: str, ephemeral: bool) -> None:
        self.said.append(message)
