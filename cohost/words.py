"""Words for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

# Comparing takes time in the square of the length; what is longer is no slip of a finger.
_LONGEST: Final = 100


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`: did you mean "…"?` when one of the known words is close, otherwise nothing."""
    if len(word) > _LONGEST:
        return ""
    close = difflib.get_close_matches(word, [name for name in known if len(name) <= _LONGEST], n=1)
    return f': did you mean "{close[0]}"?' if close else ""


def shortened(text: str) -> str:
    """The text as a message can hold it: quoted, its middle left out when it is long."""
    return f'"{text}"' if len(text) <= _LONGEST else f'"{text[:60]}…{text[-20:]}"'
