"""The rules of the comparison that its form alone does not keep. Every breach is a problem with file and key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from cohost.errors import Problem
from scripts.comparison.figures import Known
from scripts.comparison.load import Comparison
from scripts.comparison.models import PLATFORMS, Cell, Kind, Reason, Theme
from scripts.comparison.text import references, stray_numbers

# 18 months; what is older needs a mark, so that somebody has looked whether there is something newer.
OLD_DAYS: Final = 548


def problems(comparison: Comparison, known: Mapping[str, Known], today: date) -> list[Problem]:
    """Returns every breach of the rules, sorted.

    Args:
        comparison: The data.
        known: Its figures, looked up.
        today: The day against which ages count.
    """
    found = [
        *_of_themes(comparison, known, today),
        *_of_conclusions(comparison),
        *_of_sources(comparison),
        *_of_names(comparison, known),
    ]
    return sorted(set(found))


def cell_sources(cell: Cell, known: Mapping[str, Known]) -> tuple[str, ...]:
    """Returns the sources of a cell: its own, then those of the figures that it names."""
    named = [source for name in references(_texts(cell)) if name in known for source in known[name].sources]
    return tuple(dict.fromkeys((*cell.sources, *named)))


def prose(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    """Yields what is no cell and no figure, each with its file and key; it may hold no number of its own."""
    for name, text in comparison.templates.items():
        yield f"templates/{name}.md", "", text
    for theme in comparison.themes:
        yield f"{theme.theme}.yaml", "about", theme.about
        for criterion in theme.criteria:
            yield f"{theme.theme}.yaml", criterion.id, criterion.title
    for key, reason in _reasons(comparison):
        yield "conclusions.yaml", key, reason.text
    for situation in comparison.conclusions.situations:
        yield "conclusions.yaml", situation.title, f"{situation.title} {situation.unless}"


def _texts(cell: Cell) -> str:
    return f"{cell.value} {cell.note or ''}"


def _cells(theme: Theme) -> Iterator[tuple[str, Cell]]:
    for criterion in theme.criteria:
        for platform, cell in criterion.cells.items():
            yield f"{criterion.id}.{platform}", cell


def _of_themes(comparison: Comparison, known: Mapping[str, Known], today: date) -> Iterator[Problem]:
    for theme in comparison.themes:
        file = f"{theme.theme}.yaml"
        for criterion in theme.criteria:
            if tuple(criterion.cells) != tuple(PLATFORMS):
                yield Problem(file, criterion.id, f"wants a cell for each of {', '.join(PLATFORMS)}, in this order")
        for key, cell in _cells(theme):
            for message in _of_cell(cell, known, today):
                yield Problem(file, key, message)


def _of_cell(cell: Cell, known: Mapping[str, Known], today: date) -> Iterator[str]:
    figures = [known[name] for name in references(cell.value) if name in known]
    kinds = {figure.kind for figure in figures}
    if not cell_sources(cell, known):
        yield "has no source"
    if cell.kind is not Kind.DOCUMENTED and stray_numbers(cell.value):
        yield f"a cell that is {cell.kind} states numbers by figures only: {', '.join(stray_numbers(cell.value))}"
    if Kind.ESTIMATED in kinds and cell.kind is not Kind.ESTIMATED:
        yield f"names an estimate and says {cell.kind}"
    if cell.kind is Kind.MEASURED and kinds != {Kind.MEASURED}:
        yield "says measured and names no measurement"
    oldest = min((figure.date for figure in figures), default=cell.date)
    if cell.date > oldest:
        yield f"is as old as its oldest figure: {oldest}"
    if cell.date > today:
        yield "is of a day to come"
    old = (today - cell.date).days > OLD_DAYS
    if old and not cell.old:
        yield f"is of {cell.date}: look for something newer, or mark it `old: true`"
    if cell.old and not old:
        yield "is marked old and is not"


def _of_conclusions(comparison: Comparison) -> Iterator[Problem]:
    rows = {f"{theme.theme}/{criterion.id}" for theme in comparison.themes for criterion in theme.criteria}
    cells = rows | {f"{row}/{platform}" for row in rows for platform in PLATFORMS}
    for key, reason in _reasons(comparison):
        for cell in reason.cells:
            if cell not in cells:
                yield Problem("conclusions.yaml", key, f"there is no cell {cell}")
    if tuple(comparison.conclusions.platforms) != tuple(PLATFORMS):
        yield Problem("conclusions.yaml", "platforms", f"wants {', '.join(PLATFORMS)}, in this order")
    for situation in comparison.conclusions.situations:
        for platform in set(situation.choose) - set(PLATFORMS):
            yield Problem("conclusions.yaml", situation.title, f"there is no platform {platform}")


def _of_sources(comparison: Comparison) -> Iterator[Problem]:
    listed = {source.id for source in comparison.sources}
    cells = [cell for theme in comparison.themes for _, cell in _cells(theme)]
    used = {source for cell in cells for source in cell.sources}
    used |= {source for figure in comparison.figures.values() for source in figure.sources}
    used |= {"prices"} if any(figure.price for figure in comparison.figures.values()) else set()
    for name in sorted(used - listed):
        yield Problem("sources.yaml", name, "is named and not listed")
    for name in sorted(listed - used):
        yield Problem("sources.yaml", name, "is listed and carries nothing")


def _of_names(comparison: Comparison, known: Mapping[str, Known]) -> Iterator[Problem]:
    texts = [*prose(comparison)]
    for file, key, text in texts:
        for number in stray_numbers(text):
            yield Problem(file, key, f"{number} stands in the text: make it a figure")
    for theme in comparison.themes:
        texts += [(f"{theme.theme}.yaml", key, _texts(cell)) for key, cell in _cells(theme)]
    for file, key, text in texts:
        for name in references(text):
            if name not in known:
                yield Problem(file, key, f"there is no figure {name}")
    named = {name for _, _, text in texts for name in references(text)}
    expressions = " ".join(figure.expression or "" for figure in comparison.figures.values())
    for name in comparison.figures:
        if name not in named and not re.search(rf"\b{name}\b", expressions):
            yield Problem("figures.yaml", name, "is named by nothing")


def _reasons(comparison: Comparison) -> Iterator[tuple[str, Reason]]:
    conclusions = comparison.conclusions
    for platform, balance in conclusions.platforms.items():
        for reason in (*balance.pros, *balance.cons):
            yield f"platforms.{platform}", reason
    for situation in conclusions.situations:
        for reason in situation.because:
            yield situation.title, reason
    for reason in conclusions.changes:
        yield "changes", reason
