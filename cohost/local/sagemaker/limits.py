"""What an account and its instances hold: quota, capacity, memory and disk, by instance type."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cohost import fleet
from cohost.local.process import read_json

_GB: Final = 10**9
_MIB: Final = 2**20
_GIB: Final = 2**30

DEFAULT_QUOTA: Final = 4
DEFAULT_CAPACITY: Final = 1000


@dataclass(frozen=True)
class InstanceType:
    """One instance type that can host a multi-model GPU endpoint.

    Attributes:
        gpu_memory: GPU memory in bytes.
        memory: Main memory in bytes.
        disk: Disk for models in bytes.
        own_disk: Whether that disk is the instance's own NVMe, which refuses VolumeSizeInGB.
    """

    gpu_memory: int
    memory: int
    disk: int
    own_disk: bool


def _known(name: str) -> InstanceType:
    found = fleet.instance_type(name)
    assert found is not None
    return InstanceType(found.gpu_memory_mib * _MIB, found.memory_mib * _MIB, found.disk_gb * _GB, own_disk=True)


# SageMaker takes these too ("Multi-model endpoints: instance types with GPU", Amazon SageMaker developer guide); a
# stack does not, since their GPUs are too old for current images. Sizes: EC2 instance type pages; 30 GB is the
# volume that an endpoint gets where it names no size.
_TOO_OLD_FOR_STACKS: Final = {
    "ml.p2.xlarge": InstanceType(12 * _GIB, 61 * _GIB, 30 * _GB, own_disk=False),
    "ml.p3.2xlarge": InstanceType(16 * _GIB, 61 * _GIB, 30 * _GB, own_disk=False),
}
INSTANCE_TYPES: Final[Mapping[str, InstanceType]] = {
    **{name: _known(name) for name in fleet.instance_types()},
    **_TOO_OLD_FOR_STACKS,
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
        return self._get("memory", instance_type, INSTANCE_TYPES[instance_type].gpu_memory)

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
