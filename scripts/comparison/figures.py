"""From figures to what stands in a text: looked up in prices and measurements, or calculated from other figures."""

from __future__ import annotations

import ast
import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from cohost.cost import prices
from cohost.errors import InputError, Problem
from scripts.comparison.load import ROOT
from scripts.comparison.models import Figure, Kind

_FILE: Final = "figures.yaml"
# The source that a price names: the files of prices, in which each has its own.
PRICES: Final = "prices"
_OPERATIONS: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Known:
    """A figure, looked up.

    Attributes:
        text: As it is written.
        number: Its amount; None where it is the text of a table.
        kind: How it is known.
        date: The day for which it holds.
        sources: Where it is from.
        how: Where it comes from, for a person who wants to follow it.
    """

    text: str
    number: float | None
    kind: Kind
    date: date
    sources: tuple[str, ...]
    how: str


class Faulty(Exception):
    """A figure that cannot be looked up; the message says why."""


def look_up(figures: Mapping[str, Figure], root: Path = ROOT) -> dict[str, Known]:
    """Returns every figure, looked up.

    Args:
        figures: The figures by name.
        root: Where the files of measurements are from.

    Raises:
        InputError: A figure has none or several origins, or its origin does not have it.
    """
    found: dict[str, Known] = {}
    problems: list[Problem] = []
    for name in figures:
        try:
            _known(name, figures, found, root, ())
        except Faulty as fault:
            problems.append(Problem(_FILE, name, str(fault)))
    if problems:
        raise InputError(problems)
    return found


def _known(
    name: str, figures: Mapping[str, Figure], found: dict[str, Known], root: Path, above: tuple[str, ...]
) -> Known:
    if name in found:
        return found[name]
    if name not in figures:
        raise Faulty(f"there is no figure {name}")
    if name in above:
        raise Faulty("is calculated from itself")
    figure = figures[name]
    origins = [origin for origin in (figure.value, figure.price, figure.expression, figure.file) if origin is not None]
    if len(origins) != 1:
        raise Faulty("wants exactly one of value, price, expression and file")
    if figure.price is not None:
        known = _priced(figure, figure.price)
    elif figure.expression is not None:
        known = _calculated(figure, figure.expression, lambda part: _known(part, figures, found, root, (*above, name)))
    else:
        known = _stated(figure, root)
    found[name] = known
    return known


def _priced(figure: Figure, where: str) -> Known:
    service, item, region = (part.strip() for part in where.split("/"))
    price = prices.known().find(service, item, region)
    if price is None:
        raise Faulty(f"there is no price {where} in cohost/cost/prices")
    kind = Kind.DOCUMENTED if price.sure in (prices.LISTED, prices.QUOTED) else Kind.ESTIMATED
    number = float(price.per_hour)
    how = f"price of {item} in {region}, {price.sure}: {price.source}"
    return Known(figure.format.format(number), number, kind, price.retrieved, (PRICES,), how)


def _calculated(figure: Figure, expression: str, part: Callable[[str], Known]) -> Known:
    parts: list[Known] = []

    def named(name: str) -> float:
        known = part(name)
        if known.number is None:
            raise Faulty(f"{name} is a text")
        parts.append(known)
        return known.number

    number = _value(ast.parse(expression, mode="eval").body, named)
    dates = [known.date for known in parts]
    if not dates:
        raise Faulty("its expression names no figure")
    sources = dict.fromkeys(source for known in parts for source in known.sources)
    return Known(figure.format.format(number), number, Kind.ESTIMATED, min(dates), tuple(sources), f"`{expression}`")


def _value(node: ast.expr, named: Callable[[str], float]) -> float:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left, named), _value(node.right, named))
    if isinstance(node, ast.Name):
        return named(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value)
    raise Faulty(f"cannot be calculated: {ast.unparse(node)}")


def _stated(figure: Figure, root: Path) -> Known:
    if figure.kind is None or figure.date is None or not figure.sources:
        raise Faulty("wants kind, date and sources")
    if figure.file is None:
        return Known(
            figure.format.format(figure.value),
            figure.value,
            figure.kind,
            figure.date,
            figure.sources,
            "as its source says",
        )
    content = (root / figure.file).read_text("utf-8") if (root / figure.file).is_file() else None
    if content is None:
        raise Faulty(f"there is no file {figure.file}")
    if figure.row is not None and figure.column is not None:
        text = _of_table(content, figure.row, figure.column)
        return Known(
            text, None, figure.kind, figure.date, figure.sources, f"{figure.file}: “{figure.row}”, {figure.column}"
        )
    number = _at(json.loads(content), figure.pointer or "")
    return Known(
        figure.format.format(number),
        number,
        figure.kind,
        figure.date,
        figure.sources,
        f"{figure.file}: {figure.pointer}",
    )


def _of_table(content: str, row: str, column: str) -> str:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in content.splitlines() if line.startswith("|")
    ]
    head = next((cells for cells in rows if column in cells), None)
    cells = next((cells for cells in rows if cells[0] == row), None)
    if head is None or cells is None:
        raise Faulty(f"the file has no row {row!r} with a column {column!r}")
    return cells[head.index(column)]


def _at(document: Any, pointer: str) -> float:
    for part in pointer.removeprefix("/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(key)] if isinstance(document, list) else document[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Faulty(f"the file has nothing at {pointer}") from None
    if isinstance(document, bool) or not isinstance(document, (int, float)):
        raise Faulty(f"there is no number at {pointer}")
    return float(document)
