"""What a stack costs, from the resources it declares and from prices as data. Standard library only.

The policy pack imports it from an environment of its own, so nothing here may need another package, and of
`cohost` only what needs none either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cohost.cost.difference import Change, Difference, difference
from cohost.cost.estimate import Estimate, Line, Range, estimate, money, span
from cohost.cost.prices import HOURS_PER_MONTH, OLD_DAYS, Price, PriceList
from cohost.cost.resources import read
from cohost.cost.usage import Unpriced

__all__ = [
    "HOURS_PER_MONTH",
    "OLD_DAYS",
    "Change",
    "Difference",
    "Estimate",
    "Line",
    "Price",
    "PriceList",
    "Range",
    "Unpriced",
    "difference",
    "money",
    "of_resources",
    "span",
]


def of_resources(
    resources: Iterable[Mapping[str, Any]], *, region: str | None = None, prices: PriceList | None = None
) -> Estimate:
    """Returns what resources cost as long as they stand.

    Args:
        resources: Each `{"type": token, "name": logical name, "props": inputs under their wire names}`, as a preview
            or a state has them. Inputs that are not known yet are told apart by being no text and no number.
        region: Where they are; None = as the project's own resources among them say (`props["region"]`).
        prices: The prices; None = those of this release.
    """
    return estimate(read(resources, region=region), prices)
