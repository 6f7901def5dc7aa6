"""What the documents show: their `console` blocks and their links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```console\n(?P<body>.*?)```", re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One `console` block: its `$` commands, and why it is not run, if it is not."""

    document: Path
    commands: tuple[str, ...]
    not_run: str | None


def blocks(document: Path) -> list[Block]:
    """The console blocks of a document, in order."""
    found = []
    for match in _BLOCK.finditer(document.read_text()):
        lines = [line[2:].strip() for line in match["body"].splitlines() if line.startswith("$ ")]
        found.append(Block(document, tuple(lines), match["reason"] and match["reason"].strip()))
    return found


def relative_links(document: Path) -> list[str]:
    """Targets of the links of a document that lead to a file of the repository."""
    targets = (match["target"] for match in _LINK.finditer(document.read_text()))
    return [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
