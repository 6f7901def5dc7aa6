"""Whether a smoke test fits its model's signature, judged on its plain JSON before anything is deployed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from cohost.errors import Problem
from cohost.modelconfig import Signature, TensorSpec
from cohost.words import did_you_mean, shortened

_MAX_TOLERANCE: Final = 1.0
_INTEGER_BITS: Final = {
    "UINT8": 8,
    "UINT16": 16,
    "UINT32": 32,
    "UINT64": 64,
    "INT8": 7,
    "INT16": 15,
    "INT32": 31,
    "INT64": 63,
}
# Before each text of a binary tensor.
_LENGTH_BYTES: Final = 4
_MAX_DOUBLE: Final = 1.7e308
_MAX_LENGTH: Final = 1 << 32


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
    except (ValueError, RecursionError) as error:
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
    found += _truth(document, _names(expected))
    return [Problem(where, key, message) for key, message in found]


def request_bytes(data: bytes) -> int:
    """Returns how many bytes the tensors of a smoke test's request have when it is sent.

    The JSON header that is sent with them, a hundred bytes a tensor, is not counted; neither is a tensor that is none.

    Args:
        data: The bytes of `smoke.json`.
    """
    try:
        inputs = json.loads(data)["request"]["inputs"]
        return sum(_tensor_bytes(tensor) for tensor in inputs if isinstance(tensor, dict))
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0


def _tensor_bytes(tensor: dict[str, Any]) -> int:
    """Source: triton-inference-server/server, docs/protocol/extension_binary_data.md."""
    values, datatype = _flat(tensor.get("data")) or [], str(tensor.get("datatype"))
    if datatype == "BYTES":
        return sum(_LENGTH_BYTES + len(str(value).encode(errors="replace")) for value in values)
    bits = "".join(filter(str.isdecimal, datatype))
    return len(values) * (int(bits) // 8 if bits else 1)


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
            found.append((f"{at}.name", f"config.pbtxt has no such tensor {shortened(tensor['name'])}{hint}"))
            continue
        found += [(f"{at}.{part}", fault) for part, fault in _tensor(tensor, spec, max_batch_size)]
    twice = {name for name in _names(tensors) if _names(tensors).count(name) > 1}
    found += [(key, f"has {shortened(name)} twice") for name in sorted(twice)]
    return found or _batches(tensors, key, max_batch_size)


def _batches(tensors: Sequence[dict[str, Any]], key: str, max_batch_size: int) -> list[tuple[str, str]]:
    sizes = {tensor["shape"][0] for tensor in tensors} if max_batch_size else set()
    return (
        [(key, f"has batches of {' and '.join(map(str, sorted(sizes)))}: one size for all")] if len(sizes) > 1 else []
    )


def _tensor(tensor: dict[str, Any], spec: TensorSpec, max_batch_size: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if tensor.get("datatype") != spec.datatype:
        found.append(("datatype", f"must be {spec.datatype} as in config.pbtxt, not {_shown(tensor.get('datatype'))}"))
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n <= _MAX_LENGTH for n in shape):
        return [*found, ("shape", "must be a list of lengths")]
    expected = [-1, *spec.shape] if max_batch_size else [*spec.shape]
    if len(shape) != len(expected) or any(want not in (-1, have) for want, have in zip(expected, shape, strict=True)):
        return [*found, ("shape", f"{shape} does not fit {expected} of config.pbtxt (-1 = any length)")]
    if max_batch_size and not 1 <= shape[0] <= max_batch_size:
        found.append(("shape", f"a batch of {shape[0]} is not within 1 and max_batch_size {max_batch_size}"))
    return found + [("data", fault) for fault in _data(tensor.get("data"), spec.datatype, shape)]


def _data(data: object, datatype: str, shape: Sequence[int]) -> list[str]:
    values = _flat(data)
    if values is None:
        return ["must be a list of values, or lists of equal length within lists"]
    if len(values) != math.prod(shape):
        return [f"{len(values)} values where the shape {list(shape)} needs {math.prod(shape)}"]
    good = _is_good(datatype)
    bad = next((index for index, value in enumerate(values) if not good(value)), None)
    return [] if bad is None else [f"value {bad} is {_shown(values[bad])}: not a value of {datatype}"]


def _is_good(datatype: str) -> Callable[[Any], bool]:
    """What tells the JSON values of a datatype."""
    if datatype == "BOOL":
        return lambda value: type(value) is bool
    if datatype == "BYTES":
        return _is_text
    bits = _INTEGER_BITS.get(datatype)
    if bits is None:
        return lambda value: type(value) is float or (type(value) is int and abs(value) <= _MAX_DOUBLE)
    low = 0 if datatype.startswith("U") else -(1 << bits)
    return lambda value: type(value) is int and low <= value < 1 << bits


def _is_text(value: object) -> bool:
    # JSON can escape half of a surrogate pair, which no encoding carries.
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _truth(document: dict[str, Any], expected: Sequence[str]) -> list[tuple[str, str]]:
    """What is only for showing answers beside the truth."""
    found = [(key, "must be a list") for key in ("truth", "labels") if not isinstance(document.get(key, []), list)]
    answer = document.get("answer", "")
    if answer != "" and answer not in expected:
        found.append(("answer", f"must be the name of an expected output, not {_shown(answer)}"))
    return found


def _tolerance(value: object) -> list[tuple[str, str]]:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _MAX_TOLERANCE:
        return []
    return [("tolerance", f"must be a number from 0 to {_MAX_TOLERANCE:g}, not {_shown(value)}")]


def _names(tensors: object) -> list[str]:
    rows = tensors if isinstance(tensors, list) else []
    return [row["name"] for row in rows if isinstance(row, dict) and isinstance(row.get("name"), str)]


def _flat(data: object) -> list[Any] | None:
    """The values, out of the nested lists that the V2 protocol allows; None where they are no tensor."""
    while isinstance(data, list) and data and isinstance(data[0], list):
        if not all(isinstance(row, list) and len(row) == len(data[0]) for row in data):
            return None
        data = [value for row in data for value in row]
    if not isinstance(data, list) or any(isinstance(value, list) for value in data):
        return None
    return data


def _shown(value: object) -> str:
    if isinstance(value, str):
        return shortened(value)
    return {list: "a list", dict: "an object"}.get(type(value)) or shortened(json.dumps(value)).strip('"')
