"""The text of a config.pbtxt for an ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.text_encoding import CEscape

from cohost.onnx_signature import OnnxTensor

_MAX_BATCH_SIZE: Final = 64


def config_text(name: str, inputs: Sequence[OnnxTensor], outputs: Sequence[OnnxTensor], *, batched: bool) -> str:
    """A configuration that serves the model on the GPU where there is one, on the CPU elsewhere.

    Args:
        name: The model's name.
        inputs: In the model's order, of types that Triton serves.
        outputs: Likewise.
        batched: Whether the first dimension of every tensor is a batch, which Triton may fill from several requests.
    """
    batching = "dynamic_batching { }\n" if batched else ""
    return (
        f'name: "{name}"\n'
        'backend: "onnxruntime"\n'
        f"max_batch_size: {_MAX_BATCH_SIZE if batched else 0}\n"
        f"{_tensors('input', inputs, batched)}{_tensors('output', outputs, batched)}"
        "instance_group [ { kind: KIND_AUTO count: 1 } ]\n"
        f"{batching}"
    )


def _tensors(kind: str, tensors: Sequence[OnnxTensor], batched: bool) -> str:
    return f"{kind} [\n" + ",\n".join(f"  {_tensor(tensor, batched)}" for tensor in tensors) + "\n]\n"


def _tensor(tensor: OnnxTensor, batched: bool) -> str:
    shape = (tensor.shape or ())[1:] if batched else tensor.shape or ()
    dims = ", ".join(map(str, shape or (1,)))
    # Triton knows no tensor without dimensions; where there is a batch, this takes the 1 away before the model.
    reshape = " reshape { shape: [ ] }" if batched and not shape else ""
    name, kind = CEscape(tensor.name.encode(), as_utf8=True), tensor.datatype
    kind = "STRING" if kind == "BYTES" else kind
    return f'{{ name: "{name}" data_type: TYPE_{kind} dims: [ {dims} ]{reshape} }}'
