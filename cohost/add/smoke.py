"""A smoke test for a model that nobody has written one for: made-up input, and what the model answers to it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cohost.add.run import Arrays, OnnxRun, Refused
from cohost.client.tensors import to_json
from cohost.onnx_signature import OnnxTensor

# GPUs from Ampere on multiply float32 matrices in TF32 (10 bits of mantissa) unless ONNX Runtime is told not:
# https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#use_tf32
TOLERANCE: Final = 1e-2
_NUDGE: Final = 1 + 2**-10
_ROWS: Final = 2
_SEEDS: Final = 8
# Above so many values one row is enough to ask for, and far above it the file is no longer one to read.
_FEW: Final = 100_000
_MANY: Final = 2_000_000
_NUMPY: Final = {"BOOL": "?", "FP16": "f2", "FP32": "f4", "FP64": "f8"}


class Unsteady(Refused):
    """The model answers the same input differently each time."""


@dataclass(frozen=True)
class Trial:
    """What a model was asked and what it answered, in the shapes that ONNX Runtime sees.

    Attributes:
        inputs: The arrays by name.
        outputs: The arrays by name.
        batched: Whether the first dimension is a batch, its rows answered independently of one another.
        note: Why it is not, where the signature alone looks as if it were; may be empty.
    """

    inputs: Arrays
    outputs: Arrays
    batched: bool
    note: str = ""

    def smoke_json(self) -> str:
        """The text of a `smoke.json`.

        Raises:
            Refused: It would be too large, or hold what JSON cannot.
        """
        values = sum(array.size for array in (*self.inputs.values(), *self.outputs.values()))
        if values > _MANY:
            raise Refused(f"input and answer have {values:,} values together; a smoke test has at most {_MANY:,}")
        for name, array in self.outputs.items():
            if not _is_finite(array):
                raise Refused(f'output "{name}" holds what is not a number, and JSON has no word for that')
        rows = ",\n  ".join(self._lines(self.inputs)), ",\n  ".join(self._lines(self.outputs))
        return (
            f'{{\n"request": {{"inputs": [\n  {rows[0]}\n]}},\n'
            f'"expected": [\n  {rows[1]}\n],\n"tolerance": {TOLERANCE}\n}}\n'
        )

    def _lines(self, arrays: Arrays) -> Iterable[str]:
        for name, array in arrays.items():
            yield json.dumps(to_json(name, array.reshape(self._shape(array))), ensure_ascii=False)

    def _shape(self, array: NDArray[Any]) -> Sequence[int]:
        """The shape that callers see: of a scalar, in a batch or alone, [1]."""
        return array.shape if array.ndim > self.batched else (*array.shape, 1)


def looks_batched(model: OnnxRun) -> bool:
    """Whether every tensor has an open first dimension."""
    return all(bool(tensor.shape) and tensor.shape[0] == -1 for tensor in (*model.inputs, *model.outputs))


def try_out(model: OnnxRun, given: Arrays | None = None) -> Trial:
    """Asks the model, with made-up input or what is given, and finds out whether it really batches.

    Made-up input is the same each time, and of some the first on which the model's answer hardly moves when the
    input does: an answer on the edge between two classes may come out as the other one on a GPU.

    Args:
        model: The model.
        given: Arrays by name, in the shapes that the model itself has; None = made-up ones.

    Raises:
        Refused: The model cannot be asked so.
        Unsteady: It answers the same input differently each time.
    """
    if looks_batched(model):
        try:
            inputs = given or _steady(model, batched=True)
            outputs = model.run(inputs)
            if _is_independent(model, inputs, outputs):
                return _small(model, _repeated(model, Trial(inputs, outputs, batched=True)))
            note = "its first dimension is open, but rows of one request change each other's answers: no batching"
        except Refused as error:
            note = f"its first dimension is open, but it does not take two rows at once: no batching ({error})"
    else:
        note = ""
    inputs = given or _steady(model, batched=False)
    return _repeated(model, Trial(inputs, model.run(inputs), batched=False, note=note))


def _repeated(model: OnnxRun, trial: Trial) -> Trial:
    if not _is_same(trial.outputs, model.run(trial.inputs)):
        raise Unsteady("it answers the same input differently each time, so no smoke test can tell right from wrong")
    return trial


def _small(model: OnnxRun, trial: Trial) -> Trial:
    if sum(array.size for array in (*trial.inputs.values(), *trial.outputs.values())) <= _FEW:
        return trial
    inputs = {name: array[:1] for name, array in trial.inputs.items()}
    return Trial(inputs, model.run(inputs), batched=True)


def _is_independent(model: OnnxRun, inputs: Arrays, outputs: Arrays) -> bool:
    """Whether each row is answered as if it had been asked alone: only then may Triton put requests together."""
    sizes = {len(array) if array.ndim else 0 for array in (*inputs.values(), *outputs.values())}
    if len(sizes) != 1:
        return False
    for row in range(sizes.pop()):
        alone = model.run({name: array[row : row + 1] for name, array in inputs.items()})
        if not _is_same({name: array[row : row + 1] for name, array in outputs.items()}, alone):
            return False
    return True


def _steady(model: OnnxRun, *, batched: bool) -> Arrays:
    candidates = [_made_up(model.inputs, seed, batched=batched) for seed in range(_SEEDS)]
    for inputs in candidates:
        outputs = model.run(inputs)
        moved = {name: _nudged(array) for name, array in inputs.items()}
        if all(_is_finite(array) for array in outputs.values()) and _is_same(outputs, model.run(moved)):
            return inputs
    return candidates[0]


def _made_up(tensors: Iterable[OnnxTensor], seed: int, *, batched: bool) -> dict[str, NDArray[Any]]:
    inputs: dict[str, NDArray[Any]] = {}
    for tensor in tensors:
        shape = [1 if length == -1 else length for length in tensor.shape or ()]
        rows = _ROWS if batched else 1
        index = np.arange(rows * math.prod(shape))
        # Each row begins elsewhere, so that no two are alike whatever their length.
        index += index // max(1, math.prod(shape)) + seed
        inputs[tensor.name] = _values(tensor.datatype or "", index).reshape([rows, *shape[1:]] if batched else shape)
    return inputs


def _values(datatype: str, index: NDArray[Any]) -> NDArray[Any]:
    if datatype == "BYTES":
        return np.array([f"text {number % 5}" for number in index.tolist()], object)
    if datatype == "BOOL":
        return index % 2 == 0
    if datatype in _NUMPY:
        return ((index * 7 % 11 + 1) / 10).astype(_NUMPY[datatype])
    # Whole numbers are often places in a table, and every table has a second row.
    return (index % 2).astype(datatype.lower())


def _nudged(array: NDArray[Any]) -> NDArray[Any]:
    return (array * _NUDGE).astype(array.dtype) if array.dtype.kind == "f" else array


def _is_finite(array: NDArray[Any]) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _is_same(one: Arrays, other: Mapping[str, NDArray[Any]]) -> bool:
    for name, array in one.items():
        if array.shape != other[name].shape:
            return False
        if array.dtype.kind == "f":
            if not np.allclose(array, other[name], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
                return False
        elif not np.array_equal(array, other[name]):
            return False
    return True
