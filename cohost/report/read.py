"""Reads a preview from whichever command printed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from pydantic import ValidationError

from cohost.errors import InputError, Problem
from cohost.report import local, pulumi
from cohost.report.preview import Preview

_WANTED: Final = "the output of `pulumi preview --json` or of `cohost local preview STACK --json`"


def read(stack: str, file: str, text: str) -> Preview:
    """Reads the preview of one stack.

    Args:
        stack: The stack's name.
        file: Where the text is from, for messages.
        text: What `pulumi preview --json` (the digest, or with PULUMI_ENABLE_STREAMING_JSON_PREVIEW the stream of
            events), or `cohost local preview --json` printed; a refusal of `cohost`, `{"error": …}`, is a failed
            preview too.

    Raises:
        InputError: It is none of these.
    """
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    try:
        return _reader(document, text)(stack)
    except ValidationError as error:
        found = [Problem(file, ".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()]
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        found = [Problem(file, "", f"is not {_WANTED} ({type(error).__name__}: {error})")]
    raise InputError(found)


def _reader(document: Any, text: str) -> Callable[[str], Preview]:
    if not isinstance(document, dict):
        return lambda stack: pulumi.from_events(stack, text.splitlines())
    if "operation" in document:
        return lambda stack: local.from_answer(stack, document)
    if document.keys() <= {"error", "problems"} and document:
        return lambda stack: Preview(stack, error=str(document["error"]))
    if "sequence" in document:
        return lambda stack: pulumi.from_events(stack, [text])
    return lambda stack: pulumi.from_digest(stack, document)
