"""Property values: between protobuf structs and plain Python, with unknowns and secrets.

The wire forms are those of Pulumi's property marshalling (pulumi/pulumi,
sdk/go/common/resource/plugin/rpc.go): a sentinel string for what a preview does not know, a signed object for
a secret and for an output.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2

_UNKNOWN_WIRE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"


class Unknown:
    """What a preview does not know yet; there is one, `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Properties:
    """The properties of one resource.

    Attributes:
        values: Plain values by wire name (str, float, bool, None, list, dict or UNKNOWN).
        secrets: Names of the properties that hold a secret anywhere inside.
    """

    values: Mapping[str, Any]
    secrets: frozenset[str] = frozenset()


def decode(struct: struct_pb2.Struct) -> Properties:
    """Reads a struct; secrets and outputs are opened, and remembered by the property that holds them."""
    secrets: set[str] = set()
    values: dict[str, Any] = {}
    for key, value in struct.fields.items():
        found: list[str] = []
        values[key] = _decode(value, found)
        if found:
            secrets.add(key)
    return Properties(values, frozenset(secrets))


def encode(values: Mapping[str, Any], secrets: Collection[str] = ()) -> struct_pb2.Struct:
    """Writes a struct; the properties named in `secrets` are marked as secret."""
    struct = struct_pb2.Struct()
    for key, value in values.items():
        _encode(value, struct.fields[key])
    for key in secrets:
        if key in values:
            plain = struct.fields[key]
            secret = struct_pb2.Value()
            secret.struct_value.fields[_SIGNATURE].string_value = _SECRET
            secret.struct_value.fields["value"].CopyFrom(plain)
            plain.CopyFrom(secret)
    return struct


def known(value: Any) -> bool:
    """Whether nothing inside the value is unknown."""
    if isinstance(value, Mapping):
        return all(known(item) for item in value.values())
    if isinstance(value, list):
        return all(known(item) for item in value)
    return value is not UNKNOWN


def _decode(value: struct_pb2.Value, secrets: list[str]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value == _UNKNOWN_WIRE else value.string_value
    if kind == "number_value":
        return value.number_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_decode(item, secrets) for item in value.list_value.values]
    if kind == "struct_value":
        return _decode_struct(value.struct_value, secrets)
    return None


def _decode_struct(struct: struct_pb2.Struct, secrets: list[str]) -> Any:
    fields = struct.fields
    signature = fields[_SIGNATURE].string_value if _SIGNATURE in fields else None
    if signature == _SECRET:
        secrets.append(signature)
        return _decode(fields["value"], secrets)
    if signature == _OUTPUT:
        if "secret" in fields and fields["secret"].bool_value:
            secrets.append(signature)
        return _decode(fields["value"], secrets) if "value" in fields else UNKNOWN
    return {key: _decode(item, secrets) for key, item in fields.items()}


def _encode(value: Any, out: struct_pb2.Value) -> None:
    if value is None:
        out.null_value = struct_pb2.NULL_VALUE
    elif value is UNKNOWN:
        out.string_value = _UNKNOWN_WIRE
    elif isinstance(value, bool):
        out.bool_value = value
    elif isinstance(value, int | float):
        out.number_value = value
    elif isinstance(value, str):
        out.string_value = value
    elif isinstance(value, Mapping):
        out.struct_value.SetInParent()
        for key, item in value.items():
            _encode(item, out.struct_value.fields[key])
    else:
        out.list_value.SetInParent()
        for item in value:
            _encode(item, out.list_value.values.add())
