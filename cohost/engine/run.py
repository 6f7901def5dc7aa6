"""One operation on one stack, from lock to result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cohost.engine.model import Event, Listener, Operation, Result, Stack


def _ignore(event: Event) -> None:
    del event


def execute(
    stack: Stack,
    operation: Operation,
    *,
    on_event: Listener = _ignore,
    parallel: int = 16,
    refresh: bool = False,
) -> Result:
    """Runs one operation on a local stack; `on_event` is called from several threads, one at a time.

    A failed operation is a `Result` with `error`; only what could not begin raises.

    Raises:
        CohostError: Another run holds the state, or the state cannot be read with this passphrase.
    """
    raise NotImplementedError


def read_outputs(stack: Stack) -> tuple[Mapping[str, Any], frozenset[str]]:
    """The stack's outputs from its state, and the names of the secret ones; empty without a state.

    Raises:
        CohostError: The state cannot be read with this passphrase.
    """
    raise NotImplementedError
