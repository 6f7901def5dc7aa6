"""Checks of input properties, and the comparison of old with new."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohost.provider import properties
from cohost.provider.resource import Change
from cohost.provider.values import UNKNOWN

_maps = st.dictionaries(st.text(min_size=1, max_size=5), st.sampled_from(["1", "2", UNKNOWN]), max_size=6)
DIGEST = "ab" * 32


@given(_maps, _maps)
def test_one_path_for_each_entry_that_differs_and_no_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    changes = properties.compare({"models": old}, {"models": new}, fields=("models",))
    differing = {name for name in old | new if new.get(name) is UNKNOWN or old.get(name) != new.get(name)}
    assert changes.keys() == {properties.entry("models", name) for name in differing}
    for name in differing:
        kind = Change.ADD if name not in old else Change.DELETE if name not in new else Change.UPDATE
        assert changes[properties.entry("models", name)] is kind


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("digits", 'models["digits"]'),
        ("v1.0 [beta]", 'models["v1.0 [beta]"]'),
        ('say "x"', r'models["say \"x\""]'),
        ("back\\slash", 'models["back\\slash"]'),
        ("größe", 'models["größe"]'),
    ],
)
def test_an_entry_is_named_as_pulumi_writes_property_paths(name: str, path: str) -> None:
    assert properties.entry("models", name) == path


def test_a_property_that_cannot_change_replaces_and_one_that_is_unknown_may_change() -> None:
    old = {"store": "s3://a", "catalog": "x", "models": {}}
    new = {"store": "s3://b", "catalog": UNKNOWN, "models": {}}
    assert properties.compare(old, new, fields=("store", "catalog", "models"), replacing=("store",)) == {
        "store": Change.REPLACE,
        "catalog": Change.UPDATE,
    }


@pytest.mark.parametrize(
    ("validate", "good", "bad"),
    [
        (properties.text, ["a"], ["", 1, None, ["a"]]),
        (properties.flag, [True, False], [1, "true", None]),
        (properties.count, [1, 2.0], [0, 1.5, True, "1", float("inf"), float("nan")]),
        (properties.texts, [[], ["a", UNKNOWN]], ["a", [""], [1]]),
        (properties.digest, [DIGEST], [DIGEST.upper(), DIGEST[1:], 1, ""]),
        (properties.digests, [{"a": DIGEST}, {"a": UNKNOWN}], [{}, [], {"a": "b"}, {"a": None}]),
        (properties.store_url, ["s3://b", "s3://b/p/q"], ["s3://", "s3:///p", "s3://b/", "az://b", 1]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_field_takes_what_is_right_and_nothing_else(
    validate: properties.Validator, good: list[Any], bad: list[Any]
) -> None:
    assert [value for value in good if list(validate("x", value))] == []
    assert [value for value in bad if not list(validate("x", value))] == []


def test_every_problem_is_told_at_once_with_its_path() -> None:
    fields = {"region": properties.text, "models": properties.digests, "alarms": properties.texts}
    news = {"models": {"digits": "short", "iris": DIGEST}, "alarms": ["a", 2], "reigon": "x"}
    found = properties.problems(news, fields)
    assert [problem.key for problem in found] == ["region", 'models["digits"]', "alarms[1]", "reigon"]
