"""Calls that may begin too soon: after an API was enabled, or a service agent was granted something."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

from cohost.provider.context import Context
from cohost.provider.google_errors import GoogleError, words

Answer = TypeVar("Answer")

# cloud.google.com/iam/docs/access-change-propagation: typically 2 minutes, potentially 7 or more.
_PROPAGATION_S: Final = 420.0


def patiently(context: Context, doing: str, call: Callable[[], Answer]) -> Answer:
    """Makes a call that may begin too soon after an API was enabled or a service agent was granted something.

    Args:
        context: The operation.
        doing: As of `words`.
        call: The call; it is made again only when it certainly changed nothing.

    Raises:
        GoogleError: Refused for another reason, or for minutes.
        OperationCancelled: The operation must end first.
    """
    since = monotonic()
    for _ in context.polls(doing, first_s=1.0):
        try:
            with words(doing):
                return call()
        except GoogleError as error:
            if not error.failure.passing or monotonic() - since > _PROPAGATION_S:
                raise
            context.status(f"not in effect yet, trying again: {error.failure.message}", last=True)
    raise AssertionError("polls ends by an exception only")
