"""What can serve a multi-model GPU endpoint: instance types, images, AMIs, and the accounts of the images.

Pure lookups in `data/sagemaker_fleet.json`, where every part names its source and the day it was read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any, Final

# SageMaker downloads an archive and unpacks it beside: both must fit on the instance's disk at once.
_COPIES_ON_DISK: Final = 2
_GB: Final = 1_000_000_000


@dataclass(frozen=True)
class InstanceType:
    """One instance type that can host a multi-model GPU endpoint; all have one GPU.

    Attributes:
        name: SageMaker's name ("ml.g5.xlarge").
        gpu: The GPU's name.
        gpu_memory_mib: Memory of the GPU in MiB.
        memory_mib: Memory of the instance in MiB.
        disk_gb: Instance storage (NVMe) in GB of 10^9 bytes.
    """

    name: str
    gpu: str
    gpu_memory_mib: int
    memory_mib: int
    disk_gb: int

    @property
    def max_model_bytes(self) -> int:
        """The largest model that fits on the disk, its archive beside it."""
        return self.disk_gb * _GB // _COPIES_ON_DISK


@dataclass(frozen=True)
class ImageVersion:
    """One version of AWS's Triton image.

    Attributes:
        tag: The image's tag.
        ami: The SageMaker inference AMI whose driver suits its CUDA version.
        issue: What speaks against it; None when nothing known does.
    """

    tag: str
    ami: str
    issue: str | None


@cache
def _data() -> Mapping[str, Any]:
    return json.loads(resources.files("cohost").joinpath("data/sagemaker_fleet.json").read_text("utf-8"))


def default_instance_type() -> str:
    """Returns the instance type of a stack that names none."""
    return _data()["defaults"]["instanceType"]


def default_image_version() -> str:
    """Returns the image version of a stack that names none."""
    return _data()["defaults"]["imageVersion"]


def instance_types() -> tuple[str, ...]:
    """Returns the names of every instance type that can host a multi-model GPU endpoint."""
    return tuple(_data()["instances"]["types"])


def instance_type(name: str) -> InstanceType | None:
    """Returns what is known of an instance type; None when it cannot host a multi-model GPU endpoint."""
    found = _data()["instances"]["types"].get(name)
    return InstanceType(name=name, **found) if found else None


def instance_type_fault(name: str) -> str | None:
    """Returns why a type cannot host a multi-model GPU endpoint, and which types can; None when it can."""
    if instance_type(name):
        return None
    types = ", ".join(instance_types())
    return f"{name!r} cannot host a multi-model GPU endpoint: {_refusal(name)}; use one of {types}"


def _refusal(name: str) -> str:
    reasons: Mapping[str, str] = _data()["refused"]["reasons"]
    fitting = [prefix for prefix in reasons if name.startswith(prefix)]
    if fitting:
        return reasons[max(fitting, key=len)]
    near = get_close_matches(name, instance_types(), n=1)
    return "there is no such type" + (f" (did you mean {near[0]}?)" if near else "")


def image_versions() -> tuple[str, ...]:
    """Returns the tags of the known images, the newest first."""
    return tuple(_data()["images"]["versions"])


def image_version(tag: str) -> ImageVersion | None:
    """Returns what is known of an image version; None when nothing is."""
    found = _data()["images"]["versions"].get(tag)
    return ImageVersion(tag=tag, ami=found["ami"], issue=found["issue"]) if found else None


def amis() -> tuple[str, ...]:
    """Returns the inference AMIs for GPUs that SageMaker's API names."""
    return tuple(_data()["amis"]["gpu"])


def regions() -> tuple[str, ...]:
    """Returns the regions for which the account that holds the image is known."""
    return tuple(_data()["accounts"]["regions"])


def image_account(region: str) -> str | None:
    """Returns the account that holds AWS's Triton image in a region; None when it is not known."""
    return _data()["accounts"]["regions"].get(region)


def image_uri(*, region: str, tag: str, account: str) -> str:
    """Returns the address of AWS's Triton image.

    Source of the form: sagemaker-core 2.27.0, image_uris; China has a domain of its own.
    """
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{domain}/{_data()['repository']}:{tag}"
