"""Rules on the machines: which, how many, and whether they stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cohost import fleet, tokens, vertex_fleet
from rules import types
from rules.rule import Context, Resource, Rule
from rules.values import at, items, missing, number, shown, text

_LISTS: Final = {"type": "array", "items": {"type": "string"}}


def _variants(resource: Resource) -> list[tuple[str, Any]]:
    """The variants of an endpoint configuration, each with what messages call it."""
    variants = items(resource.props.get("productionVariants"))
    return [(f"variant {shown(at(variant, 'variantName'))}", variant) for variant in variants]


def _allowed_instance(resource: Resource, context: Context) -> Iterator[str]:
    allowed = context.settings["instanceTypes"]
    for variant, props in _variants(resource):
        if (found := text(at(props, "instanceType"))) and found not in allowed:
            yield f"{variant} has {found}; allowed are {', '.join(allowed)}"


def _allowed_machine(resource: Resource, context: Context) -> Iterator[str]:
    for prop, setting in (("machineType", "machineTypes"), ("acceleratorType", "accelerators")):
        allowed = context.settings[setting]
        if (found := text(resource.props.get(prop))) and found not in allowed:
            yield f"{prop} is {found}; allowed are {', '.join(allowed)}"


MACHINE_ALLOWED: Final = Rule(
    name="machine-allowed",
    description="Endpoints have only machines and GPUs that the organization allows.",
    level="mandatory",
    severity="medium",
    remedy="Choose one of those, or have the list extended.",
    source="The organization's own; the default is one small GPU a machine (T4, A10G, L4)",
    checks={types.AWS_ENDPOINT_CONFIGURATION: _allowed_instance, tokens.VERTEX_DEPLOYED_MODEL: _allowed_machine},
    settings={
        "instanceTypes": {
            **_LISTS,
            "default": [f"ml.{family}.{size}xlarge" for family in ("g4dn", "g5") for size in ("", "2", "4")],
            "description": "Instance types on AWS.",
        },
        "machineTypes": {
            **_LISTS,
            "default": [f"g2-standard-{cpus}" for cpus in (4, 8, 12, 16)]
            + [f"n1-standard-{cpus}" for cpus in (4, 8, 16)],
            "description": "Machine types on GCP.",
        },
        "accelerators": {
            **_LISTS,
            "default": ["NVIDIA_TESLA_T4", "NVIDIA_L4"],
            "description": "GPUs on GCP.",
        },
    },
)


def _multi_model(resource: Resource, context: Context) -> Iterator[str]:
    if (mode := at(resource.props, "primaryContainer", "mode")) != "MultiModel" and text(mode):
        yield f"primaryContainer.mode is {mode}, not MultiModel"
    if missing(mode):
        yield "primaryContainer.mode is not set, which means a single model"


def _multi_model_type(resource: Resource, context: Context) -> Iterator[str]:
    for variant, props in _variants(resource):
        found = text(at(props, "instanceType"))
        if found and (fault := fleet.instance_type_fault(found)):
            yield f"{variant}: {fault}"


def _has_gpu(resource: Resource, context: Context) -> Iterator[str]:
    accelerator, count = resource.props.get("acceleratorType"), resource.props.get("acceleratorCount")
    if missing(accelerator) or missing(count):
        yield "has no GPU: acceleratorType or acceleratorCount is not set"
    elif (name := text(accelerator)) and (fault := vertex_fleet.refused(name)):
        yield f"acceleratorType is {name}: {fault}"


GPU_CAN_SHARE: Final = Rule(
    name="gpu-can-share",
    description="Machines have a GPU that many models can share behind one endpoint.",
    level="mandatory",
    severity="high",
    remedy="Choose a family that can host multi-model endpoints on GPUs.",
    source="SageMaker developer guide, Multi-model endpoints (instance types); cohost/data/*_fleet.json",
    checks={
        types.AWS_MODEL: _multi_model,
        types.AWS_ENDPOINT_CONFIGURATION: _multi_model_type,
        tokens.VERTEX_DEPLOYED_MODEL: _has_gpu,
    },
)


def _most(resource: Resource, context: Context) -> Iterator[str]:
    yield from _over(context, "maxReplicas", resource.props.get("maxReplicas"))


def _most_scaled(resource: Resource, context: Context) -> Iterator[str]:
    yield from _over(context, "maxCapacity", resource.props.get("maxCapacity"))


def _most_at_first(resource: Resource, context: Context) -> Iterator[str]:
    for variant, props in _variants(resource):
        yield from _over(context, f"{variant}: initialInstanceCount", at(props, "initialInstanceCount"))


def _over(context: Context, what: str, value: Any) -> Iterator[str]:
    most, found = context.settings["maximum"], number(value)
    if found is not None and found > most:
        yield f"{what} is {shown(found)}; {shown(most)} are the most"


REPLICA_CEILING: Final = Rule(
    name="replica-ceiling",
    description="An endpoint does not grow beyond a number of machines.",
    level="mandatory",
    severity="medium",
    remedy="Lower maxInstances or maxReplicas, or have the ceiling raised.",
    source="The organization's own; what traffic costs is then known beforehand",
    checks={
        types.AWS_ENDPOINT_CONFIGURATION: _most_at_first,
        types.AWS_SCALING_TARGET: _most_scaled,
        tokens.VERTEX_DEPLOYED_MODEL: _most,
    },
    settings={
        "maximum": {"type": "integer", "minimum": 1, "default": 4, "description": "The most machines of an endpoint."}
    },
)


def _least(resource: Resource, context: Context) -> Iterator[str]:
    yield from _under(context, "minReplicas", resource.props.get("minReplicas"))


def _least_scaled(resource: Resource, context: Context) -> Iterator[str]:
    yield from _under(context, "minCapacity", resource.props.get("minCapacity"))


def _least_at_first(resource: Resource, context: Context) -> Iterator[str]:
    for variant, props in _variants(resource):
        yield from _under(context, f"{variant}: initialInstanceCount", at(props, "initialInstanceCount"))


def _under(context: Context, what: str, value: Any) -> Iterator[str]:
    least, found = context.settings["minimum"], number(value)
    if found is not None and found < least:
        yield f"{what} is {shown(found)}; {shown(least)} are the least"


REPLICAS_IN_PRODUCTION: Final = Rule(
    name="replicas-in-production",
    description="In production, one machine can fail without an outage.",
    level="mandatory",
    severity="high",
    remedy="Set minInstances or minReplicas to that many.",
    source="AWS Security Hub, SageMaker.4 (more than one instance)",
    checks={
        types.AWS_ENDPOINT_CONFIGURATION: _least_at_first,
        types.AWS_SCALING_TARGET: _least_scaled,
        tokens.VERTEX_DEPLOYED_MODEL: _least,
    },
    settings={
        "minimum": {"type": "integer", "minimum": 1, "default": 2, "description": "The fewest machines of an endpoint."}
    },
    production=True,
)


def _spot(resource: Resource, context: Context) -> Iterator[str]:
    if resource.props.get("spot") is True:
        yield "spot is true, so Google may take the machines away at any time"


NO_SPOT_IN_PRODUCTION: Final = Rule(
    name="no-spot-in-production",
    description="In production, machines are not spot.",
    level="mandatory",
    severity="high",
    remedy="Set machine.spot: false.",
    source="Vertex AI documentation, Use Spot VMs with inference; SageMaker has no spot for endpoints",
    checks={tokens.VERTEX_DEPLOYED_MODEL: _spot},
    production=True,
)

RULES: Final = (MACHINE_ALLOWED, GPU_CAN_SHARE, REPLICA_CEILING, REPLICAS_IN_PRODUCTION, NO_SPOT_IN_PRODUCTION)
