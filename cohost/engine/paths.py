"""Property paths as options name them: `a.b[0]["c d"].*`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Path = tuple[str | int, ...]

_PART = re.compile(r"""\.?(?:([^.\[\]"]+)|\[(\d+)\]|\[\*\]|\["((?:[^"\\]|\\.)*)"\])""")


def parse(text: str) -> Path:
    """The parts of a property path; "*" stands for every element.

    Raises:
        ValueError: The text is no property path.
    """
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is no property path (expected the form a.b[0])")
        name, index, quoted = match.groups()
        if index is not None:
            parts.append(int(index))
        elif quoted is not None:
            parts.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            parts.append(name or "*")
        position = match.end()
    return tuple(parts)


def contains(pattern: Path, path: Path) -> bool:
    """Whether `path` is what `pattern` names or lies inside it."""
    return len(pattern) <= len(path) and all(want in ("*", part) for want, part in zip(pattern, path, strict=False))


def any_contains(patterns: Iterable[str], path: str) -> bool:
    """Whether one of the patterns names `path` or something around it."""
    parsed = parse(path)
    return any(contains(parse(pattern), parsed) for pattern in patterns)


def reset(old: Any, new: Any, path: Path) -> Any:
    """A copy of `new` in which what `path` names is as in `old` (gone where `old` lacks it)."""
    head, *rest = path
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        keys = {*old, *new} if head == "*" else {str(head)}
        result = dict(new)
        for key in keys:
            if rest and key in old and key in new:
                result[key] = reset(old[key], new[key], tuple(rest))
            elif not rest and key in old:
                result[key] = old[key]
            elif not rest:
                result.pop(key, None)
        return result
    if isinstance(new, list) and isinstance(old, list):
        indices = range(len(new)) if head == "*" else [head]
        items = list(new)
        for index in indices:
            if isinstance(index, int) and index < min(len(old), len(items)):
                items[index] = reset(old[index], items[index], tuple(rest)) if rest else old[index]
        return items
    return new
