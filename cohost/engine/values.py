"""Property values: between the wire's `Struct` and plain Python, with secrets and unknowns kept.

A value is None, bool, int, float, str, list, dict or `Secret`. An unknown value (in a preview) is the string
`UNKNOWN`, as on the wire. Assets and resource references stay the marked dicts they are on the wire. Values are
never changed in place. Marks: pulumi/pulumi, sdk/go/common/resource/{properties,plugin/rpc}.go, version 3.260.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct, Value

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
MASK: Final = "[secret]"

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Secret:
    """A value that is masked in output and encrypted at rest."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


def from_struct(struct: Struct) -> dict[str, Any]:
    """The wire's properties as plain values."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    match kind:
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) < 2**53 else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "struct_value":
            return _from_marked(from_struct(value.struct_value))
    return None


def _from_marked(fields: dict[str, Any]) -> Any:
    match fields.get(SIGNATURE):
        case str(mark) if mark == SECRET_SIGNATURE:
            return secret(fields.get("value"))
        case str(mark) if mark == OUTPUT_SIGNATURE:
            inner = fields.get("value", UNKNOWN)
            return secret(inner) if fields.get("secret") else inner
    return fields


def secret(value: Any) -> Secret:
    """The value as a secret, once."""
    return value if isinstance(value, Secret) else Secret(value)


def to_struct(properties: Properties, *, secrets: bool = True) -> Struct:
    """Plain values for the wire; without `secrets` they go in the clear, for who does not understand the mark."""
    struct = Struct()
    _fill(struct, properties, secrets)
    return struct


def _fill(struct: Struct, properties: Properties, secrets: bool) -> None:
    for key, value in properties.items():
        _set(struct.fields[key], value, secrets)


def _set(target: Value, value: Any, secrets: bool) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif value is None:
        target.null_value = 0  # pyright: ignore[reportAttributeAccessIssue]
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, Secret):
        if secrets:
            _fill(target.struct_value, {SIGNATURE: SECRET_SIGNATURE, "value": value.value}, secrets)
        else:
            _set(target, value.value, secrets)
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        _fill(target.struct_value, value, secrets)
    else:
        target.list_value.SetInParent()
        for item in value:
            _set(target.list_value.values.add(), item, secrets)


def reveal(value: Any) -> Any:
    """The value with every secret in the clear."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, Mapping):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def masked(value: Any) -> Any:
    """The value with every secret, plain or in the form of the state's file, as the real engine shows it."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return MASK
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return MASK if isinstance(value, Secret) else value


def has_secret(value: Any) -> bool:
    """Whether the value is or holds a secret."""
    if isinstance(value, Mapping):
        return any(has_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(has_secret(item) for item in value)
    return isinstance(value, Secret)


def has_unknown(value: Any) -> bool:
    """Whether the value is or holds an unknown."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value == UNKNOWN


def keep_secrets(outputs: Properties, inputs: Properties) -> dict[str, Any]:
    """`outputs` with the secret mark on every property whose input of the same name is or holds a secret."""
    kept = dict(outputs)
    for key, given in inputs.items():
        if key not in kept:
            continue
        value = kept[key]
        if isinstance(value, Mapping) and isinstance(given, Mapping):
            kept[key] = keep_secrets(value, given)
        elif has_secret(given):
            kept[key] = secret(value)
    return kept


def changed_keys(old: Properties, new: Properties) -> tuple[str, ...]:
    """The top-level properties whose values differ, secrets compared in the clear."""
    before, after = reveal(old), reveal(new)
    return tuple(
        sorted(
            key for key in {*before, *after} if before.get(key) != after.get(key) or (key in before) != (key in after)
        )
    )
