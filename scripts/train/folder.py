"""One trained model as a folder: ONNX files, Triton configurations and the smoke test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

MAX_BATCH_SIZE = 64
SMOKE_ROWS = 4
# GPUs from Ampere on multiply float32 matrices in TF32 (10 bits of mantissa) unless ONNX Runtime is told not:
# https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#use_tf32
TOLERANCE = 1e-2

# ONNX element type -> (Triton configuration type, V2 datatype).
_TYPES: dict[int, tuple[str, str]] = {
    onnx.TensorProto.FLOAT: ("TYPE_FP32", "FP32"),
    onnx.TensorProto.INT64: ("TYPE_INT64", "INT64"),
    onnx.TensorProto.UINT8: ("TYPE_UINT8", "UINT8"),
    onnx.TensorProto.STRING: ("TYPE_STRING", "BYTES"),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One ONNX model.

    Attributes:
        name: Its name in Triton.
        model: The ONNX model; the first axis of every tensor is the batch.
    """

    name: str
    model: onnx.ModelProto


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained model with the rows it has never seen.

    Attributes:
        name: The model's name in the catalog.
        owner: The team it belongs to.
        tags: Free tags of the catalog.
        steps: One step, or a chain in which each step's outputs are the next one's inputs, by name.
        inputs: Held-out rows.
        truth: What the rows really are, one value a row.
        labels: The names of the classes when `truth` holds class numbers, else empty.
        answer: The output that answers `truth`.
        metric: "accuracy" or "r2".
    """

    name: str
    owner: str
    tags: Mapping[str, str]
    steps: tuple[Step, ...]
    inputs: Arrays
    truth: NDArray[Any]
    labels: tuple[str, ...]
    answer: str
    metric: str


def run(steps: Sequence[Step], inputs: Arrays) -> dict[str, NDArray[Any]]:
    """The last step's outputs for a batch of inputs, as ONNX Runtime gives them on a CPU."""
    tensors: dict[str, Any] = dict(inputs)
    for step in steps:
        session = onnxruntime.InferenceSession(step.model.SerializeToString())
        names = [output.name for output in session.get_outputs()]
        tensors = dict(zip(names, session.run(names, tensors), strict=True))
    return tensors


def score(trained: Trained) -> float:
    """The metric over all held-out rows."""
    return measure(trained.metric, run(trained.steps, trained.inputs)[trained.answer], trained.truth)


def measure(metric: str, answers: NDArray[Any], truth: NDArray[Any]) -> float:
    """How good answers are.

    Args:
        metric: "accuracy" or "r2".
        answers: One value a row, in any shape.
        truth: What the rows really are, one value a row.
    """
    answers = answers.reshape(len(truth))
    if metric == "accuracy":
        return float(np.mean(answers == truth))
    residual = np.sum((truth - answers) ** 2)
    return float(1 - residual / np.sum((truth - truth.mean()) ** 2))


def write(trained: Trained, folder: Path) -> None:
    """Write a model's folder, or the folder of its steps and their ensemble, with `smoke.json` at its top."""
    if len(trained.steps) == 1:
        _write_step(trained.steps[0], folder)
    else:
        for step in trained.steps:
            _write_step(step, folder / step.name)
        # Triton wants a version folder of an ensemble too, though it holds no model file.
        _write_text(folder / trained.name / "1" / "ensemble.txt", "The steps are in ../config.pbtxt.\n")
        _write_text(folder / trained.name / "config.pbtxt", _ensemble_config(trained.name, trained.steps))
    _write_text(folder / "smoke.json", _smoke(trained))


def _write_step(step: Step, folder: Path) -> None:
    onnx.checker.check_model(step.model, full_check=True)
    path = folder / "1" / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(step.model.SerializeToString(deterministic=True))
    _write_text(folder / "config.pbtxt", _step_config(step))


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _tensor(value: onnx.ValueInfoProto, *, ensemble: bool = False) -> str:
    """A line of config.pbtxt; a tensor that is only its batch axis is seen from outside as [batch, 1]."""
    kind, _ = _TYPES[value.type.tensor_type.elem_type]
    dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
    reshape = "" if dims or ensemble else " reshape { shape: [ ] }"
    shape = ", ".join(map(str, dims or [1]))
    return f'  {{ name: "{value.name}" data_type: {kind} dims: [ {shape} ]{reshape} }}'


def _signature(
    inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto], *, ensemble: bool = False
) -> str:
    parts = {"input": inputs, "output": outputs}
    return "\n".join(
        f"{part} [\n" + ",\n".join(_tensor(value, ensemble=ensemble) for value in values) + "\n]"
        for part, values in parts.items()
    )


def _step_config(step: Step) -> str:
    return f"""name: "{step.name}"
backend: "onnxruntime"
max_batch_size: {MAX_BATCH_SIZE}
{_signature(step.model.graph.input, step.model.graph.output)}
instance_group [ {{ kind: KIND_AUTO count: 1 }} ]
dynamic_batching {{ }}
"""


def _ensemble_config(name: str, steps: Sequence[Step]) -> str:
    signature = _signature(steps[0].model.graph.input, steps[-1].model.graph.output, ensemble=True)
    entries = ",\n".join(_ensemble_step(step) for step in steps)
    return f"""name: "{name}"
platform: "ensemble"
max_batch_size: {MAX_BATCH_SIZE}
{signature}
ensemble_scheduling {{
  step [
{entries}
  ]
}}
"""


def _ensemble_step(step: Step) -> str:
    lines = [f'      model_name: "{step.name}"', "      model_version: -1"]
    for part, values in {"input_map": step.model.graph.input, "output_map": step.model.graph.output}.items():
        lines += [f'      {part} {{ key: "{value.name}" value: "{value.name}" }}' for value in values]
    return "    {\n" + "\n".join(lines) + "\n    }"


def _smoke(trained: Trained) -> str:
    """`smoke.json`: a V2 request of held-out rows, the outputs expected of it, and the truth."""
    chosen = _smoke_rows(trained.truth)
    inputs = {name: rows[chosen] for name, rows in trained.inputs.items()}
    outputs = run(trained.steps, inputs)
    tensors = {
        "inputs": [_v2(value, inputs[value.name]) for value in trained.steps[0].model.graph.input],
        "expected": [_v2(value, outputs[value.name]) for value in trained.steps[-1].model.graph.output],
    }
    lines = {part: ",\n  ".join(map(json.dumps, values)) for part, values in tensors.items()}
    truth = [value.item() if hasattr(value, "item") else value for value in trained.truth[chosen]]
    return f"""{{
"request": {{"inputs": [
  {lines["inputs"]}
]}},
"expected": [
  {lines["expected"]}
],
"tolerance": {TOLERANCE},
"answer": {json.dumps(trained.answer)},
"truth": {json.dumps(truth)},
"labels": {json.dumps(trained.labels)}
}}
"""


def _smoke_rows(truth: NDArray[Any]) -> list[int]:
    """The first rows that differ in what they really are."""
    first: dict[Any, int] = {}
    for row, value in enumerate(truth):
        first.setdefault(value, row)
    return list(first.values())[:SMOKE_ROWS]


def _v2(value: onnx.ValueInfoProto, array: NDArray[Any]) -> dict[str, Any]:
    """A tensor of the V2 protocol's JSON, with data in row-major order."""
    shape = list(array.shape) if array.ndim > 1 else [len(array), 1]
    # A float32 as its shortest decimal form, not as the double nearest to it.
    data = [float(str(item)) if isinstance(item, np.floating) else item for item in array.ravel()]
    data = [item.item() if isinstance(item, np.generic) else item for item in data]
    return {
        "name": value.name,
        "datatype": _TYPES[value.type.tensor_type.elem_type][1],
        "shape": shape,
        "data": data,
    }
