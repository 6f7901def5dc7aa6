"""What an account and its instances hold: quota, capacity, GPU memory and disk, by instance type."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cohost.local.process import read_json

_GB: Final = 10**9
_GIB: Final = 2**30

DEFAULT_QUOTA: Final = 4
DEFAULT_CAPACITY: Final = 1000

# An estimate: what a loaded model takes of the GPU beside its weights (CUDA context and ONNX Runtime's arena).
MODEL_OVERHEAD_BYTES: Final = 64 * 2**20


@dataclass(frozen=True)
class InstanceType:
    """One instance type that can host a multi-model GPU endpoint.

    Attributes:
        memory: GPU memory in bytes.
        disk: Disk for models in bytes.
        own_disk: Whether that disk is the instance's own NVMe, which refuses VolumeSizeInGB.
    """

    memory: int
    disk: int
    own_disk: bool


def _own(memory_gib: int, disk_gb: int) -> InstanceType:
    return InstanceType(memory_gib * _GIB, disk_gb * _GB, own_disk=True)


# Types: "Multi-model endpoints: instance types with GPU" (Amazon SageMaker developer guide, 2026-11): single-GPU
# types only. Sizes: EC2 instance type pages (g4dn: T4, 16 GiB; g5: A10G, 24 GiB; NVMe as listed there).
INSTANCE_TYPES: Final[Mapping[str, InstanceType]] = {
    "ml.p2.xlarge": InstanceType(12 * _GIB, 30 * _GB, own_disk=False),
    "ml.p3.2xlarge": InstanceType(16 * _GIB, 30 * _GB, own_disk=False),
    "ml.g4dn.xlarge": _own(16, 125),
    "ml.g4dn.2xlarge": _own(16, 225),
    "ml.g4dn.4xlarge": _own(16, 225),
    "ml.g4dn.8xlarge": _own(16, 900),
    "ml.g4dn.16xlarge": _own(16, 900),
    "ml.g5.xlarge": _own(24, 250),
    "ml.g5.2xlarge": _own(24, 450),
    "ml.g5.4xlarge": _own(24, 600),
    "ml.g5.8xlarge": _own(24, 900),
    "ml.g5.16xlarge": _own(24, 1900),
}


class Limits:
    """The limits in force: the cloud's, unless `limits.json` says otherwise; read anew on each use.

    The file: `{"quota": {type: instances}, "capacity": {type: instances}, "memory": {type: bytes},
    "disk": {type: bytes}}`, all optional.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def quota(self, instance_type: str) -> int:
        """Instances of a type that the account may have behind endpoints."""
        return self._get("quota", instance_type, DEFAULT_QUOTA)

    def capacity(self, instance_type: str) -> int:
        """Instances of a type that the region has to give."""
        return self._get("capacity", instance_type, DEFAULT_CAPACITY)

    def memory(self, instance_type: str) -> int:
        """GPU memory of an instance, in bytes."""
        return self._get("memory", instance_type, INSTANCE_TYPES[instance_type].memory)

    def disk(self, instance_type: str) -> int:
        """Disk of an instance, in bytes."""
        return self._get("disk", instance_type, INSTANCE_TYPES[instance_type].disk)

    def _get(self, table: str, instance_type: str, default: int) -> int:
        value = read_json(self._path).get(table, {}).get(instance_type, default)
        return int(value)


def quota_name(instance_type: str) -> str:
    """Returns the name by which Service Quotas lists a type's quota."""
    return f"{instance_type} for endpoint usage"


def quota_code(instance_type: str) -> str:
    """Returns a code in Service Quotas' form; the real codes are the account's to look up by name."""
    return "L-" + hashlib.sha256(quota_name(instance_type).encode()).hexdigest()[:8].upper()
