"""The pages, as Markdown: a fixed text from `templates/`, then what the data says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from scripts.comparison.checks import cell_sources
from scripts.comparison.figures import Known
from scripts.comparison.load import DATA, ROOT, TEMPLATES, Comparison
from scripts.comparison.models import PLATFORMS, Cell, Reason, Situation, Source, Theme
from scripts.comparison.text import filled


def pages(comparison: Comparison, known: Mapping[str, Known]) -> dict[str, str]:
    """Returns the pages by file name.

    Args:
        comparison: The data, which keeps the rules of `scripts.comparison.checks`.
        known: Its figures, looked up.
    """
    page = _Page(comparison, known)
    bodies = {"index": page.tables(), "conclusions": page.conclusions(), "sources": page.sources()}
    made = "<!-- Made by `python -m scripts.comparison` of the YAML files in this folder: change those. -->\n"
    return {f"{name}.md": made + page.template(name) + "\n" + "\n".join(bodies[name]) + "\n" for name in TEMPLATES}


class _Page:
    def __init__(self, comparison: Comparison, known: Mapping[str, Known]) -> None:
        self._comparison = comparison
        self._known = known
        self._written = {name: figure.text for name, figure in known.items()}
        self._number = {source.id: number for number, source in enumerate(comparison.sources, 1)}
        self._source = {source.id: source for source in comparison.sources}
        self._titles = {
            f"{theme.theme}/{criterion.id}": f"[{theme.title}: {criterion.title}](index.md#{_anchor(theme)})"
            for theme in comparison.themes
            for criterion in theme.criteria
        }

    def template(self, name: str) -> str:
        return filled(self._comparison.templates[name], self._written)

    def tables(self) -> Iterator[str]:
        yield "## In short\n"
        rows = [
            (situation.title, f"**{_choice(situation)}**", filled(situation.because[0].text, self._written))
            for situation in self._comparison.conclusions.situations
        ]
        yield from _table(("situation", "platform", "because"), rows)
        yield "\nMore reasons, and what would make each another one: [conclusions](conclusions.md).\n"
        for theme in self._comparison.themes:
            yield f"## {theme.title}\n\n{filled(theme.about, self._written)}\n"
            yield from _table(
                ("", *PLATFORMS.values()),
                [
                    (f"**{criterion.title}**", *(self._cell(criterion.cells[platform]) for platform in PLATFORMS))
                    for criterion in theme.criteria
                ],
            )
            yield ""

    def conclusions(self) -> Iterator[str]:
        conclusions = self._comparison.conclusions
        yield "## In which situation, which platform\n"
        for situation in conclusions.situations:
            yield f"### {situation.title}\n\n**{_choice(situation)}.**\n"
            yield from map(self._reason, situation.because)
            yield f"\nNot so, if: {filled(situation.unless, self._written)}\n"
        yield "## Pros and cons\n"
        for platform, balance in conclusions.platforms.items():
            yield f"### {PLATFORMS[platform]}\n"
            yield from (self._reason(reason, "**+** ") for reason in balance.pros)
            yield from (self._reason(reason, "**−** ") for reason in balance.cons)
            yield ""
        yield "## What would change our mind\n"
        yield from map(self._reason, conclusions.changes)

    def sources(self) -> Iterator[str]:
        yield "## Sources\n"
        rows = [
            (
                str(self._number[source.id]),
                self._link(source, source.title),
                source.published.isoformat() if source.published else "not stated",
                source.retrieved.isoformat(),
                source.read or "",
            )
            for source in self._comparison.sources
        ]
        yield from _table(("", "title and address", "published", "read", "what was read"), rows)
        yield "\n## Figures\n\nThe numbers that the tables and the conclusions name, and where each comes from.\n"
        yield from _table(
            ("figure", "", "is", "how", "date", "from", "sources"),
            [self._figure(name, figure.about) for name, figure in self._comparison.figures.items()],
        )

    def _figure(self, name: str, about: str) -> Sequence[str]:
        known = self._known[name]
        origin = (known.kind.value, known.date.isoformat(), known.how, self._cited(known.sources))
        return (f"`{name}`", known.text, about, *origin)

    def _cell(self, cell: Cell) -> str:
        texts = [filled(text, self._written).removesuffix(".") for text in (cell.value, cell.note) if text]
        old = " (old)" if cell.old else ""
        cited = self._cited(cell_sources(cell, self._known))
        return f"{'. '.join(texts)}.<br>*{cell.kind.value}, {cell.date}*{old} {cited}"

    def _cited(self, sources: Sequence[str]) -> str:
        return " ".join(self._link(self._source[name], f"\\[{self._number[name]}\\]") for name in sources)

    def _link(self, source: Source, text: str) -> str:
        if "://" in source.address:
            return f"[{text}]({source.address})"
        return f"[{text}]({os.path.relpath(ROOT / source.address, DATA)})"

    def _reason(self, reason: Reason, mark: str = "") -> str:
        rows = dict.fromkeys("/".join(cell.split("/")[:2]) for cell in reason.cells)
        return f"- {mark}{filled(reason.text, self._written)} ({', '.join(self._titles[row] for row in rows)})"


def _choice(situation: Situation) -> str:
    first, *others = (PLATFORMS[platform] for platform in situation.choose)
    return " or ".join((first, *(name[0].lower() + name[1:] if name == "Self-hosted" else name for name in others)))


def _anchor(theme: Theme) -> str:
    return theme.title.lower().replace(",", "").replace(" ", "-")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
