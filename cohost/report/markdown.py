"""Markdown as GitHub renders it, of text that others wrote.

Foreign text stands in code alone: a code span or a fenced block, where nothing is markup, a link, a mention or an
issue's number (GitHub Flavored Markdown, "Code spans" and "Fenced code blocks"; GitHub turns names into mentions
everywhere but in code and links).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

_Item = TypeVar("_Item")
_RUN: Final = re.compile(r"`+")
# Line ends, controls, and what turns the direction of reading (Unicode's bidirectional formatting).
_BLANKED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_INVISIBLE: Final = re.compile(r"[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def code(text: str, limit: int = 160) -> str:
    """Returns text as a code span of one line, its middle left out when it is longer than `limit` characters."""
    line = _INVISIBLE.sub("", _BLANKED.sub(" ", text)).strip() or " "
    if len(line) > limit:
        line = f"{line[: limit - 30]}…{line[-29:]}"
    fence = "`" * (1 + max(map(len, _RUN.findall(line)), default=0))
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def fenced(text: str, limit: int = 4000) -> str:
    """Returns text as a fenced block, its end left out when it is longer than `limit` characters."""
    body = _INVISIBLE.sub("", _CONTROL.sub("", text.replace("\r\n", "\n"))).strip("\n")
    if len(body) > limit:
        body = f"{body[:limit].rstrip()}\n… {len(body) - limit} more characters"
    fence = "`" * max(3, 1 + max(map(len, _RUN.findall(body)), default=0))
    return f"{fence}text\n{body}\n{fence}"


def table(head: Sequence[str], items: Sequence[_Item], row: Callable[[_Item], Sequence[str]], limit: int) -> str:
    """Returns a table with a row for each item.

    Args:
        head: The finished cells of the first row.
        items: What to show.
        row: Gives the finished cells of an item.
        limit: How many items are shown; the rest is counted.
    """
    shown = [head, ["---"] * len(head), *map(row, items[:limit])]
    text = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in shown)
    return text if len(items) <= limit else f"{text}\n\n… and {len(items) - limit} more."


def details(summary: str, body: str) -> str:
    """Returns a part that opens on a click; `summary` is ours, not foreign text."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def alert(kind: str, lines: Iterable[str]) -> str:
    """Returns a coloured box: kind is NOTE, WARNING or CAUTION."""
    return "\n".join([f"> [!{kind}]", *(f"> {line}" for line in lines)])
