"""The catalog as YAML: read as plain texts, lists and mappings, whatever stands in the file.

Every scalar is the text that stands there (`no` is a name). Tags have no effect and merge keys are keys like any
other, so that the file means the same to everybody who reads it.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from cohost.errors import InputError, Problem
from cohost.folder import shown
from cohost.words import shortened

# A hundred times a catalog of 10,000 models.
_LARGEST: Final = 100 << 20
# Deeper than any catalog; libyaml itself takes time in the square of the depth, and its loader crashes.
_DEEPEST: Final = 16


def read(path: Path) -> bytes:
    """Reads the catalog's file.

    Raises:
        InputError: It is missing, no file, or cannot be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError([Problem(shown(path), "", "is not a file")])
        if found.st_size > _LARGEST:
            raise InputError([Problem(shown(path), "", f"has {found.st_size:,} bytes: that is no catalog")])
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError([Problem(shown(path), "", "does not exist: a catalog lists the models to deploy")]) from None
    except OSError as error:
        raise InputError([Problem(shown(path), "", f"cannot be read: {error.strerror}")]) from error


def parse(data: bytes, where: str) -> object:
    """Parses YAML into str, list and dict; None when nothing stands there.

    Args:
        data: The file's bytes.
        where: The file's name for the error.

    Raises:
        InputError: It is not YAML, or has a key twice.
    """
    try:
        return _build(yaml.parse(data, yaml.CBaseLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError([Problem(where, place, f"is not YAML: {error.problem}")]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError([Problem(where, "", f"is not YAML: {' '.join(str(error).split())}")]) from error


@dataclass
class _Open:
    """A list or mapping whose end has not come yet."""

    content: list[Any] | dict[str, Any]
    anchor: str | None
    key: str | None = field(default=None)

    def take(self, value: object, event: Any) -> None:
        if isinstance(self.content, list):
            self.content.append(value)
        elif self.key is not None:
            self.content[self.key] = value
            self.key = None
        elif not isinstance(value, str):
            raise _fault(event, "a key must be a text")
        elif value in self.content:
            raise _fault(event, f"{shortened(value)} stands twice")
        else:
            self.key = value


def _build(events: Iterable[Any]) -> object:
    # Over the events and not the nodes: a nest of brackets ends here, not on the C stack.
    document: object = None
    documents = 0
    opened: list[_Open] = []
    anchors: dict[str, object] = {}
    for event in events:
        kind = event.__class__
        if kind is yaml.ScalarEvent:
            value = event.value
            if event.anchor:
                anchors[event.anchor] = value
        elif kind in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
            if len(opened) == _DEEPEST:
                raise _fault(event, f"nested more than {_DEEPEST} deep")
            opened.append(_Open({} if kind is yaml.MappingStartEvent else [], event.anchor))
            continue
        elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            ended = opened.pop()
            value = ended.content
            if ended.anchor:
                anchors[ended.anchor] = value
        elif kind is yaml.AliasEvent:
            if event.anchor not in anchors:
                raise _fault(event, f"*{event.anchor} stands for nothing before it")
            value = anchors[event.anchor]
        else:
            documents += kind is yaml.DocumentStartEvent
            if documents > 1:
                raise _fault(event, "a second document; a catalog is one")
            continue
        if opened:
            opened[-1].take(value, event)
        else:
            document = value
    return document


def _fault(event: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
