from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cohost.onnx_signature import DATATYPES, NotOnnx, OnnxTensor, read
from tests.unit.model_folders import FLOAT, identity, model, write

MODELS = sorted((Path(__file__).resolve().parents[2] / "model_artifacts").rglob("model.onnx"))


def weight(name: str, location: str | None = None) -> onnx.TensorProto:
    tensor = helper.make_tensor(name, FLOAT, [1], [0.5])
    if location is not None:
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("offset", "0"), ("location", location)):
            tensor.external_data.add(key=key, value=value)
    return tensor


def as_onnx_says(value: onnx.ValueInfoProto) -> OnnxTensor:
    kind = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else -1 for dim in kind.shape.dim]
    return OnnxTensor(value.name, DATATYPES.get(kind.elem_type), tuple(dims) if kind.HasField("shape") else None)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parts[-3])
def test_the_signature_is_the_one_that_the_onnx_package_reads(path: Path) -> None:
    graph = onnx.load(path).graph
    signature = read(path)
    assert signature.inputs == tuple(map(as_onnx_says, graph.input))
    assert signature.outputs == tuple(map(as_onnx_says, graph.output))


DIMS = st.none() | st.lists(st.none() | st.text("nm", min_size=1) | st.integers(0, 1 << 40), max_size=4)
TENSORS = st.dictionaries(st.text(min_size=1), st.tuples(st.sampled_from(sorted(DATATYPES)), DIMS), max_size=4)


@given(TENSORS, TENSORS)
def test_every_type_and_shape_is_read_as_the_onnx_package_reads_it(inputs: Any, outputs: Any) -> None:
    made = model([], inputs, outputs)
    with tempfile.TemporaryDirectory() as folder:
        signature = read(write(Path(folder) / "model.onnx", made.SerializeToString()))
    assert signature.inputs == tuple(map(as_onnx_says, made.graph.input))
    assert signature.outputs == tuple(map(as_onnx_says, made.graph.output))


def test_weights_listed_among_the_inputs_are_not_asked_of_callers(tmp_path: Path) -> None:
    made = model([], {"x": (FLOAT, [1]), "w": (FLOAT, [1])}, {"y": (FLOAT, [1])}, [weight("w")])
    signature = read(write(tmp_path / "model.onnx", made.SerializeToString()))
    assert [tensor.name for tensor in signature.inputs] == ["x"]
    assert [tensor.name for tensor in signature.defaults] == ["w"]


def test_files_of_weights_are_found_within_the_branches_of_a_condition_too(tmp_path: Path) -> None:
    branch = helper.make_graph([], "branch", [], [], [weight("a", "inner.bin")])
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
        helper.make_node("Constant", [], ["k"], value=weight("k", "constant.bin")),
        helper.make_node("LabelEncoder", ["x"], ["z"], keys_strings=["a"] * 100),
    ]
    made = model(nodes, {}, {"y": (FLOAT, [1])}, [weight("b", "outer.bin"), weight("d")])
    signature = read(write(tmp_path / "model.onnx", made.SerializeToString()))
    assert signature.external == ("constant.bin", "inner.bin", "outer.bin")


def test_a_sequence_has_no_type_that_triton_serves(tmp_path: Path) -> None:
    made = identity()
    made.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("y", FLOAT, None))
    assert read(write(tmp_path / "model.onnx", made.SerializeToString())).outputs[0].datatype is None


def head_of(number: int, length: int) -> bytes:
    """The beginning of a field of a protocol buffer that has `length` bytes."""
    encoded = bytearray([number << 3 | 2])
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*encoded, length])


def test_weights_are_skipped_and_not_read(tmp_path: Path) -> None:
    weights = 1 << 36  # 64 GiB: a hole in the file, which nobody could read in a test
    head = head_of(5, weights + len(head_of(9, weights))) + head_of(9, weights)
    with (tmp_path / "model.onnx").open("wb") as file:
        file.write(identity().SerializeToString() + head_of(7, weights + len(head)) + head)
        file.truncate(file.tell() + weights)
    assert [tensor.name for tensor in read(tmp_path / "model.onnx").inputs] == ["x"]


@pytest.mark.parametrize("path", [MODELS[1], MODELS[-1]], ids=lambda path: path.parts[-3])
def test_a_file_cut_short_at_any_byte_is_no_model(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    for end in range(len(whole)):
        # What stands last in these files is their operator sets; without the second one it is still a model.
        if onnx.ModelProto.FromString(whole).SerializeToString()[:end] and _is_whole(whole[:end]):
            continue
        with pytest.raises(NotOnnx, match="not an ONNX model"):
            read(write(tmp_path / "model.onnx", whole[:end]))


def _is_whole(data: bytes) -> bool:
    try:
        parsed = onnx.ModelProto.FromString(data)
    except Exception:
        return False
    return parsed.HasField("graph") and len(parsed.opset_import) > 0


@given(st.data())
def test_any_other_bytes_are_a_model_or_said_to_be_none(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([path.read_bytes()[:2000] for path in MODELS[:3]] + [b""])))
    for position in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=5)):
        content[position : position + 1] = data.draw(st.binary(max_size=12))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "model.onnx", bytes(content))
        with contextlib.suppress(NotOnnx):
            read(path)


def test_graphs_nested_without_end_are_no_model(tmp_path: Path) -> None:
    graph = b""
    for _ in range(10_000):
        for number in (6, 5, 1):  # the graph of an attribute of a node of a graph
            graph = head_of(number, len(graph)) + graph
    content = head_of(7, len(graph)) + graph + head_of(8, 0)
    with pytest.raises(NotOnnx, match="deep"):
        read(write(tmp_path / "model.onnx", content))
