"""What the Cloud Billing Catalog holds of what this project uses.

The catalog has no machine types: a machine is the sum of its vCPUs, its memory and its GPUs, each a SKU that is told
by its description and holds in its `serviceRegions` (reference of the Cloud Billing API, services.skus.list).
Vertex AI has SKUs of its own, and beside some of them a management fee for the same thing ("Vertex AI: Online/Batch
Prediction management fee on A2 Instance Core in Iowa"): both are paid. The descriptions for G2 and L4 are formed like
those of A2, A3 and N1 that public repositories quote; nobody quotes them, so whether they fit is not verified, and
where they do not, the machine is left as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from cohost.cost import gcp
from cohost.cost.prices import GIB_MONTH, HOUR, ON_DEMAND, SPOT
from scripts.prices.file import Found

# The ids of the services, as gpuhunt and other public repositories have them.
SERVICES: Final[Mapping[str, str]] = {
    gcp.COMPUTE: "6F81-5844-456A",
    gcp.VERTEX: "C7E2-9256-1C43",
    gcp.STORAGE: "95FF-2EF5-5EA1",
}
_ROOT: Final = "https://cloudbilling.googleapis.com/v1/services"
_NANO: Final = Decimal("1e-9")

CORE: Final = "core"
RAM: Final = "ram"
GPU: Final = "gpu"


@dataclass(frozen=True)
class Shape:
    """What a machine is made of.

    Attributes:
        family: "G2" or "N1".
        cores: vCPUs.
        ram: GiB of memory.
        gpus: How many GPUs its price holds; 0 = they have a price of their own.
    """

    family: str
    cores: int
    ram: Decimal
    gpus: int


# Compute Engine documentation, "GPU machine types" and "General-purpose machine family".
_G2_GPUS: Final = {4: 1, 8: 1, 12: 1, 16: 1, 24: 2, 32: 1, 48: 4, 96: 8}
SHAPES: Final[Mapping[str, Shape]] = {
    **{f"g2-standard-{n}": Shape("G2", n, Decimal(4 * n), gpus) for n, gpus in _G2_GPUS.items()},
    **{f"n1-standard-{n}": Shape("N1", n, Decimal(n) * Decimal("3.75"), 0) for n in (4, 8, 16)},
}
_GPUS: Final[Mapping[str, str]] = {"L4": "G2", "T4": "NVIDIA_TESLA_T4"}

# Whole descriptions: a part of one also fits custom machines, reservations, commitments, workstations and calendar
# prices. In some of them a region's SKU is "in", in others "running in".
_COMPUTE: Final = re.compile(
    r"(?P<spot>Spot Preemptible )?(?P<family>G2|N1) (?:Predefined )?Instance (?P<part>Core|Ram) running in [\w ()-]+",
    re.IGNORECASE,
)
_COMPUTE_GPU: Final = re.compile(
    r"Nvidia (?:Tesla )?(?P<gpu>L4|T4) GPU (?P<spot>attached to Spot Preemptible VMs )?running in [\w ()-]+",
    re.IGNORECASE,
)
_VERTEX: Final = re.compile(
    r"Vertex AI: Online/Batch Prediction (?P<fee>management fee on )?"
    r"(?:(?P<family>G2|N1) (?:Predefined )?Instance (?P<part>Core|Ram)|Nvidia (?:Tesla )?(?P<gpu>L4|T4) GPU) "
    r"(?:running )?in [\w ()-]+",
    re.IGNORECASE,
)
_STORAGE: Final = re.compile(r"Standard Storage (?!.*(?:Dual|Multi)-region)[\w ()-]+", re.IGNORECASE)
_USAGE: Final[Mapping[str, str]] = {ON_DEMAND: "OnDemand", SPOT: "Preemptible"}


@dataclass(frozen=True)
class Part:
    """One price of a part of a machine.

    Attributes:
        family: "G2" or "N1" of cores and memory; of a GPU what it belongs to, "G2" or its own name.
        kind: "core", "ram" or "gpu".
        purchase: "on-demand" or "spot".
        region: Where it holds.
        fee: Whether it is a fee on top.
        amount: How much, for an hour.
    """

    family: str
    kind: str
    purchase: str
    region: str
    fee: bool
    amount: Decimal


def url(service: str) -> str:
    """Returns the address of the SKUs of a service."""
    return f"{_ROOT}/{SERVICES[service]}/skus"


def machines(service: str, skus: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[Found]:
    """Yields the prices of machines, and of GPUs beside them.

    Args:
        service: "Compute Engine" or "Vertex AI".
        skus: The SKUs of that service.
        now: The time at which a price must hold.
    """
    parts = list(_parts(service, skus, now))
    for purchase in _USAGE:
        for region in sorted({part.region for part in parts}):
            here = [part for part in parts if (part.purchase, part.region) == (purchase, region)]
            yield from _machines(service, here, purchase, region)


def storage(skus: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[Found]:
    """Yields the price of Standard storage in single regions, of its first tier that is not free."""
    for sku in skus:
        rates = _rates(sku, now, "GiBy.mo")
        if rates and _STORAGE.fullmatch(sku["description"]) and sku["category"]["usageType"] == _USAGE[ON_DEMAND]:
            amount = next((amount for amount in rates if amount > 0), Decimal(0))
            for region in sku["serviceRegions"]:
                yield Found(gcp.STORAGE, gcp.STANDARD_STORAGE, region, amount, GIB_MONTH)


def _machines(service: str, parts: list[Part], purchase: str, region: str) -> Iterator[Found]:
    for name, shape in SHAPES.items():
        core, ram, gpu = (_one(parts, shape.family, kind) for kind in (CORE, RAM, GPU))
        if core and ram and (gpu or not shape.gpus):
            amount = shape.cores * core + shape.ram * ram + shape.gpus * (gpu or 0)
            yield Found(service, name, region, amount, HOUR, purchase)
    for name in _GPUS.values():
        amount = None if name == "G2" else _one(parts, name, GPU)
        if amount:
            yield Found(service, name, region, amount, HOUR, purchase)


def _one(parts: list[Part], family: str, kind: str) -> Decimal | None:
    """The price of a part with its fee; None where there is none, or more than one that fits."""
    fits = [part for part in parts if (part.family, part.kind) == (family, kind)]
    usage = {part.amount for part in fits if not part.fee}
    fees = {part.amount for part in fits if part.fee}
    return sum(usage | fees, Decimal(0)) if len(usage) == 1 and len(fees) <= 1 else None


def _parts(service: str, skus: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[Part]:
    for sku in skus:
        told = _told(service, sku["description"])
        if told is None:
            continue
        amounts = _rates(sku, now, "GiBy.h" if told["kind"] == RAM else "h")
        purchase = next((name for name, usage in _USAGE.items() if usage == sku["category"]["usageType"]), None)
        if amounts and purchase and told["spot"] == (purchase == SPOT):
            for region in sku["serviceRegions"]:
                yield Part(told["family"], told["kind"], purchase, region, told["fee"], amounts[0])


def _told(service: str, description: str) -> dict[str, Any] | None:
    """What a description tells: family, kind, whether Spot, whether a fee; None where it is of something else."""
    patterns = (_VERTEX,) if service == gcp.VERTEX else (_COMPUTE, _COMPUTE_GPU)
    match = next(filter(None, (pattern.fullmatch(description) for pattern in patterns)), None)
    if match is None:
        return None
    groups = match.groupdict()
    gpu = groups.get("gpu")
    return {
        "family": _GPUS[gpu.upper()] if gpu else groups["family"].upper(),
        "kind": GPU if gpu else groups["part"].lower(),
        "spot": bool(groups.get("spot")),
        "fee": bool(groups.get("fee")),
    }


def _rates(sku: Mapping[str, Any], now: datetime, unit: str) -> list[Decimal]:
    """The prices of a SKU's tiers that hold now; none in another unit than expected."""
    valid = [info for info in sku["pricingInfo"] if datetime.fromisoformat(info["effectiveTime"]) <= now]
    if not valid:
        return []
    expression = max(valid, key=lambda info: datetime.fromisoformat(info["effectiveTime"]))["pricingExpression"]
    if expression["usageUnit"] != unit:
        return []
    tiers = sorted(expression["tieredRates"], key=lambda tier: tier.get("startUsageAmount", 0))
    return [Decimal(tier["unitPrice"].get("units") or 0) + tier["unitPrice"].get("nanos", 0) * _NANO for tier in tiers]
