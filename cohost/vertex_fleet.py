"""What can serve Triton on a Vertex AI endpoint: machines, GPUs, and the regions that have them.

Pure lookups in `data/vertex_fleet.json`, where every part names its source and the day it was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any, Final

_GB: Final = 1_000_000_000


@dataclass(frozen=True)
class Accelerator:
    """One kind of GPU.

    Attributes:
        name: Google's name ("NVIDIA_L4").
        memory_gb: Its memory in GB.
        quota: Name of the quota that serving on it is charged to.
    """

    name: str
    memory_gb: int
    quota: str


@dataclass(frozen=True)
class MachineType:
    """One machine type that takes GPUs.

    Attributes:
        name: Google's name ("g2-standard-8").
        memory_gb: Its memory in GB.
        accelerators: How many of which GPU it takes.
    """

    name: str
    memory_gb: int
    accelerators: Mapping[str, Sequence[int]]


@cache
def _data() -> Mapping[str, Any]:
    return json.loads(resources.files("cohost").joinpath("data/vertex_fleet.json").read_text("utf-8"))


def default_machine() -> str:
    """Returns the machine type of a stack that names none."""
    return _data()["defaults"]["machine"]


def default_accelerator() -> str:
    """Returns the GPU of a stack that names none."""
    return _data()["defaults"]["accelerator"]


def machines() -> tuple[str, ...]:
    """Returns the names of every machine type that takes GPUs."""
    return tuple(_data()["machines"]["types"])


def machine(name: str) -> MachineType | None:
    """Returns what is known of a machine type; None when it is not known to take GPUs."""
    found = _data()["machines"]["types"].get(name)
    return MachineType(name=name, **found) if found else None


def accelerators() -> tuple[str, ...]:
    """Returns the names of every GPU."""
    return tuple(_data()["accelerators"]["types"])


def accelerator(name: str) -> Accelerator | None:
    """Returns what is known of a GPU; None when nothing is."""
    found = _data()["accelerators"]["types"].get(name)
    if not found:
        return None
    quota = f"custom_model_serving_{found['quota']}_gpus"
    return Accelerator(name=name, memory_gb=found["memory_gb"], quota=quota)


def regions(accelerator: str) -> tuple[str, ...]:
    """Returns the regions that have a GPU; none when it is not known."""
    return tuple(_data()["regions"]["accelerators"].get(accelerator, ()))


def memory_bytes(machine_name: str, accelerator_name: str, count: int) -> int | None:
    """Returns what all models of a replica together can take at the most, on GPUs and beside them.

    Args:
        machine_name: The machine type.
        accelerator_name: The GPU.
        count: How many there are.
    """
    host, gpu = machine(machine_name), accelerator(accelerator_name)
    return (host.memory_gb + count * gpu.memory_gb) * _GB if host and gpu else None


def faults(machine_name: str, accelerator_name: str, count: int, region: str) -> Iterator[tuple[str, str]]:
    """Returns what is wrong with a combination: which part ("type", "accelerator", …), and why and what would be right.

    Args:
        machine_name: The machine type.
        accelerator_name: The GPU.
        count: How many of them a machine is to have.
        region: Where.
    """
    found, gpu = machine(machine_name), accelerator(accelerator_name)
    if found is None:
        yield "type", f"{machine_name!r} is not known to take a GPU{_near(machine_name, machines())}"
    if gpu is None:
        yield "accelerator", _refusal(accelerator_name)
    if found and gpu:
        yield from _mismatch(found, gpu, count)
    if gpu and region not in regions(accelerator_name):
        there = ", ".join(regions(accelerator_name))
        yield "accelerator", f"{region} is not known to have {accelerator_name}; these regions are: {there}"


def _mismatch(found: MachineType, gpu: Accelerator, count: int) -> Iterator[tuple[str, str]]:
    counts = found.accelerators.get(gpu.name)
    if counts is None:
        yield "accelerator", f"{found.name} takes {' or '.join(found.accelerators)}, not {gpu.name}"
    elif count not in counts:
        yield "acceleratorCount", f"{found.name} takes {' or '.join(map(str, counts))} of {gpu.name}, not {count}"


def refused(name: str) -> str | None:
    """Returns why a GPU cannot serve; None when nothing is known that speaks against it."""
    reasons: Mapping[str, str] = _data()["refused"]["reasons"]
    return next((reason for prefix, reason in reasons.items() if name.startswith(prefix)), None)


def _refusal(name: str) -> str:
    why = refused(name)
    if why:
        return f"{name!r} cannot serve: {why}; use one of {', '.join(accelerators())}"
    return f"{name!r} is not a GPU that can serve{_near(name, accelerators())}"


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else f"; use one of {', '.join(known)}"
