"""What a command hands back: its one JSON document and the same for a person to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The outcome of a command.

    Attributes:
        document: The JSON value that `--json` prints.
        text: What a person gets instead; may be empty.
        exit_code: 0 done, 1 the operation failed.
        error: Why it failed, a line for each cause; for standard error.
    """

    document: Any
    text: str = ""
    exit_code: int = 0
    error: str = ""


def table(rows: list[tuple[str, ...]]) -> str:
    """Lays rows out in columns, the first row being the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def size(count: int | None) -> str:
    """Returns a number of bytes for a person."""
    if count is None:
        return "-"
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
