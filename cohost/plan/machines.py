"""The machines that a plan chooses from, and what of them models can use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cohost import fleet, vertex_fleet
from cohost.cost.elsewhere import Alternative, Fleet, near, plain, served
from cohost.cost.prices import AWS, GCP
from cohost.errors import InputError, Problem
from cohost.plan.inputs import Assumptions
from cohost.plan.sizing import Room

_MIB: Final = 2**20
_GIB: Final = 2**30
_GB: Final = 10**9
_SAGEMAKER_PREFIX: Final = "ml."
# The smaller ones of each GPU that both clouds have; others by --instance.
_AWS_DEFAULTS: Final = ("ml.g4dn.xlarge", "ml.g4dn.2xlarge", "ml.g5.xlarge", "ml.g5.2xlarge")
_GCP_DEFAULTS: Final = ("n1-standard-4", "n1-standard-8", "g2-standard-4", "g2-standard-8")
# MiB that nvidia-smi shows on ml.g4dn.2xlarge (aws-samples/sagemaker-mme-gpu-benchmarking, outputs of its notebooks),
# of the 16,384 that EC2 lists. The number that EC2 lists for an A10G is already that.
_T4_VISIBLE_MIB: Final = 15_109
_T4_LISTED_MIB: Final = 16_384


@dataclass(frozen=True)
class Kind:
    """One way to serve, on one type of machine.

    Attributes:
        platform: "sagemaker", "vertex", "ec2" or "compute-engine"; the last two are Triton that you run yourself.
        fleet: One such machine, and where.
        gpu: The GPU's name.
        gpu_memory: Bytes of it that programs can use.
        disk: Bytes for models; None = as much as they need, which you choose.
    """

    platform: str
    fleet: Fleet
    gpu: str
    gpu_memory: int
    disk: int | None

    @property
    def cached(self) -> bool:
        """Whether models are loaded as they are called; otherwise all are in memory for good."""
        return self.platform == "sagemaker"

    @property
    def managed(self) -> bool:
        """Whether the cloud runs Triton."""
        return self.platform in ("sagemaker", "vertex")

    @property
    def absent(self) -> str:
        """Why there is no such machine in its region; empty where there is, or nobody knows."""
        where, gpu = self.fleet.region, self.fleet.accelerator
        if self.fleet.cloud == AWS or where in vertex_fleet.regions(gpu):
            return ""
        return f"{where} is not known to have {gpu}"

    def room(self, assumed: Assumptions, stored: int) -> Room:
        """Returns what models can use.

        Args:
            assumed: What is assumed.
            stored: Bytes of all models' files.
        """
        memory = int(self.gpu_memory * assumed.usable) - assumed.base_memory
        # A machine whose disk is yours to choose holds them all, with an archive beside each.
        return Room(max(0, memory), self.disk if self.disk is not None else 2 * stored)

    def cost(self, machines: int) -> Alternative:
        """Returns what so many machines cost, all of the time."""
        wanted = replace(self.fleet, minimum=machines, maximum=machines)
        return served(wanted) if self.managed else plain(wanted)


def kinds(cloud: str, region: str, chosen: Sequence[str]) -> tuple[Kind, ...]:
    """Returns the ways to serve in a region, and in the other cloud's region nearby.

    Args:
        cloud: "aws" or "gcp".
        region: One of that cloud.
        chosen: Types of machines ("ml.g5.xlarge", "g2-standard-8"); none = the smaller ones of each GPU.

    Raises:
        InputError: With every type that is not known.
    """
    problems = [problem for name in chosen for problem in _faults(name)]
    if problems:
        raise InputError(problems)
    regions = {cloud: region, (GCP if cloud == AWS else AWS): near(cloud, region)}
    aws = [name for name in chosen or _AWS_DEFAULTS if name.startswith(_SAGEMAKER_PREFIX)]
    gcp = [name for name in chosen or _GCP_DEFAULTS if not name.startswith(_SAGEMAKER_PREFIX)]
    on_aws = [_aws(platform, name, regions[AWS]) for platform in ("sagemaker", "ec2") for name in aws]
    on_gcp = [_gcp(platform, name, regions[GCP]) for platform in ("vertex", "compute-engine") for name in gcp]
    found = [*on_aws, *on_gcp] if cloud == AWS else [*on_gcp, *on_aws]
    return tuple(kind for kind in found if kind.fleet.region)


def _faults(name: str) -> list[Problem]:
    if name.startswith(_SAGEMAKER_PREFIX):
        fault = fleet.instance_type_fault(name)
        return [Problem("", "--instance", fault)] if fault else []
    if _has_one_gpu(name):
        return []
    known = ", ".join(filter(_has_one_gpu, vertex_fleet.machines()))
    return [Problem("", "--instance", f"{name!r} is no machine with one GPU that a plan knows; use one of {known}")]


def _has_one_gpu(name: str) -> bool:
    """Triton loads every model on each GPU, so that more of them hold no more models."""
    found = vertex_fleet.machine(name)
    return found is not None and any(1 in counts for counts in found.accelerators.values())


def _aws(platform: str, name: str, region: str) -> Kind:
    found = fleet.instance_type(name)
    assert found is not None
    visible = _T4_VISIBLE_MIB if found.gpu == "T4" else found.gpu_memory_mib
    disk = found.disk_gb * _GB if platform == "sagemaker" else None
    return Kind(platform, Fleet(AWS, region, name, 1, 1), found.gpu, visible * _MIB, disk)


def _gcp(platform: str, name: str, region: str) -> Kind:
    found = vertex_fleet.machine(name)
    assert found is not None
    gpu = next(gpu for gpu, counts in found.accelerators.items() if 1 in counts)
    accelerator = vertex_fleet.accelerator(gpu)
    assert accelerator is not None
    # What the driver leaves of a T4, taken for every GPU: not verified for the others.
    visible = accelerator.memory_gb * _GIB * _T4_VISIBLE_MIB // _T4_LISTED_MIB
    return Kind(platform, Fleet(GCP, region, name, 1, 1, gpu, 1), gpu.removeprefix("NVIDIA_"), visible, None)
