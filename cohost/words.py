"""Words for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`: did you mean "…"?` when one of the known words is close, otherwise nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f': did you mean "{close[0]}"?' if close else ""
