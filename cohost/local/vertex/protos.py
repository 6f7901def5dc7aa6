"""Requests parsed into Google's own messages, strictly, and answers made of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from google.cloud.aiplatform_v1 import types
from google.protobuf import field_mask_pb2, json_format
from google.protobuf.message import Message

from cohost.local.vertex.errors import invalid, malformed

_PACKAGE: Final = "type.googleapis.com/google.cloud.aiplatform.v1"
EMPTY: Final[dict[str, Any]] = {"@type": "type.googleapis.com/google.protobuf.Empty"}

Record = dict[str, Any]


def document(body: bytes) -> Record:
    """Returns the JSON object of a body; an empty one of an empty body.

    Raises:
        VertexError: It is not a JSON object.
    """
    try:
        found = json.loads(body or b"{}")
    except ValueError as error:
        raise malformed(f"It is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise malformed("It is not a JSON object.")
    return found


def strict(kind: str, content: Record) -> Record:
    """Returns a message's JSON as Google writes it: known fields alone, in camel case, enums by name.

    Args:
        kind: The message's name in google.cloud.aiplatform.v1 ("UploadModelRequest").
        content: JSON as somebody sent it.

    Raises:
        VertexError: A field is unknown, or has a value of another type.
    """
    message = _message(kind)
    try:
        json_format.ParseDict(content, message)
    except json_format.ParseError as error:
        raise malformed(str(error)) from error
    return json_format.MessageToDict(message)


def typed(kind: str, content: Record) -> Record:
    """Returns a message's JSON for a google.protobuf.Any: with its `@type`.

    Raises:
        VertexError: As `strict`.
    """
    return {"@type": f"{_PACKAGE}.{kind}", **strict(kind, content)}


def masked(text: str) -> list[str]:
    """Returns the paths of an update mask, in camel case, whichever way they were sent.

    Raises:
        VertexError: It is empty or not a mask.
    """
    if not text:
        raise invalid("The request has no update_mask.")
    mask = field_mask_pb2.FieldMask()
    try:
        mask.FromJsonString(",".join(_camel(path) for path in text.split(",")))
    except (ValueError, json_format.Error) as error:
        raise invalid(f'The update_mask "{text}" is not one: {error}') from error
    return mask.ToJsonString().split(",")


def now() -> str:
    """Returns this moment as a Timestamp's JSON."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _message(kind: str) -> Message:
    plus = getattr(types, kind)
    return plus.pb(plus())


def _camel(path: str) -> str:
    head, *rest = path.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
