"""Checks of input properties, and the comparison of old with new, shared by the resources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from cohost.errors import Problem
from cohost.manifest import is_digest
from cohost.provider.resource import Change, Values
from cohost.provider.values import UNKNOWN

Validator = Callable[[str, Any], Iterator[Problem]]


def problems(news: Values, fields: Mapping[str, Validator]) -> Iterator[Problem]:
    """What is wrong with the inputs of a resource that has exactly these fields, all of them required."""
    for name, validate in fields.items():
        if news.get(name) is None:
            yield Problem("", name, "is missing")
        elif news[name] is not UNKNOWN:
            yield from validate(name, news[name])
    for name in sorted(set(news) - set(fields)):
        yield Problem("", name, f"there is no such property; there are: {', '.join(fields)}")


def text(path: str, value: Any) -> Iterator[Problem]:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        yield Problem("", path, f"is {value!r}; a text is expected")


def flag(path: str, value: Any) -> Iterator[Problem]:
    """True or False."""
    if not isinstance(value, bool):
        yield Problem("", path, f"is {value!r}; true or false is expected")


def count(path: str, value: Any) -> Iterator[Problem]:
    """A whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer() or value < 1:
        yield Problem("", path, f"is {value!r}; a whole number from 1 is expected")


def texts(path: str, value: Any) -> Iterator[Problem]:
    """A list of texts."""
    if not isinstance(value, list):
        yield Problem("", path, f"is {value!r}; a list is expected")
        return
    for index, item in enumerate(value):
        if item is not UNKNOWN:
            yield from text(f"{path}[{index}]", item)


def digest(path: str, value: Any) -> Iterator[Problem]:
    """A SHA-256."""
    if not isinstance(value, str) or not is_digest(value):
        yield Problem("", path, f"is {value!r}; 64 lowercase hex digits are expected")


def digests(path: str, value: Any) -> Iterator[Problem]:
    """A digest by model name, at least one."""
    if not isinstance(value, Mapping) or not value:
        yield Problem("", path, "at least one model is expected, as {name: digest}")
        return
    for name, item in value.items():
        if item is not UNKNOWN:
            yield from digest(entry(path, name), item)


def store_url(path: str, value: Any) -> Iterator[Problem]:
    """The URL of a store."""
    scheme, found, place = value.partition("://") if isinstance(value, str) else ("", "", "")
    if scheme not in ("s3", "gs") or not found or not place.strip("/") or place.startswith("/") or place.endswith("/"):
        message = f"is {value!r}; s3:// or gs://<bucket>/<prefix> without a final slash is expected"
        yield Problem("", path, message)


def entry(path: str, name: str) -> str:
    """The property path of an entry of a map: `models["digits"]`.

    A quote inside is the one thing that is escaped (pulumi/pulumi, sdk/go/common/resource/property_path.go).
    """
    return path + '["' + name.replace('"', '\\"') + '"]'


def compare(
    outputs: Values, news: Values, *, fields: Collection[str], replacing: Collection[str] = ()
) -> dict[str, Change]:
    """What differs, by property path; maps are compared entry by entry.

    Args:
        outputs: What is.
        news: What shall be, some perhaps UNKNOWN.
        fields: The properties to look at.
        replacing: Those that cannot be changed in place.
    """
    changes: dict[str, Change] = {}
    for name in fields:
        old, new = outputs.get(name), news.get(name)
        if isinstance(new, Mapping) and isinstance(old, Mapping):
            changes |= _compare_maps(name, old, new)
        elif new is UNKNOWN or old != new:
            changes[name] = Change.REPLACE if name in replacing else Change.UPDATE
    return changes


def _compare_maps(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Change]]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield entry(path, name), Change.ADD
        elif name not in new:
            yield entry(path, name), Change.DELETE
        elif new[name] is UNKNOWN or old[name] != new[name]:
            yield entry(path, name), Change.UPDATE
