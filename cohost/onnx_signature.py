"""What goes into and comes out of an ONNX model, read without its weights.

An ONNX file is one protocol buffer (`onnx.proto3` of onnx/onnx). Its weights may be gigabytes while its signature
is a few hundred bytes, so this walks over the fields in the file and skips the weights instead of parsing them;
it needs no `onnx` package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

# TensorProto.DataType -> the V2 protocol's name; the types that Triton knows.
DATATYPES: Final = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "BYTES",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
    12: "UINT32",
    13: "UINT64",
    16: "BF16",
}

# Field numbers of onnx.proto3.
_MODEL_GRAPH: Final = 7
_GRAPH_INITIALIZER: Final = 5
_GRAPH_INPUT: Final = 11
_GRAPH_OUTPUT: Final = 12
_TENSOR_NAME: Final = 8
_TENSOR_EXTERNAL_DATA: Final = 13
_ENTRY_KEY: Final = 1
_ENTRY_VALUE: Final = 2
_VALUE_NAME: Final = 1
_VALUE_TYPE: Final = 2
_TYPE_TENSOR: Final = 1
_TENSOR_TYPE_ELEMENT: Final = 1
_TENSOR_TYPE_SHAPE: Final = 2
_SHAPE_DIMENSION: Final = 1
_DIMENSION_VALUE: Final = 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SMALL: Final = 1 << 20


class NotOnnx(ValueError):
    """The file is not an ONNX model, or it is cut short."""


@dataclass(frozen=True)
class OnnxTensor:
    """An input or output of the graph.

    Attributes:
        name: Its name.
        datatype: The V2 name, or None for what Triton cannot carry (sequences, maps, rarer types).
        shape: All dimensions, the batch dimension too, -1 where it is open; None when the rank is open.
    """

    name: str
    datatype: str | None
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class OnnxSignature:
    """What goes into and comes out of a model.

    Attributes:
        inputs: What a caller has to give (not the weights, which old files list among the inputs).
        outputs: What it gets.
        external: Files beside the model that hold weights, as named in it.
    """

    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    external: tuple[str, ...]


def read(path: Path) -> OnnxSignature:
    """Reads the signature of an ONNX file.

    Raises:
        NotOnnx: It is no ONNX model or is cut short.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        try:
            return _read_model(file, end)
        except (UnicodeDecodeError, IndexError) as error:
            raise NotOnnx("not an ONNX model") from error


def _read_model(file: BinaryIO, end: int) -> OnnxSignature:
    inputs: list[OnnxTensor] = []
    outputs: list[OnnxTensor] = []
    weights: set[str] = set()
    external: set[str] = set()
    graphs = [(start, stop) for number, start, stop in _fields(file, 0, end) if number == _MODEL_GRAPH]
    if not graphs:
        raise NotOnnx("not an ONNX model: it has no graph")
    for start, stop in graphs:
        for number, first, last in _fields(file, start, stop):
            if number == _GRAPH_INPUT:
                inputs.append(_read_tensor(file, first, last))
            elif number == _GRAPH_OUTPUT:
                outputs.append(_read_tensor(file, first, last))
            elif number == _GRAPH_INITIALIZER:
                _read_weight(file, first, last, weights, external)
    given = tuple(tensor for tensor in inputs if tensor.name not in weights)
    return OnnxSignature(given, tuple(outputs), tuple(sorted(external)))


def _read_weight(file: BinaryIO, start: int, end: int, names: set[str], external: set[str]) -> None:
    for number, first, last in _fields(file, start, end):
        if number == _TENSOR_NAME:
            names.add(_text(file, first, last))
        elif number == _TENSOR_EXTERNAL_DATA:
            entry = {field: _text(file, at, to) for field, at, to in _fields(file, first, last)}
            if entry.get(_ENTRY_KEY) == "location":
                external.add(entry.get(_ENTRY_VALUE, ""))


def _read_tensor(file: BinaryIO, start: int, end: int) -> OnnxTensor:
    name = ""
    datatype: str | None = None
    shape: tuple[int, ...] | None = None
    for number, first, last in _fields(file, start, end):
        if number == _VALUE_NAME:
            name = _text(file, first, last)
        elif number == _VALUE_TYPE:
            for kind, at, to in _fields(file, first, last):
                if kind == _TYPE_TENSOR:
                    datatype, shape = _read_type(file, at, to)
    return OnnxTensor(name, datatype, shape)


def _read_type(file: BinaryIO, start: int, end: int) -> tuple[str | None, tuple[int, ...] | None]:
    datatype: str | None = None
    shape: tuple[int, ...] | None = None
    for number, first, last in _fields(file, start, end):
        if number == _TENSOR_TYPE_ELEMENT:
            datatype = DATATYPES.get(first)
        elif number == _TENSOR_TYPE_SHAPE:
            dimensions = [(at, to) for kind, at, to in _fields(file, first, last) if kind == _SHAPE_DIMENSION]
            shape = tuple(_read_dimension(file, at, to) for at, to in dimensions)
    return datatype, shape


def _read_dimension(file: BinaryIO, start: int, end: int) -> int:
    values = [value for number, value, _ in _fields(file, start, end) if number == _DIMENSION_VALUE]
    return values[-1] if values and values[-1] > 0 else -1


def _fields(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yields (field number, start, end) of a message's fields; of a varint (number, value, value)."""
    position = start
    while position < end:
        file.seek(position)
        key, position = _varint(file, position, end)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise NotOnnx("not an ONNX model")
        if kind == _VARINT:
            value, position = _varint(file, position, end)
            yield number, value, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            length, position = _varint(file, position, end)
        if length is None:
            raise NotOnnx("not an ONNX model")
        if position + length > end:
            raise NotOnnx("cut short: it is smaller than its own header says")
        yield number, position, position + length
        position += length


def _varint(file: BinaryIO, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        position += 1
        if not byte or position > end:
            raise NotOnnx("cut short: it ends within a field")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value, position
    raise NotOnnx("not an ONNX model")


def _text(file: BinaryIO, start: int, end: int) -> str:
    if end - start > _SMALL:
        raise NotOnnx("not an ONNX model: a name of more than 1 MiB")
    file.seek(start)
    return file.read(end - start).decode()
