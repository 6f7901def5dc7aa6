"""The estimate: what is used, at its prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from cohost.cost.prices import DERIVED, ON_DEMAND, UNVERIFIED, Price, PriceList, known
from cohost.cost.usage import Unpriced, Usage, Used

_CENT: Final = Decimal("0.01")
_FINE: Final = Decimal("0.0001")
_SIGNS: Final = {"USD": "$"}
# What stands behind an amount that nobody has read from a price list.
UNSURE: Final = "~"


@dataclass(frozen=True)
class Range:
    """An amount, with the fewest machines and with the most.

    Attributes:
        minimum: The amount with the fewest.
        maximum: The amount with the most.
    """

    minimum: Decimal
    maximum: Decimal

    def __add__(self, other: Range) -> Range:
        return Range(self.minimum + other.minimum, self.maximum + other.maximum)

    def __sub__(self, other: Range) -> Range:
        return Range(self.minimum - other.minimum, self.maximum - other.maximum)

    def __iter__(self) -> Iterator[Decimal]:
        return iter((self.minimum, self.maximum))

    def times(self, factor: Decimal) -> Range:
        """Returns it so many times."""
        return Range(self.minimum * factor, self.maximum * factor)

    def as_document(self) -> dict[str, float]:
        """Returns it for JSON, to a millionth."""
        return {"minimum": round(float(self.minimum), 6), "maximum": round(float(self.maximum), 6)}


NOTHING: Final = Range(Decimal(0), Decimal(0))


def money(amount: Decimal, currency: str = "USD", *, fine: bool = False, signed: bool = False) -> str:
    """Returns an amount for a person: "$1,147.56"; `fine` to a hundredth of a cent, `signed` with its sign always."""
    rounded = abs(amount).quantize(_FINE if fine else _CENT, ROUND_HALF_UP)
    sign = "-" if amount < 0 and rounded else "+" if signed and rounded else ""
    return f"{sign}{_SIGNS.get(currency, currency + ' ')}{rounded:,}"


def span(amounts: Range, currency: str = "USD", *, fine: bool = False, signed: bool = False) -> str:
    """Returns a range for a person: "$1.57", or "$1.57 to $4.72" where its ends differ."""
    ends = [money(end, currency, fine=fine, signed=signed) for end in amounts]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


@dataclass(frozen=True)
class Line:
    """One line of an estimate.

    Attributes:
        name: The resource's name.
        text: What it is, and how many.
        per_hour: What it costs an hour.
        per_month: What it costs a month of 730 hours.
        price: The price it was calculated with.
        doubled: Whether there is a second one beside it while an update runs.
    """

    name: str
    text: str
    per_hour: Range
    per_month: Range
    price: Price
    doubled: bool = False

    @property
    def source(self) -> str:
        """Where the price is from, when that was, and how sure it is."""
        return f"{self.price.sure}, {self.price.retrieved}: {self.price.source}"

    @property
    def mark(self) -> str:
        """The mark "~" where the price was not read from a price list; otherwise empty."""
        return UNSURE if self.price.sure in (DERIVED, UNVERIFIED) else ""

    def as_document(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {
            "name": self.name,
            "text": self.text,
            "per_hour": self.per_hour.as_document(),
            "per_month": self.per_month.as_document(),
            "price": {
                "service": self.price.service,
                "item": self.price.item,
                "purchase": self.price.purchase,
                "region": self.price.region,
                "amount": str(self.price.amount),
                "currency": self.price.currency,
                "unit": self.price.unit,
                "source": self.price.source,
                "retrieved": self.price.retrieved.isoformat(),
                "sure": self.price.sure,
            },
        }


@dataclass(frozen=True)
class Estimate:
    """What a stack costs as long as it stands, whether it is called or not.

    Attributes:
        currency: In what ("USD").
        lines: What costs, the dearest first.
        unknown: What costs and could not be priced, and why; it is in no sum.
        by_use: What costs by its use, and is in no sum.
    """

    currency: str
    lines: tuple[Line, ...]
    unknown: tuple[Unpriced, ...] = ()
    by_use: tuple[str, ...] = ()

    @property
    def per_hour(self) -> Range:
        """The sum of the lines for an hour."""
        return sum((line.per_hour for line in self.lines), NOTHING)

    @property
    def per_month(self) -> Range:
        """The sum of the lines for a month of 730 hours."""
        return sum((line.per_month for line in self.lines), NOTHING)

    @property
    def during_update(self) -> Range:
        """What an hour costs more while an update runs: old and new machines stand side by side."""
        return sum((line.per_hour for line in self.lines if line.doubled), NOTHING)

    @property
    def mark(self) -> str:
        """The mark "~" where any line has it; otherwise empty."""
        return UNSURE if any(line.mark for line in self.lines) else ""

    def headline(self) -> str:
        """Returns the estimate in one line."""
        if not self.lines:
            return "nothing priced" + self._unpriced() if self.unknown else "nothing that costs by the hour"
        month, hour = span(self.per_month, self.currency), span(self.per_hour, self.currency, fine=True)
        least, mark = "at least " if self.unknown else "", self.mark
        return f"{least}{month}{mark} a month, {hour}{mark} an hour{self._about()}{self._unpriced()}"

    def text(self) -> str:
        """Returns the estimate for a person: the headline, then a line for each thing."""
        rows = [f"  {line.text}: {span(line.per_month, self.currency)}{line.mark} a month" for line in self.lines]
        rows += [f"  {item.name}: not priced: {item.why}" for item in self.unknown]
        if self.during_update != NOTHING:
            rows.append(f"  while an update runs: up to {money(self.during_update.maximum, fine=True)} an hour more")
        rows += [f"  by use, not in it: {'; '.join(self.by_use)}"] if self.by_use else []
        return "\n".join([self.headline(), *rows])

    def as_document(self) -> dict[str, Any]:
        """Returns the estimate for JSON."""
        return {
            "currency": self.currency,
            "per_hour": self.per_hour.as_document(),
            "per_month": self.per_month.as_document(),
            "during_update_per_hour": self.during_update.as_document(),
            "lines": [line.as_document() for line in self.lines],
            "unknown": [{"name": item.name, "why": item.why} for item in self.unknown],
            "by_use": list(self.by_use),
        }

    def _about(self) -> str:
        return f" ({UNSURE}: calculated or recalled prices)" if self.mark else ""

    def _unpriced(self) -> str:
        return f"; not priced: {', '.join(item.name for item in self.unknown)}" if self.unknown else ""


def estimate(used: Used, prices: PriceList | None = None) -> Estimate:
    """Returns what is used at its prices.

    Args:
        used: What is used.
        prices: The prices; None = those of this release.
    """
    prices = prices or known()
    found = [_line(usage, prices) for usage in used.standing]
    lines = [item for item in found if isinstance(item, Line)]
    return Estimate(
        currency="USD",
        lines=tuple(sorted(lines, key=lambda line: (-line.per_month.maximum, line.name, line.text))),
        unknown=(*used.unknown, *(item for item in found if isinstance(item, Unpriced))),
        by_use=used.by_use,
    )


def _line(usage: Usage, prices: PriceList) -> Line | Unpriced:
    price = prices.find(usage.service, usage.item, usage.region, usage.purchase)
    if price is None:
        return Unpriced(usage.name, _why(usage, prices))
    count = Range(usage.minimum, usage.maximum)
    return Line(
        name=usage.name,
        text=_counted(usage),
        per_hour=Range(price.per_hour * count.minimum, price.per_hour * count.maximum),
        per_month=Range(price.per_month * count.minimum, price.per_month * count.maximum),
        price=price,
        doubled=usage.doubled,
    )


def _counted(usage: Usage) -> str:
    if usage.item == usage.text or usage.doubled:
        least, most = (f"{count.normalize():f}" for count in (usage.minimum, usage.maximum))
        return f"{least if least == most else f'{least} to {most}'} × {usage.text}"
    return usage.text


def _why(usage: Usage, prices: PriceList) -> str:
    """Says what has no price, and what is known instead."""
    where = usage.region or "a region that nothing tells"
    kind = "" if usage.purchase == ON_DEMAND else f" {usage.purchase}"
    missing = f"no{kind} price of {usage.item} ({usage.service}) is known in {where}"
    on_demand = prices.find(usage.service, usage.item, usage.region) if kind else None
    if on_demand:
        most = money(on_demand.per_month * usage.maximum, on_demand.currency)
        return f"{missing}; on demand it would be {most} a month at the most"
    regions = prices.regions(usage.service, usage.item, usage.purchase)
    return f"{missing}; it is in {', '.join(regions)}" if regions else missing
