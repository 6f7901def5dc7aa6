"""How every step ends: 0 done, 1 it failed or the model is not good enough, 2 bad input; errors in a line each."""

from __future__ import annotations

import sys
from collections.abc import Callable

from cohost.errors import CohostError, InputError


def ending(step: Callable[[], None]) -> int:
    """Runs a step and returns the process's exit code."""
    try:
        step()
    except CohostError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0
