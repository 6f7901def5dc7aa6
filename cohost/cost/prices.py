"""Prices as data: what a cloud asks for a thing in a region, where that is from, when, and how sure.

The files `prices/*.json` hold them, a cloud each; docs/cost.md tells how they are brought up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Final

AWS: Final = "aws"
GCP: Final = "gcp"
# The region of a price that is the same in all of them.
EVERYWHERE: Final = "*"
ON_DEMAND: Final = "on-demand"
SPOT: Final = "spot"
HOURS_PER_MONTH: Final = 730
# Prices change a few times a year; one that is older than half of one is to be looked at again.
OLD_DAYS: Final = 183

HOUR: Final = "hour"
MONTH: Final = "month"
GIB_MONTH: Final = "gib-month"
UNITS: Final = (HOUR, MONTH, GIB_MONTH)

LISTED: Final = "listed"
QUOTED: Final = "quoted"
DERIVED: Final = "derived"
UNVERIFIED: Final = "unverified"
# How sure a price is: read from the cloud's own list by `scripts.prices`; read where somebody quotes that list;
# calculated from other prices; recalled, or stated somewhere without saying from where.
SURE: Final = (LISTED, QUOTED, DERIVED, UNVERIFIED)


@dataclass(frozen=True)
class Price:
    """One price.

    Attributes:
        service: Whose it is, as its cloud calls it ("AmazonSageMaker", "Vertex AI").
        item: What it is for ("ml.g5.xlarge", "NVIDIA_TESLA_T4").
        purchase: "on-demand" or "spot".
        region: Where it holds; "*" = everywhere.
        amount: How much, for one unit.
        currency: In what ("USD").
        unit: "hour", "month" or "gib-month" (2^30 bytes, as both clouds count what is stored).
        source: Where it is from, for a person.
        retrieved: The day of that.
        sure: How sure it is: "listed", "quoted", "derived" or "unverified".
    """

    service: str
    item: str
    purchase: str
    region: str
    amount: Decimal
    currency: str
    unit: str
    source: str
    retrieved: date
    sure: str

    @property
    def per_hour(self) -> Decimal:
        """The price of one for an hour."""
        return self.amount if self.unit == HOUR else self.amount / HOURS_PER_MONTH

    @property
    def per_month(self) -> Decimal:
        """The price of one for a month of 730 hours."""
        return self.amount * HOURS_PER_MONTH if self.unit == HOUR else self.amount

    def age(self, today: date) -> int:
        """Returns its age in days."""
        return (today - self.retrieved).days


class PriceList:
    """Prices, looked up by service, item, purchase and region."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self.prices: tuple[Price, ...] = tuple(prices)
        self._by_key = {(price.service, price.item, price.purchase, price.region): price for price in self.prices}

    def find(self, service: str, item: str, region: str, purchase: str = ON_DEMAND) -> Price | None:
        """Returns a price; None where none is known."""
        for where in (region, EVERYWHERE):
            found = self._by_key.get((service, item, purchase, where))
            if found:
                return found
        return None

    def regions(self, service: str, item: str, purchase: str = ON_DEMAND) -> tuple[str, ...]:
        """Returns the regions in which a price is known."""
        keys = self._by_key
        return tuple(sorted(region for s, i, p, region in keys if (s, i, p) == (service, item, purchase)))


def parse(document: Mapping[str, Any]) -> list[Price]:
    """Returns the prices of one file's document.

    Raises:
        KeyError, ValueError: It is not such a document; the tests of the files keep them such.
    """
    return [
        _price(document, row, region, amount) for row in document["prices"] for region, amount in row["regions"].items()
    ]


def _price(document: Mapping[str, Any], row: Mapping[str, Any], region: str, amount: str) -> Price:
    source = document["sources"][row["source"]]
    return Price(
        service=row["service"],
        item=row["item"],
        purchase=row["purchase"],
        region=region,
        amount=Decimal(amount),
        currency=document["currency"],
        unit=row["unit"],
        source=source["source"],
        retrieved=date.fromisoformat(source["retrieved"]),
        sure=source["sure"],
    )


def document(cloud: str) -> dict[str, Any]:
    """Returns the document of a cloud's file ("aws", "gcp")."""
    return json.loads(resources.files("cohost.cost").joinpath(f"prices/{cloud}.json").read_text("utf-8"))


@cache
def known() -> PriceList:
    """Returns every price that this release knows."""
    return PriceList(price for cloud in (AWS, GCP) for price in parse(document(cloud)))
