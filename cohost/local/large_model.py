"""Makes a model of any size on the fly, so that loading and eviction can be seen without storing one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from cohost.client.tensors import to_json

_WIDTH: Final = 64
_MEBIBYTE: Final = 1 << 20
# A protocol buffer, and so an ONNX file without external data, ends at 2 GiB.
_LARGEST: Final = 2000

_CONFIG: Final = """name: "{name}"
backend: "onnxruntime"
max_batch_size: 64
input [
  {{ name: "row" data_type: TYPE_INT64 dims: [ 1 ] }}
]
output [
  {{ name: "embedding" data_type: TYPE_FP32 dims: [ {width} ] }}
]
instance_group [ {{ kind: KIND_AUTO count: 1 }} ]
dynamic_batching {{ }}
"""


def make_large_model(folder: Path, name: str, megabytes: int, seed: int) -> None:
    """Writes an embedding table of random weights as a model folder.

    Args:
        folder: The model's folder itself; made where it does not exist, its files overwritten.
        name: The model's name in config.pbtxt, to which the folder's name must be equal.
        megabytes: MiB of weights.
        seed: The same seed gives the same bytes.

    Raises:
        ValueError: `megabytes` is not within 1 and 2000.
    """
    if not 1 <= megabytes <= _LARGEST:
        raise ValueError(f"megabytes is {megabytes}; it must be within 1 and {_LARGEST}")
    rows = megabytes * _MEBIBYTE // (4 * _WIDTH)
    table = np.random.default_rng(seed).standard_normal((rows, _WIDTH), dtype=np.float32)
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / "1" / "model.onnx").write_bytes(_embedding(name, table))
    (folder / "config.pbtxt").write_text(_CONFIG.format(name=name, width=_WIDTH), encoding="utf-8")
    asked = np.array([[0], [rows // 2], [rows - 1]], np.int64)
    smoke = {
        "request": {"inputs": [to_json("row", asked)]},
        "expected": [to_json("embedding", table[asked[:, 0]])],
        "tolerance": 0.0,
    }
    (folder / "smoke.json").write_text(json.dumps(smoke) + "\n", encoding="utf-8")


def _embedding(name: str, table: np.ndarray) -> bytes:
    """The graph row INT64 [batch, 1] -> embedding FP32 [batch, width]: `table[row]`."""
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Squeeze", ["row", "axis"], ["index"]),
            helper.make_node("Gather", ["table", "index"], ["embedding"]),
        ],
        name,
        [tensor("row", TensorProto.INT64, ["batch", 1])],
        [tensor("embedding", TensorProto.FLOAT, ["batch", table.shape[1]])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="cohost")
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)
