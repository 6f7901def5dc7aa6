"""Tensors to numpy 2 and back, inside a Triton Python stub that was compiled against numpy 1.

The stub of Triton 2.51 (r24.10) reads an array's item size where numpy 1 kept it (`PyArray_Descr.elsize`,
byte 32 of the dtype object). numpy 2 keeps `flags` there, 0 for plain types (numpy 2.0 migration guide, "The
PyArray_Descr struct has been changed"). So the stub lays arrays out with strides of 0, and takes every array
it is given for one of 0 bytes. Hence: numpy itself lays out the stub's arrays (`install`), numbers go back by
DLPack, which has no such struct, and text, which DLPack does not know, says its size where the stub looks.
"""

import ctypes
import struct
from typing import Any

import numpy as np
import numpy.core.multiarray as looked_up_by_stub
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]

_FLAGS_OFFSET = 32
# numpy's C function table (numpy/_core/code_generators/numpy_api.py): length at most, and one entry.
_TABLE_LENGTH = 400
_NEW_FROM_DESCR = 94

_pointer, _int = ctypes.c_void_p, ctypes.c_int
_NewFromDescr = ctypes.PYFUNCTYPE(
    ctypes.py_object, _pointer, _pointer, _int, _pointer, _pointer, _pointer, _int, _pointer
)
_python = ctypes.pythonapi
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_SetDestructor.argtypes = [ctypes.py_object, ctypes.c_void_p]
_kept_alive: list[Any] = []


def install() -> None:
    """Gives the stub numpy's C functions, all-zero strides taken as "contiguous".

    Must run before the stub's first array: it looks the table up once, in `numpy.core.multiarray`.
    """
    original = _python.PyCapsule_GetPointer(looked_up_by_stub._ARRAY_API, None)
    table = (ctypes.c_void_p * _TABLE_LENGTH)()
    ctypes.memmove(table, original, ctypes.sizeof(table))
    new_from_descr = _NewFromDescr(table[_NEW_FROM_DESCR])

    def laid_out(
        subtype: int, descr: int, nd: int, dims: int, strides: int, data: int, flags: int, base: int
    ) -> object:
        if strides and not any((ctypes.c_ssize_t * nd).from_address(strides)):
            strides = 0
        return new_from_descr(subtype, descr, nd, dims, strides, data, flags, base)

    replacement = _NewFromDescr(laid_out)
    table[_NEW_FROM_DESCR] = ctypes.cast(replacement, ctypes.c_void_p).value
    _kept_alive.extend((table, replacement))
    looked_up_by_stub._ARRAY_API = _python.PyCapsule_New(ctypes.addressof(table), None, None)
    pb_utils.serialize_byte_tensor = _serialized


def array(tensor: Any) -> np.ndarray:
    """Returns a Triton tensor's values; BYTES become an array of `str`, as ONNX Runtime takes them."""
    values = tensor.as_numpy()
    if values.dtype != np.object_:
        return values
    return np.array([item.decode() for item in values.ravel()], dtype=np.object_).reshape(values.shape)


def tensor(name: str, values: np.ndarray) -> Any:
    """Returns a Triton tensor with these values; an array of objects becomes BYTES."""
    if values.dtype != np.object_:
        return pb_utils.Tensor.from_dlpack(name, _Export(np.ascontiguousarray(values)))
    made = pb_utils.Tensor(name, values)
    _set_flags(_packed.dtype, 0)
    return made


class _Export:
    """An array offered by DLPack, which the stub frees.

    The stub marks a used capsule by a name that numpy does not know; numpy's destructor would report an error
    for each, so the capsule goes without it.
    """

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __dlpack__(self, **_: object) -> object:
        capsule = self._values.__dlpack__()
        _python.PyCapsule_SetDestructor(capsule, None)
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._values.__dlpack_device__()


# The last serialized tensor; the stub keeps its own reference to the array, so it may be replaced.
_packed = np.zeros(1, dtype="V1")


def _serialized(values: np.ndarray) -> np.ndarray:
    """Returns one item of all the bytes, whose dtype says its size where the stub looks for it.

    `tensor` sets the flags back as soon as the stub has read them; the dtype belongs to this array alone.
    """
    global _packed
    items = [str(item).encode() for item in values.ravel()]
    data = b"".join(struct.pack("<I", len(item)) + item for item in items)
    _packed = np.frombuffer(data, dtype=f"V{len(data)}")
    _set_flags(_packed.dtype, len(data))
    return _packed


def _set_flags(dtype: np.dtype, value: int) -> None:
    ctypes.c_uint32.from_address(id(dtype) + _FLAGS_OFFSET).value = value
