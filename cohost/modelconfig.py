"""A model's `config.pbtxt`, read with the protocol buffer that Triton itself publishes.

Source of the format: `model_config.proto` of triton-inference-server/common; `tritonclient` carries its
generated Python module.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from cohost.errors import InputError, Problem
from cohost.folder import CONFIG, shown

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig  # pyright: ignore[reportAttributeAccessIssue]

ENSEMBLE: Final = "ensemble"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: Its name.
        datatype: The name of the V2 inference protocol: "FP32", "INT64", "BYTES"…
        shape: As `dims` in config.pbtxt: without the batch dimension, -1 = any length.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """What a caller sends to a model and gets back.

    Attributes:
        inputs: In the order of config.pbtxt.
        outputs: In the order of config.pbtxt.
        max_batch_size: 0 = the model does not batch; otherwise every tensor has a leading batch dimension.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int


def datatype_of(tensor: Any) -> str:
    """The V2 name of a `ModelInput`'s or `ModelOutput`'s data type: TYPE_STRING is "BYTES", TYPE_FP32 "FP32"."""
    name = _proto().DataType.Name(tensor.data_type)
    return "BYTES" if name == "TYPE_STRING" else name.removeprefix("TYPE_")


def parse(data: bytes, where: str) -> ModelConfig:
    """Parses the text of a config.pbtxt.

    Args:
        data: The file's bytes.
        where: The file's name for the error.

    Raises:
        InputError: It is not a model configuration that Triton would read.
    """
    from google.protobuf import text_format

    try:
        return text_format.Parse(data.decode(), _proto().ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError([Problem(where, "", f"not a Triton model configuration: {error}")]) from error


def read(folder: Path) -> ModelConfig:
    """Reads `folder/config.pbtxt`.

    Raises:
        InputError: It is missing, unreadable, or not a model configuration.
    """
    path = folder / CONFIG
    try:
        return parse(path.read_bytes(), shown(path))
    except OSError as error:
        raise InputError([Problem(shown(path), "", f"cannot be read: {error.strerror}")]) from error


def is_repository(folder: Path) -> bool:
    """Whether the folder is a repository of several models: no config.pbtxt at its top, but below."""
    return not (folder / CONFIG).exists() and any(folder.glob(f"*/{CONFIG}"))


def served_folder(folder: Path) -> Path:
    """The folder of the model that callers reach: `folder` itself, or the ensemble of a repository.

    Raises:
        InputError: A repository without exactly one ensemble.
    """
    if not is_repository(folder):
        return folder
    found = [path.parent for path in sorted(folder.glob(f"*/{CONFIG}")) if read(path.parent).platform == ENSEMBLE]
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none"
    message = f'a repository of several models needs exactly one with platform: "{ENSEMBLE}", this has {names}'
    raise InputError([Problem(shown(folder), "", message)])


def signature(folder: Path) -> Signature:
    """The signature of a model folder, of its ensemble where it holds several models.

    Raises:
        InputError: There is no readable configuration.
    """
    return signature_of(read(served_folder(folder)))


def signature_of(config: ModelConfig) -> Signature:
    """The signature that a parsed configuration declares."""
    return Signature(
        inputs=tuple(_spec(tensor) for tensor in config.input),
        outputs=tuple(_spec(tensor) for tensor in config.output),
        max_batch_size=config.max_batch_size,
    )


def _spec(tensor: Any) -> TensorSpec:
    return TensorSpec(tensor.name, datatype_of(tensor), tuple(tensor.dims))


@cache
def _proto() -> ModuleType:
    """The generated module alone; `import tritonclient.grpc` also imports grpc and numpy (0.4 s)."""
    name = "tritonclient.grpc.model_config_pb2"
    if name in sys.modules:
        return sys.modules[name]
    package = importlib.util.find_spec("tritonclient.grpc")
    if package is None or not package.submodule_search_locations:
        raise ImportError("tritonclient.grpc is not installed")
    path = Path(package.submodule_search_locations[0]) / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("cohost._model_config_pb2", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
