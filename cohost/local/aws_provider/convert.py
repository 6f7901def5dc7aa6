"""Pulumi's property names to the API's and back, wherever the two are regular.

Both spell the same words (`kmsMasterKeyId`, `KMSMasterKeyID`), so names are matched without regard to case
against botocore's own model of the request. Pulumi gives a list of at most one as the object itself, and maps
for the API's lists of key and value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

_PAIRS = (("Key", "Value"), ("Name", "Value"), ("TagKey", "TagValue"))


def request(client: Any, operation: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Returns the parameters of an API call from a resource's properties.

    Args:
        client: The boto3 client.
        operation: The API's name of the operation.
        properties: The properties to send; each must have its parameter.
        more: Parameters given as the API spells them.

    Raises:
        ValueError: A property has no parameter.
    """
    shape = client.meta.service_model.operation_model(operation).input_shape
    return to_api(dict(properties), shape) | more


def to_api(value: Any, shape: Shape) -> Any:
    """Returns a property's value as a botocore shape wants it.

    Raises:
        ValueError: A property has no member in the shape.
    """
    if isinstance(shape, StructureShape):
        given = value[0] if isinstance(value, list) else value
        members = {member.lower(): member for member in shape.members}
        converted: dict[str, Any] = {}
        for name, inner in given.items():
            if inner is None:
                continue
            member = members.get(name.lower())
            if member is None:
                raise ValueError(f"{name}: {shape.name} has no such member")
            converted[member] = to_api(inner, shape.members[member])
        return converted
    if isinstance(shape, ListShape):
        return _list(value, shape)
    if isinstance(shape, MapShape):
        return {name: to_api(inner, shape.value) for name, inner in value.items()}
    if shape.type_name == "string" and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def from_api(value: Any) -> Any:
    """Returns an API value with its members named as Pulumi names properties; not for maps, whose keys are data."""
    if isinstance(value, list):
        return [from_api(item) for item in value]
    if isinstance(value, dict):
        return {_camel(name): from_api(inner) for name, inner in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def pairs_to_map(pairs: list[dict[str, str]]) -> dict[str, str]:
    """Returns a list of keys and values as a map."""
    for key, content in _PAIRS:
        if pairs and key in pairs[0]:
            return {pair[key]: pair[content] for pair in pairs}
    return {}


def map_to_pairs(values: Mapping[str, str], key: str = "Key", content: str = "Value") -> list[dict[str, str]]:
    """Returns a map as the API's list of keys and values."""
    return [{key: name, content: value} for name, value in sorted(values.items())]


def _list(value: Any, shape: ListShape) -> list[Any]:
    item = shape.member
    if isinstance(value, dict) and isinstance(item, StructureShape):
        for key, content in _PAIRS:
            if set(item.members) == {key, content}:
                return map_to_pairs(value, key, content)
    several = value if isinstance(value, list) else [value]
    return [to_api(inner, item) for inner in several]


def _camel(name: str) -> str:
    """`VolumeSizeInGB` -> `volumeSizeInGb`, `SSEAlgorithm` -> `sseAlgorithm`, `ID` -> `id`."""
    words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+[0-9]*", name)
    return words[0].lower() + "".join(word.capitalize() for word in words[1:]) if words else name
