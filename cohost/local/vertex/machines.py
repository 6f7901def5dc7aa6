"""The machines that a deployed model asks for: whether they exist, and whether the project may have them."""

from __future__ import annotations

from typing import Final

from cohost import vertex_fleet
from cohost.local.vertex import errors
from cohost.local.vertex.errors import invalid, unsupported
from cohost.local.vertex.limits import Limits
from cohost.local.vertex.protos import Record

_MACHINE_MEMBERS: Final = frozenset({"machineType", "acceleratorType", "acceleratorCount", "reservationAffinity"})


def check(deployed: Record, region: str) -> None:
    """Checks the machines of a deployed model, and fills in what the service does.

    Raises:
        VertexError: They do not exist so. The words are the emulator's own.
    """
    resources = deployed.get("dedicatedResources")
    if not resources:
        raise invalid("The model supports DEDICATED_RESOURCES alone: deployed_model.dedicated_resources is required.")
    machine = resources.get("machineSpec", {})
    if unknown := machine.keys() - _MACHINE_MEMBERS:
        raise unsupported(f"machine_spec.{sorted(unknown)[0]}")
    if not machine.get("machineType"):
        raise invalid("dedicated_resources.machine_spec.machine_type is required.")
    check_replicas(resources)
    kind, count = machine.get("acceleratorType"), machine.get("acceleratorCount", 0)
    if bool(kind) != bool(count):
        raise invalid("machine_spec.accelerator_type and machine_spec.accelerator_count go together.")
    if kind and vertex_fleet.machine(machine["machineType"]) and vertex_fleet.accelerator(kind):
        for _, fault in vertex_fleet.faults(machine["machineType"], kind, count, region):
            raise invalid(f"The machine_spec is not supported: {fault}.")


def check_replicas(resources: Record) -> None:
    """Checks how many replicas there are to be; without a maximum there are never more than the minimum.

    Raises:
        VertexError: There are none, or fewer at the most than at the least.
    """
    low = resources.get("minReplicaCount", 0)
    if low < 1:
        raise invalid("dedicated_resources.min_replica_count must be at least 1.")
    high = resources.setdefault("maxReplicaCount", low)
    if high < low:
        raise invalid("dedicated_resources.max_replica_count must not be less than min_replica_count.")


def check_quota(deployed: Record, others: list[Record], limits: Limits) -> None:
    """Checks that the project may have the GPUs, at the most that it scales to (DedicatedResources' comments).

    Args:
        deployed: The deployed model that asks for them.
        others: All others of the project in the region.
        limits: The quotas.

    Raises:
        VertexError: It may not.
    """
    kind = deployed["dedicatedResources"]["machineSpec"].get("acceleratorType")
    if kind and sum(_gpus(each, kind) for each in (deployed, *others)) > limits.quota(kind):
        known = vertex_fleet.accelerator(kind)
        name = known.quota if known else f"custom_model_serving_{kind.lower().replace('_tesla', '')}_gpus"
        raise errors.over_quota(name)


def _gpus(deployed: Record, kind: str) -> int:
    resources = deployed["dedicatedResources"]
    machine = resources["machineSpec"]
    same = machine.get("acceleratorType") == kind
    return resources["maxReplicaCount"] * machine["acceleratorCount"] if same else 0
