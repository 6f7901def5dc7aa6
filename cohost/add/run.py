"""An ONNX file run on this machine, with the signature that ONNX Runtime makes of it.

That is the signature that Triton holds a config.pbtxt against: ONNX Runtime infers dimensions which the file
leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cohost.errors import CohostError
from cohost.onnx_signature import OnnxSignature, OnnxTensor

Arrays = Mapping[str, NDArray[Any]]

_DATATYPES: Final = {
    "float": "FP32",
    "double": "FP64",
    "float16": "FP16",
    "string": "BYTES",
    "bool": "BOOL",
    **{f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_SILENT: Final = 4


class Refused(Exception):
    """ONNX Runtime refuses the model or an input; the message holds its own words."""


@dataclass(frozen=True)
class OnnxRun:
    """A loaded model.

    Attributes:
        inputs: What it takes; a datatype of None is one that numpy or Triton does not carry.
        outputs: What it gives.
        kinds: What ONNX calls the type of each, by name.
    """

    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    kinds: Mapping[str, str]
    _session: Any

    @classmethod
    def load(cls, path: Path, signature: OnnxSignature) -> OnnxRun:
        """Loads a model.

        Args:
            path: The file.
            signature: What the file itself says; it tells a scalar from a tensor of any rank.

        Raises:
            Refused: ONNX Runtime cannot load it.
            CohostError: ONNX Runtime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise CohostError(
                "this runs the model once, and ONNX Runtime is not installed: pip install 'cohost[local]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its classes of errors have no base of their own
            raise Refused(_words(error)) from error
        said = {tensor.name: tensor for tensor in (*signature.inputs, *signature.outputs)}
        nodes = [*session.get_inputs(), *session.get_outputs()]
        return cls(
            inputs=tuple(_tensor(node, said) for node in session.get_inputs()),
            outputs=tuple(_tensor(node, said) for node in session.get_outputs()),
            kinds={node.name: node.type for node in nodes},
            _session=session,
        )

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """The outputs for some inputs.

        Raises:
            Refused: ONNX Runtime cannot run it on them.
        """
        names = [tensor.name for tensor in self.outputs]
        try:
            values = self._session.run(names, dict(inputs))
        except Exception as error:  # its classes of errors have no base of their own
            raise Refused(_words(error)) from error
        return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}


def _tensor(node: Any, said: Mapping[str, OnnxTensor]) -> OnnxTensor:
    kind = node.type.removeprefix("tensor(").removesuffix(")") if node.type.startswith("tensor(") else ""
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in node.shape)
    known = said.get(node.name)
    is_open = not shape and (known is None or known.shape is None)
    return OnnxTensor(node.name, _DATATYPES.get(kind), None if is_open else shape)


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
