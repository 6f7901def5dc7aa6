"""Whether an ONNX model has the inputs and outputs that its config.pbtxt declares.

The rules are those by which Triton's ONNX Runtime backend refuses to load a model (triton-inference-server/
onnxruntime_backend, onnxruntime.cc, `ValidateInputs` and `ValidateOutputs`; onnxruntime_utils.cc,
`CompareDimsSupported` and `InputOutputInitializerInfos`): all inputs and some of the outputs, equal types, a fixed
dimension of the model must be the declared one, and batching needs an open first dimension. Triton compares what
ONNX Runtime makes of the file: a dimension that stands open in the file may turn out to be fixed, so an output of
fixed dims is taken as good here where the file leaves it open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cohost.modelconfig import datatype_of
from cohost.onnx_signature import OnnxSignature, OnnxTensor
from cohost.words import did_you_mean

_NO_TENSOR = "is a sequence, a map or of a type that Triton does not serve"


def misfits(config: Any, model: OnnxSignature) -> list[tuple[str, str]]:
    """What differs, as (key in config.pbtxt, message).

    Args:
        config: The parsed `ModelConfig`.
        model: The model's own signature.
    """
    inputs = {tensor.name: tensor for tensor in model.inputs}
    outputs = {tensor.name: tensor for tensor in model.outputs}
    known = inputs | {tensor.name: tensor for tensor in model.defaults}
    found: list[tuple[str, str]] = []
    for tensor in config.input:
        found += _tensor("input", tensor, known if tensor.optional else inputs, config)
        if tensor.optional and config.max_batch_size:
            found.append((f"input {tensor.name}.optional", "must not be set where max_batch_size is not 0"))
    for tensor in config.output:
        found += _tensor("output", tensor, outputs, config)
    declared = {tensor.name for tensor in config.input} | _filled_by_triton(config)
    found += [("input", f'lacks the model\'s input "{name}"') for name in inputs if name not in declared]
    # Triton looks at every output of the file, declared or not.
    written = {tensor.name for tensor in config.output}
    found += [
        (f"output {name}", _NO_TENSOR)
        for name, tensor in outputs.items()
        if tensor.datatype is None and name not in written
    ]
    return found


def _filled_by_triton(config: Any) -> set[str]:
    """Inputs that no caller gives: Triton's own for sequences and ragged batches."""
    sequences = config.sequence_batching
    names = {control.name for control in sequences.control_input} | {state.input_name for state in sequences.state}
    return names | {name for batch in config.batch_input for name in batch.target_name}


def _tensor(kind: str, declared: Any, model: Mapping[str, OnnxTensor], config: Any) -> Iterable[tuple[str, str]]:
    key = f"{kind} {declared.name}"
    own = model.get(declared.name)
    if own is None:
        yield kind, f'the model has no {kind} "{declared.name}"{did_you_mean(declared.name, model)}'
        return
    if own.datatype is None:
        yield key, _NO_TENSOR
    elif own.datatype != datatype_of(declared):
        yield f"{key}.data_type", f"is {datatype_of(declared)}, the model has {own.datatype}"
    if own.shape is not None and not _is_ragged(kind, declared, config):
        yield from _shape(key, declared, own.shape, config.max_batch_size)


def _is_ragged(kind: str, declared: Any, config: Any) -> bool:
    if kind == "input":
        return declared.allow_ragged_batch
    return any(declared.name in batch.target_name for batch in config.batch_output)


def _shape(key: str, declared: Any, own: tuple[int, ...], max_batch_size: int) -> Iterable[tuple[str, str]]:
    dims = list(declared.reshape.shape if declared.HasField("reshape") else declared.dims)
    if max_batch_size:
        if not own or own[0] != -1:
            yield f"{key}.dims", f"the model's shape {list(own)} has no open batch dimension: max_batch_size: 0"
            return
        own = own[1:]
    elif not own:
        # A scalar: Triton takes any dims that are all 1, and no empty reshape.
        own = (1,) * len(dims)
    fits = len(dims) == len(own) and all(have in (-1, want) for want, have in zip(dims, own, strict=True))
    if not fits:
        batch = " (without the batch dimension)" if max_batch_size else ""
        yield f"{key}.dims", f"are {dims}, the model has {list(own)}{batch}"
