"""The machines of a stack before and after, and what a change does to resources that cost or hold data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cohost.engine.values import UNKNOWN
from cohost.report.preview import Preview, Resource
from cohost.tokens import ARTIFACT_SET, VERTEX_DEPLOYED_MODEL

_ENDPOINT_CONFIGURATION: Final = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
# Type without the name of its file, which versions of the providers write differently (bucket, bucketV2).
_WEIGHTY: Final = {
    "aws:s3:Bucket": "holds every artifact",
    "aws:s3:BucketV2": "holds every artifact",
    "gcp:storage:Bucket": "holds every artifact",
    ARTIFACT_SET: "holds every artifact",
    "aws:kms:Key": "without it the artifacts cannot be read",
    "gcp:kms:CryptoKey": "without it the artifacts cannot be read",
    "aws:sagemaker:Endpoint": "serves every model, on GPUs that cost",
    "gcp:vertex:AiEndpoint": "callers know its address",
    VERTEX_DEPLOYED_MODEL: "serves every model, on GPUs that cost",
}


@dataclass(frozen=True)
class Fleets:
    """The machines, a line for each kind; empty where there are none."""

    before: str
    after: str


@dataclass(frozen=True)
class Loss:
    """A resource that costs or holds data, and would be replaced or deleted.

    Attributes:
        resource: The resource.
        weight: What it is for.
        kind: "replace" or "delete"; "roll over" where another of its kind takes its place before it goes.
    """

    resource: Resource
    weight: str
    kind: Literal["replace", "delete", "roll over"]


def fleets(preview: Preview) -> Fleets:
    """Returns the machines of before and after."""
    before = [line for resource in preview.resources for line in _machines(resource.type, resource.before)]
    after = [line for resource in preview.resources for line in _machines(resource.type, resource.after)]
    return Fleets(", ".join(before), ", ".join(after))


def losses(preview: Preview) -> tuple[Loss, ...]:
    """Returns what costs or holds data and would be replaced or deleted."""
    successor = any(item.op == "create" and item.type == VERTEX_DEPLOYED_MODEL for item in preview.changes)
    return tuple(_losses(preview, successor))


def _losses(preview: Preview, successor: bool) -> Iterator[Loss]:
    for resource in preview.changes:
        weight = _WEIGHTY.get(resource.short_type)
        if weight is None or resource.op not in ("replace", "delete"):
            continue
        # A release is a deployed model of its own: the old one is undeployed when the new one serves (decision 11).
        rolls = successor and resource.type == VERTEX_DEPLOYED_MODEL and resource.op == "delete"
        yield Loss(resource, weight, "roll over" if rolls else "replace" if resource.op == "replace" else "delete")


def _machines(kind: str, inputs: Mapping[str, Any] | None) -> Iterator[str]:
    if inputs is None:
        return
    if kind == VERTEX_DEPLOYED_MODEL:
        machine, gpu = _known(inputs, "machineType"), _known(inputs, "acceleratorType")
        gpus = f" with {_known(inputs, 'acceleratorCount')} x {gpu}" if inputs.get("acceleratorType") else ""
        yield f"{_counted(_known(inputs, 'minReplicas'), _known(inputs, 'maxReplicas'))} x {machine}{gpus}"
    if kind == _ENDPOINT_CONFIGURATION:
        variants = inputs.get("productionVariants")
        for variant in variants if isinstance(variants, list) else ():
            count = _known(variant, "initialInstanceCount")
            yield f"{count} x {_known(variant, 'instanceType')}"


def _known(inputs: Mapping[str, Any], key: str) -> str:
    value = inputs.get(key)
    return "?" if value in (None, UNKNOWN) else str(value)


def _counted(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"
