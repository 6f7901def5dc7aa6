"""Whether a smoke test fits its model's signature, judged on its plain JSON before anything is deployed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

from cohost.errors import Problem
from cohost.modelconfig import Signature, TensorSpec
from cohost.words import did_you_mean

_MAX_TOLERANCE: Final = 1.0


def misfits(data: bytes, where: str, signature: Signature, optional: frozenset[str]) -> list[Problem]:
    """What keeps a smoke test from being sent to the model and compared with its answer.

    Args:
        data: The bytes of `smoke.json`.
        where: The file's name for the problems.
        signature: The model's.
        optional: Inputs that config.pbtxt marks as optional.
    """
    try:
        document = json.loads(data)
    except ValueError as error:
        return [Problem(where, "", f"is not JSON: {error}")]
    if not isinstance(document, dict) or not isinstance(document.get("request"), dict):
        return [Problem(where, "request", 'must be a V2 inference request: {"inputs": [...]}')]
    inputs, expected = document["request"].get("inputs"), document.get("expected")
    batched = signature.max_batch_size
    found = _tensors(inputs, "request.inputs", signature.inputs, batched)
    found += _tensors(expected, "expected", signature.outputs, batched)
    given = _names(inputs)
    for spec in signature.inputs:
        if isinstance(inputs, list) and spec.name not in given and spec.name not in optional:
            found.append(("request.inputs", f'lacks the input "{spec.name}"'))
    found += _tolerance(document.get("tolerance", 0))
    return [Problem(where, key, message) for key, message in found]


def _tensors(tensors: object, key: str, specs: Sequence[TensorSpec], max_batch_size: int) -> list[tuple[str, str]]:
    if not isinstance(tensors, list) or not tensors:
        return [(key, "must be a list of tensors, at least one")]
    by_name = {spec.name: spec for spec in specs}
    found: list[tuple[str, str]] = []
    for index, tensor in enumerate(tensors):
        at = f"{key}[{index}]"
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            found.append((at, "must be a tensor with name, datatype, shape and data"))
            continue
        spec = by_name.get(tensor["name"])
        if spec is None:
            hint = did_you_mean(tensor["name"], by_name)
            found.append((f"{at}.name", f'config.pbtxt has no such tensor "{tensor["name"]}"{hint}'))
            continue
        found += [(f"{at}.{part}", fault) for part, fault in _tensor(tensor, spec, max_batch_size)]
    twice = {name for name in _names(tensors) if _names(tensors).count(name) > 1}
    return found + [(key, f'has "{name}" twice') for name in sorted(twice)]


def _tensor(tensor: dict[str, Any], spec: TensorSpec, max_batch_size: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if tensor.get("datatype") != spec.datatype:
        found.append(("datatype", f"must be {spec.datatype} as in config.pbtxt, not {tensor.get('datatype')}"))
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        return [*found, ("shape", "must be a list of lengths")]
    expected = [-1, *spec.shape] if max_batch_size else [*spec.shape]
    fits = len(shape) == len(expected) and all(want in (-1, have) for want, have in zip(expected, shape, strict=True))
    if not fits:
        found.append(("shape", f"{shape} does not fit {expected} of config.pbtxt (-1 = any length)"))
    elif max_batch_size and not 1 <= shape[0] <= max_batch_size:
        found.append(("shape", f"a batch of {shape[0]} is not within 1 and max_batch_size {max_batch_size}"))
    count = _count(tensor.get("data"))
    if count != math.prod(shape):
        have = "no data" if count is None else f"{count} values"
        found.append(("data", f"{have} where the shape {shape} needs {math.prod(shape)}"))
    return found


def _tolerance(value: object) -> list[tuple[str, str]]:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _MAX_TOLERANCE:
        return []
    return [("tolerance", f"must be a number from 0 to {_MAX_TOLERANCE:g}, not {value!r}")]


def _names(tensors: object) -> list[str]:
    rows = tensors if isinstance(tensors, list) else []
    return [row["name"] for row in rows if isinstance(row, dict) and isinstance(row.get("name"), str)]


def _count(data: object) -> int | None:
    """The number of values, nested lists (which the V2 protocol allows) counted through."""
    if not isinstance(data, list):
        return None
    if not any(isinstance(value, list) for value in data):
        return len(data)
    return sum(_count(value) or 0 if isinstance(value, list) else 1 for value in data)
