"""Model folders for tests: a small valid one to change, and folders of any content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cohost.folder import is_lfs_pointer

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING

CONFIG = """name: "{name}"
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]
"""
TENSOR = {"datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
SMOKE: dict[str, Any] = {
    "request": {"inputs": [{"name": "x", **TENSOR}]},
    "expected": [{"name": "y", **TENSOR}],
    "tolerance": 0.01,
}


def identity(
    kind: int = FLOAT, shape: Sequence[int | str | None] | None = ("n", 3), *, operator: str = "Identity"
) -> onnx.ModelProto:
    """The model y = x."""
    return model([helper.make_node(operator, ["x"], ["y"])], {"x": (kind, shape)}, {"y": (kind, shape)})


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Any]],
    outputs: Mapping[str, tuple[int, Any]],
    weights: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """A model of some nodes."""
    into, out = (
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in tensors.items()]
        for tensors in (inputs, outputs)
    )
    graph = helper.make_graph(list(nodes), "graph", into, out, list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_model(folder: Path, name: str | None = None, **files: str | bytes) -> Path:
    """Writes a valid model folder.

    Args:
        folder: Where; its name is the model's unless `name` is given.
        name: What config.pbtxt calls it.
        files: What other content its `config`, `onnx` or `smoke` has.
    """
    write(folder / "config.pbtxt", files.get("config", CONFIG.replace("{name}", name or folder.name)))
    write(folder / "1" / "model.onnx", files.get("onnx", identity().SerializeToString()))
    write(folder / "smoke.json", files.get("smoke", json.dumps(SMOKE)))
    return folder


def write(path: Path, content: str | bytes) -> Path:
    """Writes a file and the folders it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_catalog(path: Path, names: Sequence[str]) -> Path:
    """Writes a catalog of folders beside it."""
    entries = "".join(f"  - name: {name}\n    path: {name}\n    owner: a-team\n" for name in names)
    return write(path, f"models:\n{entries}")


def _is_tree(files: Mapping[str, bytes]) -> bool:
    return not any(other.startswith(f"{path}/") for path in files for other in files)


_NAMES = st.text("ab1.-_é漢", min_size=1, max_size=12).filter(lambda name: name.strip("."))
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join).filter(lambda path: path != "smoke.json")
_SIZES = st.sampled_from([0, 1, 511, 512, 513, 4096, 70_000])
_LONGER = st.builds(lambda size, seed: (bytes([seed, 7, 1]) * size)[:size], _SIZES, st.integers(0, 255))
_BYTES = (st.binary(max_size=64) | _LONGER).filter(lambda content: not is_lfs_pointer(content))
# The files of a folder of any content: path -> bytes.
FILES = st.dictionaries(_PATHS, _BYTES, min_size=1, max_size=5).filter(_is_tree)


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Writes a folder of any content."""
    for path, content in files.items():
        write(folder / path, content)
    return folder
