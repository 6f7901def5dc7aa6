"""The end of a process that has work under way in the background."""

from __future__ import annotations

import threading


class EndingError(BaseException):
    """This process is ending: what is under way stays as recorded, and is no failure."""


class Ending:
    """Whether the process is ending; work asks before each step that would leave something behind."""

    def __init__(self) -> None:
        self._begun = threading.Event()

    def begin(self) -> None:
        """Says that it is, from now on."""
        self._begun.set()

    def begun(self) -> bool:
        """Tells whether it is."""
        return self._begun.is_set()

    def stay(self) -> None:
        """Goes no further when it is: what fails then fails for that reason alone.

        Raises:
            EndingError: It is ending.
        """
        if self._begun.is_set():
            raise EndingError

    def sleep(self, seconds: float) -> None:
        """Waits for some seconds, or until the end begins.

        Raises:
            EndingError: It is ending.
        """
        self._begun.wait(seconds)
        self.stay()
