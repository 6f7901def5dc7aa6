"""What the documents show: their `console` and `python` blocks, their links, their headings, their tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "bootstrap/README.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))

_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_CONSOLE = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```console\n(?P<body>.*?)```", re.DOTALL)
_PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One `console` block: its `$` commands, and why it is not run, if it is not."""

    document: Path
    commands: tuple[str, ...]
    not_run: str | None


def blocks(document: Path) -> list[Block]:
    """The console blocks of a document, in order."""
    found = []
    for match in _CONSOLE.finditer(document.read_text()):
        lines = [line[2:].strip() for line in match["body"].splitlines() if line.startswith("$ ")]
        found.append(Block(document, tuple(lines), match["reason"] and match["reason"].strip()))
    return found


def python_blocks(document: Path) -> list[str]:
    """The Python that a document shows, in order."""
    return _PYTHON.findall(document.read_text())


def broken_links(document: Path) -> list[str]:
    """Links of a document to a file that is not in the repository, or to a heading that is not in the file."""
    targets = [match["target"] for match in _LINK.finditer(document.read_text())]
    return [target for target in targets if "://" not in target and not _leads_somewhere(document, target)]


def rows(document: Path) -> list[list[str]]:
    """The cells of every row of a document's tables, heads and rules left out."""
    lines = [line for line in document.read_text().splitlines() if line.startswith("|")]
    rules = {index for index, line in enumerate(lines) if set(line) <= set("|-: ")}
    body = [line for index, line in enumerate(lines) if index not in rules and index + 1 not in rules]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]


def _leads_somewhere(document: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = document.parent / name if name else document
    return file.exists() and (not anchor or anchor in _anchors(file))


def _anchors(document: Path) -> set[str]:
    """What the headings of a document are called in links, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
