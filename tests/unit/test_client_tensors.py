from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tritonclient.http import InferenceServerClient, InferInput

from cohost.client import BadInput, ServerError
from cohost.client.tensors import decode, encode, from_json, to_json

DTYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
NUMBERS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=1, max_dims=3, min_side=0))
)
TEXTS = hnp.arrays(
    object,
    hnp.array_shapes(max_dims=2),
    elements=st.one_of(st.text(), st.binary(max_size=20)),
    fill=st.nothing(),
)


def as_response(body: bytes, size: int) -> tuple[bytes, int]:
    """The same tensors as outputs: requests and responses differ in one word."""
    header = json.loads(body[:size])
    header["outputs"] = header.pop("inputs")
    text = json.dumps(header).encode()
    return text + body[size:], len(text)


@given(array=NUMBERS)
def test_numbers_come_back_as_they_went(array: np.ndarray) -> None:
    outputs = decode(*as_response(*encode({"a": array, "b": array})))
    for name in ("a", "b"):
        assert outputs[name].dtype == array.dtype
        assert outputs[name].flags.writeable
        np.testing.assert_array_equal(outputs[name], array)


@given(array=TEXTS)
def test_text_comes_back_as_its_bytes(array: np.ndarray) -> None:
    expected = [item.encode() if isinstance(item, str) else item for item in array.ravel()]
    output = decode(*as_response(*encode({"a": array})))["a"]
    assert output.shape == array.shape
    assert output.ravel().tolist() == expected


@given(array=NUMBERS)
def test_the_json_form_comes_back_as_it_went(array: np.ndarray) -> None:
    tensor = json.loads(json.dumps(to_json("a", array)))
    np.testing.assert_array_equal(from_json(tensor["datatype"], tensor["shape"], tensor["data"]), array)


def test_a_request_is_the_one_that_tritons_own_client_makes() -> None:
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    texts = np.array([["ä"], ["b"]], object)
    theirs = [InferInput("n", [2, 3], "FP32"), InferInput("t", [2, 1], "BYTES")]
    for tensor, array in zip(theirs, (numbers, texts), strict=True):
        tensor.set_data_from_numpy(array)
    their_body, their_size = InferenceServerClient.generate_request_body(theirs)
    body, size = encode({"n": numbers, "t": texts})
    assert json.loads(body[:size]) == json.loads(their_body[:their_size])
    assert body[size:] == their_body[their_size:]


def test_a_response_reads_as_tritons_own_client_reads_it() -> None:
    numbers, texts = np.array([[1.5]], np.float32), np.array([["ä"]], object)
    body, size = as_response(*encode({"n": numbers, "t": texts}))
    theirs = InferenceServerClient.parse_response_body(body, header_length=size)
    ours = decode(body, size)
    for name in ("n", "t"):
        np.testing.assert_array_equal(ours[name], theirs.as_numpy(name))


def test_big_endian_and_strided_arrays_are_sent_as_the_numbers_they_hold() -> None:
    strided = np.arange(12, dtype=">i4").reshape(3, 4)[::2, ::2]
    output = decode(*as_response(*encode({"a": strided})))["a"]
    np.testing.assert_array_equal(output, [[0, 2], [8, 10]])


def test_bfloat16_is_read_as_float32() -> None:
    header = json.dumps(
        {"outputs": [{"name": "a", "datatype": "BF16", "shape": [2], "parameters": {"binary_data_size": 4}}]}
    ).encode()
    chunk = (np.array([1.5, -2.0], np.float32).view("<u4") >> 16).astype("<u2").tobytes()
    np.testing.assert_array_equal(decode(header + chunk, len(header))["a"], [1.5, -2.0])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1.0], "is a list; it must be a numpy array"),
        (np.array([1j]), "has dtype complex128"),
        (np.array([None], object), "holds a NoneType"),
    ],
)
def test_what_cannot_be_sent_is_named(value: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        encode({"a": value})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (b"", None),
        (b"{}", None),
        (b'{"outputs": 3}', None),
        (b'{"outputs":[{"name":"a","datatype":"FP31","shape":[1],"data":[1]}]}', None),
        (b'{"outputs":[{"name":"a","datatype":"FP32","shape":[3],"data":[1]}]}', None),
        (b'{"outputs":[{"name":"a","datatype":"UINT8","shape":[1],"data":[300]}]}', None),
        (
            b'{"outputs":[{"name":"a","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":2}}]}xx',
            94,
        ),
    ],
)
def test_a_response_that_is_none_is_the_servers_error(body: bytes, size: int | None) -> None:
    with pytest.raises(ServerError, match="not a response"):
        decode(body, size)
