"""Tensors of the V2 inference protocol: numpy arrays to bytes and back.

Source: the "Binary Tensor Data Extension" of the KServe V2 protocol as Triton documents it
(triton-inference-server/server, docs/protocol/extension_binary_data.md).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cohost.client.errors import BadInput, ServerError

Arrays = Mapping[str, NDArray[Any]]

# Little-endian, as the protocol sends them.
_DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_DATATYPES: Final = {dtype: name for name, dtype in _DTYPES.items()}
BYTES: Final = "BYTES"
BF16: Final = "BF16"
DATATYPES: Final = frozenset({*_DTYPES, BYTES, BF16})

_LENGTH: Final = struct.Struct("<I")
_SMALL_HEADER: Final = 2048


def datatype(name: str, array: NDArray[Any]) -> str:
    """The V2 datatype that carries a numpy array.

    Raises:
        BadInput: There is none.
    """
    if not isinstance(array, np.ndarray):
        raise BadInput(f"input {name!r} is a {type(array).__name__}; it must be a numpy array")
    found = _DATATYPES.get(array.dtype.newbyteorder("<"))
    if found:
        return found
    if array.dtype.kind in "OSU":
        return BYTES
    expected = ", ".join(str(dtype) for dtype in _DATATYPES)
    raise BadInput(f"input {name!r} has dtype {array.dtype}; it must be one of {expected}, or text")


def encode(inputs: Arrays) -> tuple[bytes, int]:
    """A request that asks for binary outputs.

    Returns:
        The body, and how many bytes of it are the JSON header.

    Raises:
        BadInput: An input cannot be sent.
    """
    tensors, chunks = [], []
    for name, array in inputs.items():
        kind = datatype(name, array)
        if kind == BYTES:
            chunk = _pack_bytes(name, array)
        else:
            chunk = np.ascontiguousarray(array, _DTYPES[kind]).tobytes()
        tensors.append((name, array.shape, kind, len(chunk)))
        chunks.append(chunk)
    header = _request_header(tuple(tensors))
    return b"".join((header, *chunks)), len(header)


@lru_cache(maxsize=256)
def _request_header(tensors: tuple[tuple[str, tuple[int, ...], str, int], ...]) -> bytes:
    """The JSON header of a request; callers mostly send the same shapes again and again."""
    inputs = [
        {"name": name, "shape": shape, "datatype": kind, "parameters": {"binary_data_size": size}}
        for name, shape, kind, size in tensors
    ]
    return json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()


def decode(body: bytes, header_size: int | None) -> dict[str, NDArray[Any]]:
    """The outputs of a response.

    Args:
        body: The response's body.
        header_size: How many bytes of it are the JSON header; None = all.

    Raises:
        ServerError: It is not a response of the V2 protocol.
    """
    try:
        offset = len(body) if header_size is None else header_size
        outputs = {}
        header = body[:offset]
        for tensor in (_small_header(header) if offset <= _SMALL_HEADER else json.loads(header))["outputs"]:
            size = tensor.get("parameters", {}).get("binary_data_size")
            if size is None:
                outputs[tensor["name"]] = from_json(tensor["datatype"], tensor["shape"], tensor["data"])
                continue
            chunk = body[offset : offset + size]
            outputs[tensor["name"]] = _from_binary(tensor["datatype"], chunk).reshape(tensor["shape"])
            offset += size
        return outputs
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise ServerError(f"not a response of the V2 protocol: {error!r}: {body[:200]!r}") from error


@lru_cache(maxsize=256)
def _small_header(header: bytes) -> Mapping[str, Any]:
    """A parsed header, not to be changed: a model answers the same shapes with the same header."""
    return json.loads(header)


def from_json(kind: str, shape: Sequence[int], data: Iterable[Any]) -> NDArray[Any]:
    """An array from the JSON form of a tensor, flat or nested; BYTES become `bytes` objects.

    Raises:
        KeyError: No such datatype.
        ValueError: The data does not fit the datatype or the shape.
        TypeError: The data does not fit the datatype.
        OverflowError: A number does not fit the datatype.
    """
    if kind != BYTES:
        dtype = np.dtype("<f4") if kind == BF16 else _DTYPES[kind]
        return np.array(data, dtype).reshape(shape)
    flat = np.array(data, object).reshape(-1)
    result = np.empty(len(flat), object)
    result[:] = [item.encode() if isinstance(item, str) else bytes(item) for item in flat]
    return result.reshape(shape)


def to_json(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """The JSON form of a tensor, with flat data; text that is not UTF-8 shows replacement characters."""
    kind = datatype(name, array)
    data: list[Any] = array.ravel().tolist()
    if kind == BYTES:
        data = [item.decode(errors="replace") if isinstance(item, bytes) else str(item) for item in data]
    elif kind in ("FP16", "FP32"):
        # The shortest decimals that give the same float, not those of the double nearest to it.
        data = [float(str(item)) for item in array.ravel()]
    return {"name": name, "datatype": kind, "shape": list(array.shape), "data": data}


def _from_binary(kind: str, chunk: bytes) -> NDArray[Any]:
    if kind == BYTES:
        return _unpack_bytes(chunk)
    if kind == BF16:
        return (np.frombuffer(chunk, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(chunk, _DTYPES[kind]).copy()


def _pack_bytes(name: str, array: NDArray[Any]) -> bytes:
    chunks = []
    for item in array.ravel().tolist():
        data = item.encode() if isinstance(item, str) else item
        if not isinstance(data, bytes):
            raise BadInput(f"input {name!r} holds a {type(item).__name__}; it must hold only str or bytes")
        chunks += (_LENGTH.pack(len(data)), data)
    return b"".join(chunks)


def _unpack_bytes(chunk: bytes) -> NDArray[Any]:
    items, offset = [], 0
    while offset < len(chunk):
        (size,) = _LENGTH.unpack_from(chunk, offset)
        offset += _LENGTH.size
        items.append(chunk[offset : offset + size])
        offset += size
    result = np.empty(len(items), object)
    result[:] = items
    return result
