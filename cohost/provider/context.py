"""What an operation on one resource may use: its log line, its deadline, its cancellation, its project."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from cohost.errors import CohostError
from cohost.provider.aws import Aws
from cohost.provider.google import Google

if TYPE_CHECKING:
    from cohost.store import ObjectStore

DEFAULT_TIMEOUT_S: Final = 3600.0
_STATUS_INTERVAL_S: Final = 0.2


class OperationCancelled(CohostError):
    """The engine asked to stop, or the operation's time is over."""


class Log(Protocol):
    """Where messages to the user go."""

    def __call__(self, severity: str, message: str, *, urn: str, ephemeral: bool) -> None:
        """Shows a message ("info" or "warning") on the line of the resource `urn`."""
        ...


@dataclass
class Context:
    """One operation on one resource.

    Attributes:
        urn: The resource.
        root: The project's folder, which holds Pulumi.yaml.
        aws: Clients of AWS.
        log: Where messages go.
        cancelled: Whether the engine asked to stop.
        deadline: On the monotonic clock, in seconds.
        preview: Whether nothing may change.
        gcp: Clients of Google Cloud.
    """

    urn: str
    root: Path
    aws: Aws
    log: Log
    cancelled: Callable[[], bool]
    deadline: float
    preview: bool = False
    gcp: Google = field(default_factory=Google)
    _last_status: float = field(default=0.0, repr=False)

    def store(self, url: str, region: str) -> ObjectStore:
        """The store of a URL, whichever cloud's it is."""
        return self.gcp.store(url) if url.startswith("gs://") else self.aws.store(url, region)

    def info(self, message: str) -> None:
        """Shows a message that stays."""
        self.log("info", message, urn=self.urn, ephemeral=False)

    def warning(self, message: str) -> None:
        """Shows a warning that stays."""
        self.log("warning", message, urn=self.urn, ephemeral=False)

    def status(self, message: str, *, last: bool = False) -> None:
        """Shows progress on the resource's line until the next message; a fast sequence is thinned out.

        Args:
            message: What is going on.
            last: Shown even when the one before has just been shown.
        """
        now = time.monotonic()
        if last or now - self._last_status >= _STATUS_INTERVAL_S:
            self._last_status = now
            self.log("info", message, urn=self.urn, ephemeral=True)

    def remaining(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    def stopped(self) -> bool:
        """Whether the operation must end: cancelled, or its time is over."""
        return self.cancelled() or self.remaining() <= 0

    def ensure_running(self, doing: str) -> None:
        """Ends the operation when it must end.

        Raises:
            OperationCancelled: With `doing` and the remedy.
        """
        if self.cancelled():
            raise OperationCancelled(f"cancelled while {doing}; the next `up` finishes it")
        if self.remaining() <= 0:
            raise OperationCancelled(
                f"the time for {doing} is over (customTimeouts of the resource); the next `up` goes on"
            )

    def polls(self, doing: str, *, first_s: float = 0.2, longest_s: float = 15.0) -> Iterator[int]:
        """Yields 0, 1, 2, … with a growing pause between, until the caller breaks off.

        Args:
            doing: What is waited for, for the message when time is over.
            first_s: The first pause in seconds; each is a quarter longer than the one before.
            longest_s: The longest pause in seconds.

        Raises:
            OperationCancelled: The operation must end.
        """
        pause, count = first_s, 0
        while True:
            self.ensure_running(doing)
            yield count
            self.pause(pause)
            pause, count = min(pause * 1.25, longest_s), count + 1

    def pause(self, seconds: float) -> None:
        """Sleeps, but wakes within a fraction of a second when the operation must end."""
        end = time.monotonic() + seconds
        while not self.stopped() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
