"""Adds an entry to the text of a catalog; everything else in it stays as its author has written it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from cohost import catalog_yaml
from cohost.errors import InputError, Problem

_PLAIN: Final = re.compile(r"[a-z][a-z0-9_-]*")
# YAML 1.1 and 1.2 editors show these as something else than a text.
_NOT_PLAIN: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_ENDS: Final = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
_STARTS: Final = (yaml.MappingStartEvent, yaml.SequenceStartEvent)


def with_entry(text: str, entry: Mapping[str, str], where: str) -> str:
    """The text of a catalog with one more entry at the end of its list, in the form of the last one.

    Args:
        text: A catalog; it may lack entries.
        entry: The new entry's keys and values.
        where: The file's name for the error.

    Raises:
        InputError: The text is not a catalog, or its form has no place for the entry; the message holds the entry.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    body = text.removeprefix(mark)
    before = catalog_yaml.parse(body.encode(), where)
    models = before.get("models") if isinstance(before, dict) else None
    found = _find(body)
    changed = _inserted(body, found, entry) if found else _begun(body, entry)
    if _parsed(changed, where) != {"models": [*(models or []), dict(entry)]}:
        raise InputError([Problem(where, "models", f"add this by hand, the form is unusual: - {{{_flow(entry)}}}")])
    return mark + changed


@dataclass(frozen=True)
class _List:
    """Where the list of models stands in the text.

    Attributes:
        start: Of the list, or of the place where it would stand.
        end: Its end.
        flow: Whether it is written in brackets.
        column: Of its dashes.
        items: (start, end of the last thing that stands in it, whether it is written in braces) of each entry.
    """

    start: int
    end: int
    flow: bool
    column: int
    items: tuple[tuple[int, int, bool], ...]


def _is(event: Any, *kinds: type) -> bool:
    return isinstance(event, kinds)


def _find(text: str) -> _List | None:
    events: list[Any] = list(yaml.parse(text, yaml.CBaseLoader))
    depth = 0
    for index, event in enumerate(events):
        if depth == 1 and _is(event, yaml.ScalarEvent) and event.value == "models":
            return _list(text, events, index + 1)
        depth += _is(event, *_STARTS) - _is(event, *_ENDS)
    return None


def _list(text: str, events: list[Any], at: int) -> _List | None:
    first = events[at]
    if _is(first, yaml.ScalarEvent):
        place = first.start_mark.index
        return _List(place, place, False, 2, ())
    if not _is(first, yaml.SequenceStartEvent):
        return None
    opened: list[Any] = []
    items: list[tuple[int, int, bool]] = []
    for event in events[at:]:
        if len(opened) == 1 and not _is(event, *_ENDS):
            items.append((event.start_mark.index, 0, _is(event, yaml.MappingStartEvent) and event.flow_style))
        if _is(event, *_STARTS):
            opened.append(event)
            continue
        # The end of what is written without brackets is only known by the next thing.
        real = opened.pop().flow_style if _is(event, *_ENDS) else True
        if not opened:
            return _List(
                first.start_mark.index, event.end_mark.index, first.flow_style, first.start_mark.column, tuple(items)
            )
        if real and items:
            start, _, flow = items[-1]
            items[-1] = (start, _end(event), flow)
    return None


def _end(event: Any) -> int:
    # A block of text (`|`) ends at the start of the line after it.
    block = _is(event, yaml.ScalarEvent) and event.style in ("|", ">")
    return event.end_mark.index - 1 if block and event.end_mark.column == 0 else event.end_mark.index


def _inserted(text: str, found: _List, entry: Mapping[str, str]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    if found.flow and found.items:
        start, end, _ = found.items[-1]
        line = text[text.rfind("\n", 0, start) + 1 : start]
        gap = " " if line.strip() else newline + line
        return f"{text[:end]},{gap}{{{_flow(entry)}}}{text[end:]}"
    if not found.items:
        text = text[: found.start].rstrip(" ") + text[found.end :]
        rows = _block(entry, 2)
        return _after_line(text, min(found.start, len(text)), rows, newline)
    indent = " " * found.column
    _, end, in_braces = found.items[-1]
    rows = [f"{indent}- {{{_flow(entry)}}}"] if in_braces else _block(entry, found.column)
    if len(found.items) > 1 and _is_blank_between(text, found):
        rows.insert(0, "")
    return _after_line(text, end, rows, newline)


def _is_blank_between(text: str, found: _List) -> bool:
    between = text[found.items[-2][1] : found.items[-1][0]]
    return any(not line.strip() for line in between.splitlines()[1:-1])


def _after_line(text: str, position: int, rows: list[str], newline: str) -> str:
    end = text.find("\n", position)
    added = newline.join(rows)
    if end < 0:
        return f"{text}{newline if text else ''}{added}{newline}"
    return f"{text[: end + 1]}{added}{newline}{text[end + 1 :]}"


def _begun(text: str, entry: Mapping[str, str]) -> str:
    """The text, which holds nothing but comments, with a list of the entry alone."""
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}models:\n" + "\n".join(_block(entry, 2)) + "\n"


def _block(entry: Mapping[str, str], column: int) -> list[str]:
    lines = [f"{key}: {_scalar(value)}" for key, value in entry.items()]
    return [" " * column + ("  " if index else "- ") + line for index, line in enumerate(lines)]


def _flow(entry: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {_scalar(value)}" for key, value in entry.items())


def _scalar(value: str) -> str:
    return value if _PLAIN.fullmatch(value) and value not in _NOT_PLAIN else f'"{value}"'


def _parsed(text: str, where: str) -> object:
    try:
        return catalog_yaml.parse(text.encode(), where)
    except InputError:
        return None
