"""The price files: what was found in a price list put in the place of what they hold, in a form fit for review."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from cohost.cost.prices import LISTED, ON_DEMAND

# Under which name the file keeps the source of what this script has read.
SOURCE: Final = "price-list"
_DIGITS: Final = Decimal("0.000001")


@dataclass(frozen=True)
class Found:
    """One price found in a cloud's price list; the fields are those of `cohost.cost.prices.Price`."""

    service: str
    item: str
    region: str
    amount: Decimal
    unit: str
    purchase: str = ON_DEMAND

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is the price of."""
        return self.service, self.item, self.purchase, self.region


def single(found: Iterable[Found]) -> tuple[list[Found], list[str]]:
    """Returns the prices that are told once, and what is told of those with several: a guess would be wrong unseen."""
    by_key: dict[tuple[str, str, str, str], set[Found]] = {}
    for each in found:
        by_key.setdefault(each.key, set()).add(each)
    several = [
        f"{' '.join(key)}: several prices fit ({', '.join(sorted(str(one.amount) for one in each))}); left as it was"
        for key, each in by_key.items()
        if len(each) > 1
    ]
    return [next(iter(each)) for each in by_key.values() if len(each) == 1], sorted(several)


def merge(document: Mapping[str, Any], found: Iterable[Found], source: str, today: date) -> dict[str, Any]:
    """Returns a price file's document with what was found in the place of what it held; the rest stays.

    Args:
        document: The document.
        found: The prices.
        source: Where they were found.
        today: When.
    """
    found = [each for each in found if each.amount > 0]
    keys = {each.key for each in found}
    rows = [kept for row in document["prices"] if (kept := _without(row, keys))["regions"]]
    new: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for each in found:
        amount = format(each.amount.quantize(_DIGITS).normalize(), "f")
        new.setdefault((each.service, each.item, each.purchase, each.unit), {})[each.region] = amount
    rows += [
        {
            "service": service,
            "item": item,
            "purchase": purchase,
            "unit": unit,
            "source": SOURCE,
            "regions": dict(sorted(regions.items())),
        }
        for (service, item, purchase, unit), regions in new.items()
    ]
    rows.sort(key=lambda row: (row["service"], row["item"], row["purchase"], row["source"]))
    here = {SOURCE: {"source": source, "detail": "", "retrieved": today.isoformat(), "sure": LISTED}} if new else {}
    sources = {**document["sources"], **here}
    used = {row["source"] for row in rows}
    return {**document, "sources": {name: told for name, told in sources.items() if name in used}, "prices": rows}


def _without(row: Mapping[str, Any], keys: set[tuple[str, str, str, str]]) -> dict[str, Any]:
    thing = (row["service"], row["item"], row["purchase"])
    return {**row, "regions": {where: told for where, told in row["regions"].items() if (*thing, where) not in keys}}


def to_text(document: Mapping[str, Any]) -> str:
    """Returns the file's text: a line for each source and each row, so that a change reads well."""
    sources = ",\n".join(f"    {json.dumps(name)}: {json.dumps(told)}" for name, told in document["sources"].items())
    rows = ",\n".join(f"    {json.dumps(row)}" for row in document["prices"])
    return (
        f'{{\n  "about": {json.dumps(document["about"])},\n  "currency": {json.dumps(document["currency"])},\n'
        f'  "sources": {{\n{sources}\n  }},\n  "prices": [\n{rows}\n  ]\n}}\n'
    )
