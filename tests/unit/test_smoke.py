from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cohost.client import smoke
from cohost.errors import InputError

DOCUMENT: dict[str, Any] = {
    "request": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2], [3, 4]]}]},
    "expected": [
        {"name": "label", "datatype": "INT64", "shape": [2, 1], "data": [1, 0]},
        {"name": "score", "datatype": "FP32", "shape": [2], "data": [0.5, 100.0]},
        {"name": "word", "datatype": "BYTES", "shape": [2], "data": ["a", "ä"]},
    ],
    "tolerance": 0.01,
    "answer": "label",
    "truth": [1, 1],
    "labels": ["benign", "malignant"],
}


def parse(**changes: Any) -> smoke.SmokeTest:
    return smoke.parse(json.dumps({**DOCUMENT, **changes}).encode(), "smoke.json")


def good() -> dict[str, np.ndarray]:
    return {
        "label": np.array([[1], [0]]),
        "score": np.array([0.5, 100.0], np.float32),
        "word": np.array([b"a", "ä".encode()], object),
    }


def test_the_request_comes_as_arrays_of_its_datatypes() -> None:
    (array,) = parse().inputs().values()
    assert array.dtype == np.float32
    assert array.tolist() == [[1, 2], [3, 4]]


def test_outputs_within_the_tolerance_are_good_and_further_outputs_do_not_matter() -> None:
    close = {**good(), "score": np.array([0.505, 100.9], np.float32), "more": np.zeros(3)}
    assert parse().check(good()) is None
    assert parse().check(close) is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("score", np.array([0.6, 100.0], np.float32), "'score'[0] is 0.6"),
        ("score", np.array([0.5, np.nan], np.float32), "'score'[1] is nan"),
        ("score", np.array([[0.5, 100.0]], np.float32), "has shape [1, 2], expected [2]"),
        ("label", np.array([[1], [1]]), "'label'[1, 0] is 1, expected 0"),
        ("label", np.array([[1.0], [0.0]]), "has type float64, expected int64"),
        ("word", np.array([b"a", b"b"], object), "'word'[1]"),
    ],
)
def test_what_differs_is_named(name: str, value: np.ndarray, words: str) -> None:
    difference = parse().check({**good(), name: value})
    assert difference is not None
    assert words in difference


def test_a_missing_output_is_named_with_those_there_are() -> None:
    difference = parse().check({"score": good()["score"]})
    assert difference == "output 'label' is missing; there are: score"


def test_answers_stand_beside_the_truth_by_the_names_of_their_classes() -> None:
    assert parse().beside_truth(good()) == [("malignant", "malignant"), ("benign", "malignant")]
    words = parse(answer="word", truth=["a", "b"], labels=[])
    assert words.beside_truth(good()) == [("a", "a"), ("ä", "b")]
    assert parse(truth=[]).beside_truth(good()) == []


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"request": {}, "expected": []}, ["expected", "request.inputs"]),
        ({"request": {"inputs": [3, {"name": "x"}]}}, ["request.inputs[0]", "request.inputs[1]"]),
        ({"expected": [{**DOCUMENT["expected"][0], "datatype": "FP31"}]}, ["expected[0].datatype"]),
        ({"expected": [{**DOCUMENT["expected"][0], "datatype": ["FP32"]}]}, ["expected[0].datatype"]),
        ({"expected": [{**DOCUMENT["expected"][0], "shape": [3]}]}, ["expected[0].data"]),
        ({"expected": [{**DOCUMENT["expected"][0], "shape": [-1]}]}, ["expected[0].shape"]),
        ({"expected": [{**DOCUMENT["expected"][0], "data": ["one", "two"]}]}, ["expected[0].data"]),
        ({"expected": [DOCUMENT["expected"][0]] * 2}, ["expected"]),
        ({"tolerance": -1, "truth": 3}, ["tolerance", "truth"]),
        ({"tolerance": "much"}, ["tolerance"]),
    ],
)
def test_every_problem_is_named_with_its_key(changes: dict[str, Any], keys: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse(**changes)
    assert [problem.key for problem in caught.value.problems] == keys


def test_a_file_that_is_missing_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json"):
        smoke.load(tmp_path / "absent.json")
    (tmp_path / "smoke.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        smoke.load(tmp_path / "smoke.json")
    (tmp_path / "smoke.json").write_text("[]")
    with pytest.raises(InputError, match="must be an object"):
        smoke.load(tmp_path / "smoke.json")
