"""Property maps as the provider protocol carries them: protobuf Structs, with one string for "not known yet"."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands for a value a preview cannot know (pulumi/pulumi sdk/go/common/resource/plugin/rpc.go)."""


def to_dict(properties: Struct) -> dict[str, Any]:
    """Returns a Struct as plain values, whole numbers as int."""
    return {name: _plain(value) for name, value in MessageToDict(properties).items()}


def to_struct(properties: dict[str, Any]) -> Struct:
    """Returns plain values as a Struct; entries that are None are left out."""
    struct = Struct()
    struct.update({name: value for name, value in properties.items() if value is not None})
    return struct


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
