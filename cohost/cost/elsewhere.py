"""The same machines elsewhere: as plain virtual machines, and in the other cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from cohost.cost import aws, gcp
from cohost.cost.estimate import Estimate, estimate
from cohost.cost.gcp import machine_items
from cohost.cost.prices import AWS, GCP, PriceList
from cohost.cost.usage import Unpriced, Usage, Used


@dataclass(frozen=True)
class Fleet:
    """Machines of one kind.

    Attributes:
        cloud: "aws" or "gcp".
        region: Where they are.
        machine: SageMaker's instance type ("ml.g5.xlarge") or Google's machine type ("g2-standard-8").
        minimum: How many there are at least.
        maximum: How many there are at most.
        accelerator: Google's name of the GPU; empty on AWS, where the type says it.
        count: How many GPUs a machine has.
    """

    cloud: str
    region: str
    machine: str
    minimum: int
    maximum: int
    accelerator: str = ""
    count: int = 1


@dataclass(frozen=True)
class Alternative:
    """The machines of a stack, elsewhere.

    Attributes:
        where: What they would be: "Vertex AI", "EC2", ….
        region: Where.
        machine: Which; empty where there is no like.
        estimate: What they would cost; the machines alone.
    """

    where: str
    region: str
    machine: str
    estimate: Estimate


@cache
def _data() -> Mapping[str, Any]:
    return json.loads(resources.files("cohost.cost").joinpath("prices/elsewhere.json").read_text("utf-8"))


def elsewhere(fleet: Fleet, prices: PriceList | None = None) -> tuple[Alternative, ...]:
    """Returns what a fleet would cost as plain machines in its cloud, then in the other one, served and plain.

    Args:
        fleet: The stack's machines, on demand.
        prices: The prices; None = those of this release.
    """
    like = _like(fleet)
    if like is None:
        other = _other(fleet.cloud)
        why = f"{fleet.machine} has no like there"
        return (plain(fleet, prices), *(_none(where, why) for where in _NAMES[other]))
    if not like.region:
        why = f"no region there is known to be near {fleet.region}"
        return (plain(fleet, prices), *(_none(where, why) for where in _NAMES[like.cloud]))
    return plain(fleet, prices), served(like, prices), plain(like, prices)


# What a cloud's machines are called: those that it serves models on, and plain ones.
_NAMES: Mapping[str, tuple[str, str]] = {AWS: ("SageMaker", "EC2"), GCP: ("Vertex AI", "Compute Engine")}


def served(fleet: Fleet, prices: PriceList | None = None) -> Alternative:
    """Returns what a fleet costs on the platform that serves models: SageMaker or Vertex AI."""
    service = aws.SAGEMAKER if fleet.cloud == AWS else gcp.VERTEX
    return _alternative(fleet, _NAMES[fleet.cloud][0], service, prices)


def plain(fleet: Fleet, prices: PriceList | None = None) -> Alternative:
    """Returns what a fleet costs as plain machines of its cloud: EC2 or Compute Engine."""
    where, service = _NAMES[fleet.cloud][1], aws.EC2 if fleet.cloud == AWS else gcp.COMPUTE
    return _alternative(replace(fleet, machine=fleet.machine.removeprefix("ml.")), where, service, prices)


def _alternative(fleet: Fleet, where: str, service: str, prices: PriceList | None) -> Alternative:
    items = machine_items(fleet.machine, fleet.accelerator, Decimal(fleet.count))
    used = tuple(
        Usage(text, text, service, item, fleet.region, fleet.minimum * count, fleet.maximum * count)
        for item, text, count in items
    )
    machine = " + ".join(text for _, text, _ in items)
    return Alternative(where, fleet.region, machine, estimate(Used(standing=used), prices))


def _none(where: str, why: str) -> Alternative:
    return Alternative(where, "", "", Estimate("USD", (), (Unpriced(where, why),)))


def _other(cloud: str) -> str:
    return GCP if cloud == AWS else AWS


def near(cloud: str, region: str) -> str:
    """Returns the other cloud's region near a cloud's region; empty where none is known."""
    return next((row[_other(cloud)] for row in _data()["regions"] if row[cloud] == region), "")


def _like(fleet: Fleet) -> Fleet | None:
    """The nearest like of a fleet in the other cloud, its region empty where none is known; None = no like."""
    machine = next(_machines(fleet), None)
    if machine is None:
        return None
    other = _other(fleet.cloud)
    region = near(fleet.cloud, fleet.region)
    accelerator = machine["accelerator"] if other == GCP else ""
    return Fleet(other, region, machine[other], fleet.minimum, fleet.maximum, accelerator, machine["count"])


def _machines(fleet: Fleet) -> Iterator[Mapping[str, Any]]:
    for row in _data()["machines"]:
        gpus = (row["accelerator"], row["count"])
        if row[fleet.cloud] == fleet.machine and (fleet.cloud == AWS or gpus == (fleet.accelerator, fleet.count)):
            yield row
