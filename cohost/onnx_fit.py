"""Whether an ONNX model has the inputs and outputs that its config.pbtxt declares.

The rules are those of Triton's ONNX Runtime backend (`onnxruntime.cc`, `ValidateInputs` and `ValidateOutputs`;
`CompareDimsSupported`): all inputs and a subset of the outputs, equal types, a fixed dimension of the model
must be the declared one, and batching needs an open first dimension.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cohost.modelconfig import datatype_of
from cohost.onnx_signature import OnnxSignature, OnnxTensor
from cohost.words import did_you_mean


def misfits(config: Any, model: OnnxSignature) -> list[tuple[str, str]]:
    """What differs, as (key in config.pbtxt, message).

    Args:
        config: The parsed `ModelConfig`.
        model: The model's own signature.
    """
    inputs = {tensor.name: tensor for tensor in model.inputs}
    outputs = {tensor.name: tensor for tensor in model.outputs}
    found = [fault for tensor in config.input for fault in _tensor("input", tensor, inputs, config)]
    found += [fault for tensor in config.output for fault in _tensor("output", tensor, outputs, config)]
    declared = {tensor.name for tensor in config.input}
    found += [("input", f'lacks the model\'s input "{name}"') for name in inputs if name not in declared]
    return found


def _tensor(kind: str, declared: Any, model: Mapping[str, OnnxTensor], config: Any) -> Iterable[tuple[str, str]]:
    key = f"{kind} {declared.name}"
    own = model.get(declared.name)
    if own is None:
        yield kind, f'the model has no {kind} "{declared.name}"{did_you_mean(declared.name, model)}'
        return
    if own.datatype is None:
        yield key, "is a sequence, a map or of a type that Triton does not serve"
    elif own.datatype != datatype_of(declared):
        yield f"{key}.data_type", f"is {datatype_of(declared)}, the model has {own.datatype}"
    if own.shape is not None:
        yield from _shape(key, declared, own.shape, config.max_batch_size)


def _shape(key: str, declared: Any, own: tuple[int, ...], max_batch_size: int) -> Iterable[tuple[str, str]]:
    dims = list(declared.reshape.shape if declared.HasField("reshape") else declared.dims)
    if max_batch_size:
        if not own or own[0] != -1:
            yield (
                f"{key}.dims",
                f"the model's shape {list(own)} has no open batch dimension: max_batch_size: 0",
            )
            return
        own = own[1:]
    fits = len(dims) == len(own) and all(have in (-1, want) for want, have in zip(dims, own, strict=True))
    if not fits:
        batch = " (without the batch dimension)" if max_batch_size else ""
        yield f"{key}.dims", f"are {dims}, the model has {list(own)}{batch}"
