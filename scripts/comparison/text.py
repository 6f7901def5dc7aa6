"""Texts that name figures as `{{name}}`, and the search for numbers that no figure carries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_REFERENCE: Final = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")
_TARGET: Final = re.compile(r"\]\([^)]*\)")
# Names that hold digits and are no numbers: protocols, services, machines, GPUs, models, percentiles, dates' parts.
_NAMES: Final = re.compile(
    r"\b(?:V2|S3|EC2|E2E|A10G|L4s?|T4s?|H100|K8s|p50|p90|p95|p99|GPT-2|ResNet-50|v1beta1|x86-64|TensorRT|OAuth2"
    r"|ml\.[a-z]+[0-9][a-z0-9]*\.[0-9a-z]+|[gnp][0-9][a-z]{0,2}(?:\.[0-9]*xlarge|-standard-[0-9]+)?"
    r"|us-(?:east|west|central)-?[0-9]|sha256|AGPL-?v?3|Apache-2\.0|BSD-3)\b",
)


def references(text: str) -> tuple[str, ...]:
    """Returns the names of the figures that a text names, in its order."""
    return tuple(_REFERENCE.findall(text))


def filled(text: str, figures: Mapping[str, str]) -> str:
    """Returns a text with its figures as they are written.

    Args:
        text: The text.
        figures: How each figure is written.

    Raises:
        KeyError: It names a figure that there is not.
    """
    return _REFERENCE.sub(lambda match: figures[match[1]], text)


def stray_numbers(text: str) -> tuple[str, ...]:
    """Returns the numbers in a text that stand there as digits: not by reference, in no name, in no link's target."""
    rest = _NAMES.sub("", _TARGET.sub("]", _REFERENCE.sub("", text)))
    return tuple(re.findall(r"\S*\d\S*", rest))
