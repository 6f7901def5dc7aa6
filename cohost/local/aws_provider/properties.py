"""The property names of each resource type: `properties.json`, taken from the pulumi_aws package.

Importing pulumi_aws's own types costs seconds, the file milliseconds. `python -m
cohost.local.aws_provider.properties` writes it anew from the installed package; a test holds the two together.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

TOKENS: Final = (
    "aws:appautoscaling/policy:Policy",
    "aws:appautoscaling/target:Target",
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:iam/policy:Policy",
    "aws:iam/role:Role",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:kms/alias:Alias",
    "aws:kms/key:Key",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:sagemaker/endpoint:Endpoint",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    "aws:sagemaker/model:Model",
)
_FILE: Final = Path(__file__).with_name("properties.json")

Properties = Mapping[str, Any]
"""Name -> the properties inside it, or None where it holds no object."""


@functools.cache
def inputs(token: str) -> Properties:
    """Returns the input properties of a type."""
    return _read()[token]["inputs"]


@functools.cache
def outputs(token: str) -> frozenset[str]:
    """Returns the names of all properties a resource of this type has once created."""
    return frozenset(_read()[token]["outputs"])


def generate() -> dict[str, Any]:
    """Returns what the file should hold, from the installed pulumi_aws package."""
    return {token: _describe(token) for token in TOKENS}


@functools.cache
def _read() -> dict[str, Any]:
    return json.loads(_FILE.read_text())


def _describe(token: str) -> dict[str, Any]:
    _, place, name = token.split(":")
    service, _, module = place.partition("/")
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", module).lower()
    # pulumi_aws loads its services lazily, and one whose part is imported before itself never gets whole.
    kind = getattr(importlib.import_module(f"pulumi_aws.{service}"), name)
    package = importlib.import_module(f"pulumi_aws.{service}.{snake}")
    from pulumi._types import resource_types

    # Where a property's type has the same name, a resource's arguments are its "InitArgs".
    arguments = getattr(package, f"{name}InitArgs", None) or getattr(package, f"{name}Args")
    return {
        "inputs": _inside(arguments, ()),
        "outputs": sorted(resource_types(kind)),
    }


def _inside(kind: Any, above: tuple[Any, ...]) -> dict[str, Any] | None:
    """Returns the properties of an input type, or of the input type inside an Optional, a list or an Input."""
    from pulumi._types import input_type_types, is_input_type

    if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and is_input_type(kind):
        if kind in above or kind.__name__ == "PolicyDocumentArgs":
            return None
        return {name: _inside(inner, (*above, kind)) for name, inner in sorted(input_type_types(kind).items())}
    for argument in typing.get_args(kind):
        found = _inside(argument, above)
        if found is not None:
            return found
    return None


if __name__ == "__main__":
    _FILE.write_text(json.dumps(generate(), indent=1, sort_keys=True) + "\n")
