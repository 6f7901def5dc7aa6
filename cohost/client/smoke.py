"""The smoke test of a model: a real request, and what must come back.

`smoke.json` holds `{request: {inputs: [tensor]}, expected: [tensor], tolerance}`, its tensors in the JSON
form of the V2 protocol. Optional, to show answers beside the truth: `answer` (the output that answers the
question), `truth` (what each row really is) and `labels` (names of class numbers).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cohost.client.tensors import BYTES, DATATYPES, Arrays, from_json
from cohost.errors import InputError, Problem

FILE: Final = "smoke.json"
DEFAULT_TOLERANCE: Final = 1e-4


@dataclass(frozen=True)
class Tensor:
    """A named tensor.

    Attributes:
        name: Its name.
        datatype: Its V2 datatype.
        array: Its values.
    """

    name: str
    datatype: str
    array: NDArray[Any]


@dataclass(frozen=True)
class SmokeTest:
    """A parsed `smoke.json`.

    Attributes:
        request: The inputs.
        expected: The outputs that must come back; others are not looked at.
        tolerance: How far floats may be off, relative and absolute alike.
        answer: The output that answers the question, or "".
        truth: What each row really is; may be empty.
        labels: Names of class numbers; may be empty.
    """

    request: tuple[Tensor, ...]
    expected: tuple[Tensor, ...]
    tolerance: float
    answer: str = ""
    truth: tuple[Any, ...] = ()
    labels: tuple[str, ...] = ()

    def inputs(self) -> dict[str, NDArray[Any]]:
        """The request as `Predictor.infer` takes it."""
        return {tensor.name: tensor.array for tensor in self.request}

    def check(self, outputs: Arrays) -> str | None:
        """What differs from the expected outputs, in one line; None = nothing."""
        differences = (_difference(tensor, outputs, self.tolerance) for tensor in self.expected)
        return next((difference for difference in differences if difference), None)

    def beside_truth(self, outputs: Arrays) -> list[tuple[str, str]]:
        """(answer, truth) of each row as text, labels in place of class numbers; empty without `truth`."""
        if self.answer not in outputs:
            return []
        answers = outputs[self.answer].reshape(-1).tolist()
        pairs = zip(answers, self.truth, strict=False)
        return [(self._text(answer), self._text(truth)) for answer, truth in pairs]

    def _text(self, value: Any) -> str:
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        if isinstance(value, int) and 0 <= value < len(self.labels):
            return self.labels[value]
        return f"{value:.4g}" if isinstance(value, float) else str(value)


def load(path: Path) -> SmokeTest:
    """Reads a `smoke.json`.

    Raises:
        InputError: It is missing, unreadable or malformed; with every problem.
    """
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from error


def parse(data: bytes, where: str) -> SmokeTest:
    """Parses a `smoke.json`.

    Args:
        data: The file's bytes.
        where: The file's name for the problems.

    Raises:
        InputError: It is malformed; with every problem.
    """
    try:
        document = json.loads(data)
    except ValueError as error:
        raise InputError([Problem(where, "", f"is not JSON: {error}")]) from error
    if not isinstance(document, dict):
        raise InputError([Problem(where, "", "must be an object with `request` and `expected`")])
    problems: list[Problem] = []
    request = document.get("request")
    inputs = request.get("inputs") if isinstance(request, dict) else None
    smoke = SmokeTest(
        request=_tensors(inputs, "request.inputs", where, problems),
        expected=_tensors(document.get("expected"), "expected", where, problems),
        tolerance=_tolerance(document.get("tolerance", DEFAULT_TOLERANCE), where, problems),
        answer=str(document.get("answer", "")),
        truth=_list(document, "truth", where, problems),
        labels=tuple(map(str, _list(document, "labels", where, problems))),
    )
    if problems:
        raise InputError(problems)
    return smoke


def _tensors(items: Any, key: str, where: str, problems: list[Problem]) -> tuple[Tensor, ...]:
    if not isinstance(items, list) or not items:
        problems.append(Problem(where, key, "must be a list of at least one tensor"))
        return ()
    found = [_tensor(item, f"{key}[{index}]", where, problems) for index, item in enumerate(items)]
    tensors = tuple(tensor for tensor in found if tensor is not None)
    names = [tensor.name for tensor in tensors]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems += [Problem(where, key, f"names {name!r} twice") for name in twice]
    return tensors


def _tensor(item: Any, key: str, where: str, problems: list[Problem]) -> Tensor | None:
    needed = ("name", "datatype", "shape", "data")
    missing = [name for name in needed if name not in item] if isinstance(item, dict) else needed
    if missing:
        problems.append(Problem(where, key, f"must be an object; it lacks {', '.join(missing)}"))
        return None
    kind, shape = item["datatype"], item["shape"]
    if not isinstance(kind, str) or kind not in DATATYPES:
        problems.append(
            Problem(where, f"{key}.datatype", f"is {kind!r}; must be one of {', '.join(sorted(DATATYPES))}")
        )
        return None
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        problems.append(Problem(where, f"{key}.shape", f"is {shape!r}; must be a list of sizes"))
        return None
    try:
        return Tensor(str(item["name"]), kind, from_json(kind, shape, item["data"]))
    except (ValueError, TypeError, OverflowError) as error:
        problems.append(Problem(where, f"{key}.data", f"does not fit {kind} {shape}: {error}"))
        return None


def _tolerance(value: Any, where: str, problems: list[Problem]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        problems.append(Problem(where, "tolerance", f"is {value!r}; must be a number of 0 or more"))
        return DEFAULT_TOLERANCE
    return float(value)


def _list(document: dict[str, Any], key: str, where: str, problems: list[Problem]) -> tuple[Any, ...]:
    value = document.get(key, [])
    if not isinstance(value, list):
        problems.append(Problem(where, key, f"is {value!r}; must be a list"))
        return ()
    return tuple(value)


def _difference(expected: Tensor, outputs: Arrays, tolerance: float) -> str | None:
    got = outputs.get(expected.name)
    if got is None:
        names = ", ".join(sorted(outputs)) or "none"
        return f"output {expected.name!r} is missing; there are: {names}"
    if got.shape != expected.array.shape:
        return f"output {expected.name!r} has shape {list(got.shape)}, expected {list(expected.array.shape)}"
    if expected.datatype == BYTES:
        equal = got == expected.array
    elif expected.array.dtype.kind == "f" and got.dtype.kind == "f":
        equal = np.isclose(got, expected.array, rtol=tolerance, atol=tolerance, equal_nan=True)
    elif got.dtype != expected.array.dtype:
        return f"output {expected.name!r} has type {got.dtype}, expected {expected.array.dtype}"
    else:
        equal = got == expected.array
    wrong = np.argwhere(~np.asarray(equal, bool))
    if not len(wrong):
        return None
    place = tuple(int(index) for index in wrong[0])
    where = f"{expected.name!r}{list(place)}" if place else repr(expected.name)
    values = f"is {got[place]}, expected {expected.array[place]}"
    more = f" and {len(wrong) - 1} more differ" if len(wrong) > 1 else ""
    return f"output {where} {values} (tolerance {tolerance:g}){more}"
