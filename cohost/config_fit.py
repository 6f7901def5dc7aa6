"""Whether a config.pbtxt is complete and consistent in itself.

The rules on tensors are those of `ValidateIOShape` (triton-inference-server/core, model_config_utils.cc). Triton
could fill in inputs and outputs on its own; here they must be written, because callers and the smoke test of a
model need them without a running Triton.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from cohost.modelconfig import ENSEMBLE, datatype_of

Fault = tuple[str, str]


def misfits(config: Any) -> Iterator[Fault]:
    """What is missing or contradicts itself, as (key, message).

    Args:
        config: The parsed `ModelConfig`.
    """
    if not config.backend and not config.platform:
        yield "backend", 'is missing: backend: "onnxruntime"'
    if config.HasField("ensemble_scheduling") and config.platform != ENSEMBLE:
        yield "platform", f'must be "{ENSEMBLE}" where ensemble_scheduling stands'
    if config.platform == ENSEMBLE and config.backend:
        yield "backend", "must not stand in an ensemble"
    if config.max_batch_size < 0:
        yield "max_batch_size", "must be 0 (no batching) or more"
    for size in config.dynamic_batching.preferred_batch_size:
        if not 1 <= size <= config.max_batch_size:
            key, most = "dynamic_batching.preferred_batch_size", config.max_batch_size
            yield key, f"{size} is not within 1 and max_batch_size {most}"
    for kind, tensors in (("input", config.input), ("output", config.output)):
        if not tensors:
            yield kind, f"is missing: callers and the smoke test need every {kind}"
        names = [tensor.name for tensor in tensors]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{kind} {name}", "stands twice"
        for tensor in tensors:
            yield from _tensor(kind, tensor, batched=config.max_batch_size > 0)


def _tensor(kind: str, tensor: Any, *, batched: bool) -> Iterator[Fault]:
    key = f"{kind} {tensor.name}"
    if not tensor.name:
        yield kind, "needs a name"
    if datatype_of(tensor) == "INVALID":
        yield f"{key}.data_type", "is missing: TYPE_FP32, TYPE_INT64, TYPE_STRING…"
    if not tensor.dims:
        right = "dims: [ 1 ] and reshape { shape: [ ] }" if batched else "dims: [ 1 ]"
        yield f"{key}.dims", f"is missing: a scalar has {right}"
    elif not _are_lengths(tensor.dims):
        yield f"{key}.dims", f"{list(tensor.dims)} must be lengths of 1 or more, or -1 for any"
    elif tensor.HasField("reshape"):
        yield from _reshape(f"{key}.reshape", tensor.dims, tensor.reshape.shape, batched=batched)


def _reshape(key: str, dims: Sequence[int], shape: Sequence[int], *, batched: bool) -> Iterator[Fault]:
    if not shape and not batched:
        yield key, "must not be empty where max_batch_size is 0: a scalar has dims: [ 1 ] alone"
    elif not _are_lengths(shape):
        yield key, f"{list(shape)} must be lengths of 1 or more, or -1 for any"
    elif _sizes(dims) != _sizes(shape):
        yield key, f"{list(shape)} has not as many values as dims {list(dims)}"


def _are_lengths(dims: Sequence[int]) -> bool:
    return all(length >= 1 or length == -1 for length in dims)


def _sizes(dims: Sequence[int]) -> list[int]:
    """The number of values before, between and after the open dimensions, which must be equal."""
    sizes = [1]
    for length in dims:
        if length == -1:
            sizes.append(1)
        else:
            sizes[-1] = math.prod((sizes[-1], length))
    return sizes
