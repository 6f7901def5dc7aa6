"""Property values between the wire and Python."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from cohost.provider.values import UNKNOWN, Properties, decode, encode, known
from tests.unit.plugin_process import UNKNOWN as SENTINEL
from tests.unit.plugin_process import secret, struct

_texts = st.text(max_size=20)
_leaves = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | _texts
_plain = st.recursive(_leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4))
_any = st.recursive(
    _leaves | st.just(UNKNOWN), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4)
)


def output(**members: Any) -> dict[str, Any]:
    return {"4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4", **members}


@given(st.dictionaries(_texts, _any, max_size=5))
def test_what_is_written_is_read_again(values: dict[str, Any]) -> None:
    assert decode(encode(values)) == Properties(values)


@given(st.dictionaries(_texts, _plain, max_size=5))
def test_plain_values_go_over_the_wire_as_json_does(values: dict[str, Any]) -> None:
    assert encode(values) == json_format.ParseDict(values, struct_pb2.Struct())


@given(st.dictionaries(_texts, _any, max_size=5), st.sets(_texts, max_size=3))
def test_a_secret_stays_one_and_its_value_is_seen_inside(values: dict[str, Any], secrets: set[str]) -> None:
    found = decode(encode(values, secrets))
    assert found == Properties(values, frozenset(secrets & values.keys()))


def test_a_secret_anywhere_inside_marks_the_property_that_holds_it() -> None:
    found = decode(struct({"models": {"digits": secret("a"), "iris": "b"}, "list": [1, [secret([])]], "open": 1}))
    assert found.values == {"models": {"digits": "a", "iris": "b"}, "list": [1, [[]]], "open": 1}
    assert found.secrets == {"models", "list"}


@pytest.mark.parametrize(
    ("wire", "value", "is_secret"),
    [
        (SENTINEL, UNKNOWN, False),
        (secret(SENTINEL), UNKNOWN, True),
        (output(), UNKNOWN, False),
        (output(value="a"), "a", False),
        (output(value="a", secret=True), "a", True),
        (output(secret=True), UNKNOWN, True),
    ],
)
def test_unknowns_secrets_and_outputs_are_told_apart(wire: Any, value: Any, is_secret: bool) -> None:
    found = decode(struct({"x": wire}))
    assert found.values["x"] == value
    assert found.secrets == ({"x"} if is_secret else set())


@given(_any)
def test_a_value_is_known_when_no_unknown_is_inside(value: Any) -> None:
    assert known(value) == ("UNKNOWN" not in repr(_without_texts(value)))


def _without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return [_without_texts(item) for item in value.values()]
    if isinstance(value, list):
        return [_without_texts(item) for item in value]
    return value if value is UNKNOWN else None
