"""What goes into and comes out of an ONNX model, read without its weights.

An ONNX file is one protocol buffer (`onnx.proto3` of onnx/onnx). Its weights may be gigabytes while its signature
is a few hundred bytes, so this walks over the fields in the file and skips the weights instead of parsing them;
it needs no `onnx` package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cohost.protobuf_walk import BYTES, VARINT, Malformed, Walk, tag

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

# The fields of onnx.proto3 that lead to a signature and to the names of files beside the model.
_MODEL_GRAPH: Final = tag(7, BYTES)
_MODEL_OPSET: Final = tag(8, BYTES)
_GRAPH_NODE: Final = tag(1, BYTES)
_GRAPH_INITIALIZER: Final = tag(5, BYTES)
_GRAPH_INPUT: Final = tag(11, BYTES)
_GRAPH_OUTPUT: Final = tag(12, BYTES)
_GRAPH_SPARSE_INITIALIZER: Final = tag(15, BYTES)
_SPARSE_VALUES: Final = tag(1, BYTES)
_NODE_ATTRIBUTE: Final = tag(5, BYTES)
_ATTRIBUTE_TENSORS: Final = frozenset({tag(5, BYTES), tag(10, BYTES)})
_ATTRIBUTE_GRAPHS: Final = frozenset({tag(6, BYTES), tag(11, BYTES)})
_ATTRIBUTE_LISTS: Final = frozenset(tag(number, kind) for number in (7, 8, 9) for kind in (0, 2, 5))
_TENSOR_NAME: Final = tag(8, BYTES)
_TENSOR_EXTERNAL_DATA: Final = tag(13, BYTES)
_ENTRY_KEY: Final = tag(1, BYTES)
_ENTRY_VALUE: Final = tag(2, BYTES)
_VALUE_NAME: Final = tag(1, BYTES)
_VALUE_TYPE: Final = tag(2, BYTES)
_TYPE_TENSOR: Final = tag(1, BYTES)
_TENSOR_TYPE_ELEMENT: Final = tag(1, VARINT)
_TENSOR_TYPE_SHAPE: Final = tag(2, BYTES)
_SHAPE_DIMENSION: Final = tag(1, BYTES)
_DIMENSION_VALUE: Final = tag(1, VARINT)

_DEEPEST: Final = 32
_INT64_MAX: Final = (1 << 63) - 1


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
        inputs: What a caller has to give.
        outputs: What it gets.
        defaults: Inputs that the file itself gives a value; old files list their weights here.
        external: Files beside the model that hold weights, as named in it.
    """

    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    defaults: tuple[OnnxTensor, ...]
    external: tuple[str, ...]


def read(path: Path) -> OnnxSignature:
    """Reads the signature of an ONNX file.

    Raises:
        NotOnnx: It is no ONNX model or is cut short.
        OSError: It cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise NotOnnx("is empty: not an ONNX model")
        try:
            return _Reader(Walk(file, size)).read(size)
        except Malformed as error:
            raise NotOnnx(f"not an ONNX model, or cut short: {error}") from error


@dataclass
class _Reader:
    walk: Walk
    inputs: list[OnnxTensor] = field(default_factory=list)
    outputs: list[OnnxTensor] = field(default_factory=list)
    weights: set[str] = field(default_factory=set)
    external: set[str] = field(default_factory=set)

    def read(self, size: int) -> OnnxSignature:
        fields = list(self.walk.fields(0, size))
        graphs = [(start, end) for key, start, end in fields if key == _MODEL_GRAPH]
        if not graphs:
            raise NotOnnx("not an ONNX model: it has no graph")
        if not any(key == _MODEL_OPSET for key, _, _ in fields):
            raise NotOnnx("not an ONNX model, or cut short: it names no operator set")
        for start, end in graphs:
            self._graph(start, end)
        return OnnxSignature(
            inputs=tuple(tensor for tensor in self.inputs if tensor.name not in self.weights),
            outputs=tuple(self.outputs),
            defaults=tuple(tensor for tensor in self.inputs if tensor.name in self.weights),
            external=tuple(sorted(self.external)),
        )

    def _graph(self, start: int, end: int, depth: int = 0) -> None:
        """Reads a graph; of one within a node only which files its weights are in."""
        if depth > _DEEPEST:
            raise NotOnnx(f"not an ONNX model: graphs within graphs, more than {_DEEPEST} deep")
        for key, first, last in self.walk.fields(start, end):
            if key == _GRAPH_NODE:
                self._node(first, last, depth)
            elif key == _GRAPH_INITIALIZER:
                self._weight(first, last, depth)
            elif key == _GRAPH_SPARSE_INITIALIZER:
                for inner, at, to in self.walk.fields(first, last):
                    if inner == _SPARSE_VALUES:
                        self._weight(at, to, depth)
            elif key == _GRAPH_INPUT and depth == 0:
                self.inputs.append(self._tensor(first, last))
            elif key == _GRAPH_OUTPUT and depth == 0:
                self.outputs.append(self._tensor(first, last))

    def _node(self, start: int, end: int, depth: int) -> None:
        for key, first, last in self.walk.fields(start, end):
            if key == _NODE_ATTRIBUTE:
                self._attribute(first, last, depth)

    def _attribute(self, start: int, end: int, depth: int) -> None:
        for key, first, last in self.walk.fields(start, end):
            if key in _ATTRIBUTE_LISTS:
                return  # an attribute is of one kind, and a list may have millions of entries
            if key in _ATTRIBUTE_TENSORS:
                self._weight(first, last, depth + 1)
            elif key in _ATTRIBUTE_GRAPHS:
                self._graph(first, last, depth + 1)

    def _weight(self, start: int, end: int, depth: int) -> None:
        for key, first, last in self.walk.fields(start, end):
            if key == _TENSOR_NAME and depth == 0:
                self.weights.add(self.walk.text(first, last))
            elif key == _TENSOR_EXTERNAL_DATA:
                texts = {inner: (at, to) for inner, at, to in self.walk.fields(first, last)}
                if _ENTRY_KEY in texts and self.walk.text(*texts[_ENTRY_KEY]) == "location":
                    self.external.add(self.walk.text(*texts.get(_ENTRY_VALUE, (0, 0))))

    def _tensor(self, start: int, end: int) -> OnnxTensor:
        name = ""
        datatype: str | None = None
        shape: tuple[int, ...] | None = None
        for key, first, last in self.walk.fields(start, end):
            if key == _VALUE_NAME:
                name = self.walk.text(first, last)
            elif key == _VALUE_TYPE:
                for kind, at, to in self.walk.fields(first, last):
                    if kind == _TYPE_TENSOR:
                        datatype, shape = self._type(at, to)
        return OnnxTensor(name, datatype, shape)

    def _type(self, start: int, end: int) -> tuple[str | None, tuple[int, ...] | None]:
        datatype: str | None = None
        shape: tuple[int, ...] | None = None
        for key, first, last in self.walk.fields(start, end):
            if key == _TENSOR_TYPE_ELEMENT:
                datatype = DATATYPES.get(first)
            elif key == _TENSOR_TYPE_SHAPE:
                shape = tuple(self._dimensions(first, last))
        return datatype, shape

    def _dimensions(self, start: int, end: int) -> Iterator[int]:
        for key, first, last in self.walk.fields(start, end):
            if key == _SHAPE_DIMENSION:
                values = [value for inner, value, _ in self.walk.fields(first, last) if inner == _DIMENSION_VALUE]
                yield values[-1] if values and 0 < values[-1] <= _INT64_MAX else -1
