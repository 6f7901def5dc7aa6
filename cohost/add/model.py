"""What a model folder holds that is made from an ONNX file; nothing is written here."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cohost import onnx_signature
from cohost.add.config import config_text
from cohost.add.run import Arrays, OnnxRun, Refused
from cohost.add.smoke import Trial, Unsteady, try_out
from cohost.client import tensors
from cohost.errors import InputError, Problem
from cohost.folder import CONFIG, SMOKE, is_lfs_pointer, shown
from cohost.manifest import LFS_FAULT
from cohost.onnx_signature import NotOnnx, OnnxSignature, OnnxTensor
from cohost.words import shortened

_MODEL: Final = "1/model.onnx"
_HEAD: Final = 100


# What a folder holds, by path: the bytes, or the file that they are copied from.
Contents = Mapping[str, bytes | Path]


@dataclass(frozen=True)
class NewModel:
    """A model folder to be.

    Attributes:
        contents: What it holds.
        batched: Whether Triton batches its requests.
        note: What its author should know; may be empty.
    """

    contents: Contents
    batched: bool
    note: str


def from_onnx(file: Path, name: str) -> NewModel:
    """Makes a model folder's content from an ONNX file.

    Where made-up input will not do for the smoke test, a file beside it, named as it with `.smoke.json` in the
    place of `.onnx`, gives the request; what the model answers to it is expected from then on.

    Args:
        file: The ONNX file; weights that it keeps in other files stand beside it.
        name: The model's name.

    Raises:
        InputError: With everything for which no folder can be made.
        CohostError: ONNX Runtime is not installed.
    """
    signature = _signature(file)
    weights = _weights(file, signature)
    try:
        model = OnnxRun.load(file, signature)
    except Refused as error:
        raise InputError([Problem(shown(file), "", f"ONNX Runtime cannot load it: {error}")]) from error
    problems = [Problem(shown(file), "", fault) for fault in _faults(model)]
    if problems:
        raise InputError(problems)
    trial, smoke = _tried(file, model)
    if any(tensor.shape is None and trial.outputs[tensor.name].ndim for tensor in model.outputs):
        fault = "has an output of no fixed number of dimensions, which Triton cannot serve: export it with a shape"
        raise InputError([Problem(shown(file), "", fault)])
    config = config_text(name, model.inputs, model.outputs, batched=trial.batched)
    contents = {CONFIG: config.encode(), _MODEL: file, **weights, SMOKE: smoke.encode()}
    return NewModel(contents, trial.batched, trial.note)


def _signature(file: Path) -> OnnxSignature:
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
        if is_lfs_pointer(head):
            raise InputError([Problem(shown(file), "", LFS_FAULT)])
        return onnx_signature.read(file)
    except NotOnnx as error:
        raise InputError([Problem(shown(file), "", str(error))]) from error
    except OSError as error:
        raise InputError([Problem(shown(file), "", f"cannot be read: {error.strerror}")]) from error


def _weights(file: Path, signature: OnnxSignature) -> dict[str, Path]:
    """The files beside the model that it keeps weights in.

    Raises:
        InputError: With each that cannot be copied.
    """
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    for name in signature.external:
        path = posixpath.normpath(posixpath.join("1", name))
        if not path.startswith("1/") or path == _MODEL:
            problems.append(Problem(shown(file), "", f"keeps weights in {shortened(name)}: they must be beside it"))
        elif not (file.parent / name).is_file():
            problems.append(Problem(shown(file.parent / name), "", f"is missing: weights of {file.name} are in it"))
        else:
            found[path] = file.parent / name
    if problems:
        raise InputError(problems)
    return found


def _faults(model: OnnxRun) -> Iterator[str]:
    for kind, listed in (("input", model.inputs), ("output", model.outputs)):
        if not listed:
            yield f"has no {kind}: there is nothing to serve"
        for tensor in listed:
            of = model.kinds[tensor.name]
            if tensor.datatype is None:
                hint = "; skl2onnx leaves maps out with options={'zipmap': False}" if "map(" in of else ""
                yield f'{kind} "{tensor.name}" is {of}: Triton serves tensors of numbers, booleans and text{hint}'
            elif kind == "input" and tensor.shape is None:
                yield f'input "{tensor.name}" has no fixed number of dimensions, which Triton needs: export it with one'


def _tried(file: Path, model: OnnxRun) -> tuple[Trial, str]:
    request = file.with_name(f"{file.stem}.smoke.json")
    given = _given(request, model) if request.is_file() else None
    try:
        trial = try_out(model, given)
        return trial, trial.smoke_json()
    except Unsteady as error:
        raise InputError([Problem(shown(file), "", str(error))]) from error
    except Refused as error:
        if given is not None:
            raise InputError([Problem(shown(request), "", f"does not do for a smoke test: {error}")]) from error
        message = f"a made-up input does not do for its smoke test: {error}; {_advice(request, model)}"
        raise InputError([Problem(shown(file), "", message)]) from error


def _advice(request: Path, model: OnnxRun) -> str:
    inputs = [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": _example(tensor), "data": ["…"]}
        for tensor in model.inputs
    ]
    document = json.dumps({"request": {"inputs": inputs}}, ensure_ascii=False)
    return f"write real input as {shown(request)} and run this again: {document}"


def _example(tensor: OnnxTensor) -> list[int]:
    return [1 if length == -1 else length for length in tensor.shape or (1,)]


def _given(request: Path, model: OnnxRun) -> Arrays:
    """The inputs of a request that somebody has written, in the shapes that the model has."""
    ranks = {tensor.name: len(tensor.shape or ()) for tensor in model.inputs}
    try:
        items: list[Any] = json.loads(request.read_bytes())["request"]["inputs"]
        arrays = {item["name"]: tensors.from_json(item["datatype"], item["shape"], item["data"]) for item in items}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        message = f"must be a V2 inference request below `request`: {error!r}"
        raise InputError([Problem(shown(request), "request.inputs", message)]) from error
    return {name: _native(array, ranks.get(name, array.ndim)) for name, array in arrays.items()}


def _native(array: NDArray[Any], rank: int) -> NDArray[Any]:
    """As ONNX Runtime takes it: text as str, and without the 1 that callers write for a tensor of no dimensions."""
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array.reshape(array.shape[:-1])
    if array.dtype != object:
        return array
    texts = np.empty(array.size, object)
    texts[:] = [item.decode(errors="replace") for item in array.ravel().tolist()]
    return texts.reshape(array.shape)
