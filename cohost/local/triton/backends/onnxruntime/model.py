"""A Python-based Triton backend named `onnxruntime`, for a Triton that carries no native one.

It serves `<model>/<version>/model.onnx` on the CPU, so that a model folder whose config.pbtxt says
`backend: "onnxruntime"` (or `platform: "onnxruntime_onnx"`) loads here unchanged.
Triton's Python stub runs it in an isolated interpreter, hence the look at `COHOST_SITE_PACKAGES`.
"""

import os
import sys

sys.path[:0] = os.environ.get("COHOST_SITE_PACKAGES", "").split(os.pathsep)
sys.path.append(os.path.dirname(__file__))  # noqa: PTH120

import json  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy_bridge  # noqa: E402  # pyright: ignore[reportMissingImports]
import onnxruntime  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402  # pyright: ignore[reportMissingImports]

numpy_bridge.install()


class TritonPythonModel:
    """One ONNX Runtime session, by the names Triton's Python backend asks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the model file; an exception's text becomes Triton's load error."""
        config = json.loads(args["model_config"])
        file = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / file
        options = onnxruntime.SessionOptions()
        # Many small models share this machine's cores: one thread each, none of them spinning.
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [output["name"] for output in config["output"]]
        unknown = set(self._outputs) - {output.name for output in self._session.get_outputs()}
        if unknown:
            raise pb_utils.TritonModelException(f"{file} lacks outputs of config.pbtxt: {sorted(unknown)}")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers each request on its own; one that fails does not fail the others."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            inputs = {tensor.name(): numpy_bridge.array(tensor) for tensor in request.inputs()}
            asked = [name for name in self._outputs if name in request.requested_output_names()]
            values: list[Any] = list(self._session.run(asked, inputs))
            tensors = [numpy_bridge.tensor(name, value) for name, value in zip(asked, values, strict=True)]
            return pb_utils.InferenceResponse(output_tensors=tensors)
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"onnx runtime error: {error}"))
