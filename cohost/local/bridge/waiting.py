"""Waiting for what the cloud does in its own time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from cohost.errors import DeploymentError

_POLL_SECONDS: Final = 0.25


def wait(finished: Callable[[], bool], *, cancelled: threading.Event, limit: float, what: str) -> None:
    """Asks again and again until something is finished.

    Args:
        finished: Asked a few times a second.
        cancelled: Set when the deployment is cancelled.
        limit: Seconds to wait.
        what: What is waited for, for the error message.

    Raises:
        DeploymentError: The time is up or the deployment was cancelled.
    """
    deadline = time.monotonic() + limit
    while not finished():
        if time.monotonic() > deadline:
            raise DeploymentError(f"{what}: timeout after {limit:g} s")
        if cancelled.wait(_POLL_SECONDS):
            raise DeploymentError(f"{what}: cancelled")
