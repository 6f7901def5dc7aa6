"""Whether an ensemble's steps fit together.

The rules are those by which Triton refuses an ensemble when it loads it: `ValidateEnsembleSchedulingConfig`
(triton-inference-server/core, model_config_utils.cc) and `ValidateEnsembleConfig` (ensemble_utils.cc).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cohost.modelconfig import datatype_of
from cohost.words import did_you_mean

# What an ensemble may not have, because it runs nothing itself.
_FOREIGN: Final = ("instance_group", "optimization", "model_warmup")

Fault = tuple[str, str]


@dataclass(frozen=True)
class _Seen:
    """What one place says of a tensor of the ensemble.

    Attributes:
        place: Where, for a message.
        datatype: Its V2 name.
        dims: Without the batch.
        batched: Whether there is one.
    """

    place: str
    datatype: str
    dims: tuple[int, ...]
    batched: bool

    def fits(self, other: _Seen) -> bool:
        return _dims_fit(self.dims, other.dims) or _dims_fit(self._full(), other._full())

    def _full(self) -> tuple[int, ...]:
        return (-1, *self.dims) if self.batched else self.dims


def misfits(ensemble: Any, others: Mapping[str, Any]) -> list[Fault]:
    """What Triton would refuse, as (key in the ensemble's config.pbtxt, message).

    Args:
        ensemble: The ensemble's parsed `ModelConfig`.
        others: Those of the models beside it, by name; a model whose configuration is broken may be missing.
    """
    steps = ensemble.ensemble_scheduling.step
    present = {field.name for field, _ in ensemble.ListFields()}
    found = [(key, "must not stand in an ensemble: it runs nothing itself") for key in _FOREIGN if key in present]
    if not steps:
        return [*found, ("ensemble_scheduling", "has no step")]
    for index, step in enumerate(steps):
        found += _step(f"ensemble_scheduling.step[{index}]", step, ensemble, others)
    return found or [*_flow(ensemble), *_types(ensemble, others)]


def _step(key: str, step: Any, ensemble: Any, others: Mapping[str, Any]) -> Iterator[Fault]:
    config = others.get(step.model_name)
    if config is None:
        hint = did_you_mean(step.model_name, others)
        yield f"{key}.model_name", f'there is no model "{step.model_name}" beside it{hint}'
        return
    if 0 < config.max_batch_size < ensemble.max_batch_size:
        most = f"batches of {config.max_batch_size}, the ensemble of {ensemble.max_batch_size}"
        yield f"{key}.model_name", f'"{step.model_name}" takes {most}'
    inputs, outputs = [tensor.name for tensor in config.input], [tensor.name for tensor in config.output]
    for kind, mapped, known in (("input_map", step.input_map, inputs), ("output_map", step.output_map, outputs)):
        for name in sorted(set(mapped) - set(known)):
            yield f"{key}.{kind}", f'the step has no tensor "{name}"{did_you_mean(name, known)}'
    if not step.output_map:
        yield f"{key}.output_map", "is missing: map at least one of " + ", ".join(outputs)
    for tensor in config.input:
        if tensor.name not in step.input_map and not tensor.optional:
            yield f"{key}.input_map", f'lacks the step\'s input "{tensor.name}"'


def _flow(ensemble: Any) -> Iterator[Fault]:
    """Whether every tensor is written by one, read by another, and the outputs can be reached."""
    steps: Sequence[Any] = ensemble.ensemble_scheduling.step
    inputs, outputs = {tensor.name for tensor in ensemble.input}, {tensor.name for tensor in ensemble.output}
    read = {name for step in steps for name in step.input_map.values()}
    written = [name for step in steps for name in step.output_map.values()]
    for name in sorted({name for name in written if written.count(name) > 1 or name in inputs}):
        yield "ensemble_scheduling", f'the tensor "{name}" is written more than once'
    for name in sorted(inputs - read):
        yield f"input {name}", "is read by no step"
    for name in sorted(outputs - set(written) - inputs):
        yield f"output {name}", "is written by no step" + did_you_mean(name, written)
    for name in sorted(set(written) - read - outputs):
        yield "ensemble_scheduling", f'the tensor "{name}" is written, but neither read nor an output'
    for name in sorted(read - set(written) - inputs):
        hint = did_you_mean(name, {*written, *inputs})
        yield "ensemble_scheduling", f'the tensor "{name}" is read, but neither written nor an input{hint}'
    ready, waiting = set(inputs), list(steps)
    while runs := [step for step in waiting if ready.issuperset(step.input_map.values())]:
        ready.update(name for step in runs for name in step.output_map.values())
        waiting = [step for step in waiting if step not in runs]
    if waiting and read <= inputs | set(written):
        names = ", ".join(step.model_name for step in waiting)
        yield "ensemble_scheduling", f"the steps {names} wait for one another"


def _types(ensemble: Any, others: Mapping[str, Any]) -> Iterator[Fault]:
    """Whether all places where a tensor stands agree on its type and shape."""
    first: dict[str, _Seen] = {}
    for name, seen in _places(ensemble, others):
        known = first.setdefault(name, seen)
        if known.datatype != seen.datatype:
            yield seen.place, f'"{name}" is {seen.datatype}, in {known.place} {known.datatype}'
        elif not known.fits(seen):
            yield seen.place, f'"{name}" has dims {list(seen.dims)}, in {known.place} {list(known.dims)}'


def _places(ensemble: Any, others: Mapping[str, Any]) -> Iterator[tuple[str, _Seen]]:
    for kind, tensors in (("input", ensemble.input), ("output", ensemble.output)):
        for tensor in tensors:
            dims = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
            yield tensor.name, _Seen(f"{kind} {tensor.name}", datatype_of(tensor), tuple(dims), _batches(ensemble))
    for step in ensemble.ensemble_scheduling.step:
        config = others[step.model_name]
        for mapped, tensors in ((step.input_map, config.input), (step.output_map, config.output)):
            for tensor in tensors:
                if tensor.name in mapped:
                    place = f"{tensor.name} of {step.model_name}"
                    seen = _Seen(place, datatype_of(tensor), tuple(tensor.dims), _batches(config))
                    yield mapped[tensor.name], seen


def _batches(config: Any) -> bool:
    return config.max_batch_size > 0


def _dims_fit(one: Sequence[int], other: Sequence[int]) -> bool:
    return len(one) == len(other) and all(-1 in (a, b) or a == b for a, b in zip(one, other, strict=True))
