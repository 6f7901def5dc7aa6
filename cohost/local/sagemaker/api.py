"""Requests checked and responses made by botocore's own model of each service."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

from cohost.local.sagemaker.errors import ServiceError, invalid


@functools.cache
def model(service: str) -> ServiceModel:
    """Returns botocore's model of a service ("sagemaker", "service-quotas")."""
    return botocore.session.get_session().get_service_model(service)


def operation(service: str, name: str) -> OperationModel:
    """Returns one operation's model.

    Raises:
        ServiceError: The service has no such operation.
    """
    known = model(service)
    if name not in known.operation_names:
        raise ServiceError("UnknownOperationException", f"{service} has no operation {name}")
    return known.operation_model(name)


def validate(service: str, name: str, request: dict[str, Any]) -> None:
    """Checks a request as the service itself does: names, types, required members, enums, patterns, lengths.

    Raises:
        ServiceError: With every violation, in the service's words.
    """
    shape = operation(service, name).input_shape
    if shape is None:
        return
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise invalid(report.generate_report())
    found = list(_violations(shape, request, ""))
    if found:
        plural = "" if len(found) == 1 else "s"
        raise invalid(f"{len(found)} validation error{plural} detected: {'; '.join(found)}")


def render(service: str, name: str, response: dict[str, Any]) -> dict[str, Any]:
    """Returns the members of a response that the operation's output has, without those that are None."""
    return _render(operation(service, name).output_shape, response)


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        for key in shape.members.keys() & value.keys():
            yield from _violations(shape.members[key], value[key], _join(path, key))
    elif isinstance(shape, ListShape):
        yield from _size(shape, value, path)
        for index, item in enumerate(value):
            yield from _violations(shape.member, item, f"{path}.{index + 1}.member")
    elif isinstance(shape, MapShape):
        yield from _size(shape, value, path)
        for key, item in value.items():
            yield from _violations(shape.key, key, path)
            yield from _violations(shape.value, item, f"{path}.{key}")
    elif isinstance(value, str):
        yield from _size(shape, value, path)
        yield from _text(shape, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _range(shape, value, path)


def _text(shape: Shape, value: str, path: str) -> Iterator[str]:
    pattern = shape.metadata.get("pattern")
    # Patterns are Java's; those with character properties are left to the service itself.
    if pattern and "\\p{" not in pattern and not re.fullmatch(pattern.replace("\\A", "").rstrip("$"), value):
        yield _violation(value, path, f"satisfy regular expression pattern: {pattern}")
    choices = getattr(shape, "enum", None)
    if choices and value not in choices:
        yield _violation(value, path, f"satisfy enum value set: [{', '.join(choices)}]")


def _size(shape: Shape, value: Any, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield _violation(value, path, f"have length greater than or equal to {low}")
    if high is not None and len(value) > high:
        yield _violation(value, path, f"have length less than or equal to {high}")


def _range(shape: Shape, value: float, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield _violation(value, path, f"have value greater than or equal to {low}")
    if high is not None and value > high:
        yield _violation(value, path, f"have value less than or equal to {high}")


def _violation(value: Any, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {constraint}"


def _join(path: str, key: str) -> str:
    # The service names members by their Java property: first letter lower case.
    name = key[:1].lower() + key[1:]
    return f"{path}.{name}" if path else name


def _render(shape: Shape | None, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        return {
            key: _render(shape.members[key], item)
            for key, item in value.items()
            if key in shape.members and item is not None
        }
    if isinstance(shape, ListShape):
        return [_render(shape.member, item) for item in value]
    return value
