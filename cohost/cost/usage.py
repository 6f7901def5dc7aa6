"""What a stack uses, whoever says so: the one form that its settings and its Pulumi resources meet in."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from cohost.cost.prices import ON_DEMAND


@dataclass(frozen=True)
class Usage:
    """Something that costs as long as it is there.

    Attributes:
        name: The resource's name.
        text: What it is, for a person.
        service: Whose price it has; with item, purchase and region as of `cohost.cost.prices.Price`.
        item: What has the price.
        region: Where it is.
        minimum: How much there is at least, in the price's unit.
        maximum: How much there is at most.
        purchase: "on-demand" or "spot".
        doubled: Whether there is a second one beside it while an update runs.
    """

    name: str
    text: str
    service: str
    item: str
    region: str
    minimum: Decimal
    maximum: Decimal
    purchase: str = ON_DEMAND
    doubled: bool = False


@dataclass(frozen=True)
class Unpriced:
    """Something that costs, or may, and of which it is not known how much.

    Attributes:
        name: The resource's name.
        why: Why there is no price.
    """

    name: str
    why: str


@dataclass(frozen=True)
class Used:
    """Everything a stack uses.

    Attributes:
        standing: What costs as long as it is there.
        unknown: What nothing can be said of.
        by_use: What costs by its use, and so is in no estimate; sentences for a person.
    """

    standing: tuple[Usage, ...] = ()
    unknown: tuple[Unpriced, ...] = ()
    by_use: tuple[str, ...] = ()
