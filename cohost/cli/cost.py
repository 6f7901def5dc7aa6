"""`cohost cost`: what a stack costs, from its settings, its catalog and prices as data; nothing is asked of a cloud."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from cohost import artifact, costing, settings
from cohost.cli.answer import Answer, size, table
from cohost.cost import OLD_DAYS, Estimate, Line, Range, of_resources, span
from cohost.cost import aws as aws_prices
from cohost.cost import gcp as gcp_prices
from cohost.cost.elsewhere import Alternative, elsewhere
from cohost.cost.estimate import UNSURE, estimate
from cohost.cost.usage import Usage, Used
from cohost.errors import InputError, Problem
from cohost.gcp_settings import GcpSettings
from cohost.release import Release

_GIB: Final = 2**30
_SECONDS_AN_HOUR: Final = 3600
_MILLION: Final = 1_000_000
_REFRESH: Final = "`python -m scripts.prices` brings them up to date (docs/cost.md)"


@dataclass(frozen=True)
class _Costs:
    """What a stack costs, and what goes with it.

    Attributes:
        stack: The stack's name.
        platform: Its cloud.
        region: Where it is.
        models: How many models share it.
        standing: What costs as long as it stands; the same as a preview of the stack gives.
        storage: What one release costs in the store.
        stored: How many bytes that is.
        unsized: The models of which only the digest is here.
        alternatives: Its machines elsewhere.
        rate: Calls a second; None = not asked.
        today: The day that ages are reckoned to.
    """

    stack: str
    platform: str
    region: str
    models: int
    standing: Estimate
    storage: Estimate
    stored: int
    unsized: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    rate: float | None
    today: date

    @property
    def complete(self) -> bool:
        """Whether everything that costs has a price, and so is in the sums."""
        return not (self.standing.unknown or self.storage.unknown or self.unsized)

    @property
    def per_month(self) -> Range:
        """Everything that has a price, for a month."""
        return self.standing.per_month + self.storage.per_month

    @property
    def per_model(self) -> Range:
        """The same for each of the models that share it."""
        return self.per_month.times(Decimal(1) / self.models)

    @property
    def per_million_calls(self) -> Range | None:
        """What a million calls cost at the rate that was asked for."""
        if self.rate is None:
            return None
        calls_an_hour = Decimal(str(self.rate)) * _SECONDS_AN_HOUR
        return (self.standing.per_hour + self.storage.per_hour).times(Decimal(_MILLION) / calls_an_hour)

    @property
    def lines(self) -> list[Line]:
        """Every line with a price."""
        estimates = (self.standing, self.storage, *(other.estimate for other in self.alternatives))
        return [line for each in estimates for line in each.lines]


def cost(arguments: argparse.Namespace) -> Answer:
    """Estimates what a stack costs, and what its machines would cost elsewhere."""
    found = _reckon(arguments)
    return Answer(document=_document(found), text=_text(found))


def _reckon(arguments: argparse.Namespace) -> _Costs:
    from cohost.local import stack_config

    rate = _rate(arguments.rate)
    root = stack_config.find_root(arguments.root)
    config = stack_config.load(root, arguments.stack)
    cache = artifact.DigestCache.of_project(root)
    chosen, models = settings.prepare(config.values, stack=arguments.stack, root=root, cache=cache)
    release = Release(artifact.digests(models, cache=cache)).digest
    stored, unsized = costing.stored_bytes(chosen, models, cache)
    return _Costs(
        stack=arguments.stack,
        platform=chosen.platform,
        region=chosen.region,
        models=len(models.models),
        standing=of_resources(costing.resources(chosen, release)),
        storage=_storage(chosen, stored, len(models.models) - len(unsized)),
        stored=stored,
        unsized=unsized,
        alternatives=elsewhere(costing.fleet(chosen)),
        rate=rate,
        today=date.today(),
    )


def _rate(given: float | None) -> float | None:
    if given is not None and not (math.isfinite(given) and given > 0):
        raise InputError([Problem("", "--rate", f"{given} is no rate of calls; a number above 0 is, such as 2.5")])
    return given


def _storage(chosen: settings.Settings, stored: int, models: int) -> Estimate:
    on_gcp = isinstance(chosen, GcpSettings)
    usage = Usage(
        name="storage",
        text=f"storage of {models} model{'' if models == 1 else 's'}, {size(stored)}",
        service=gcp_prices.STORAGE if on_gcp else aws_prices.S3,
        item=gcp_prices.STANDARD_STORAGE if on_gcp else aws_prices.STANDARD_STORAGE,
        region=chosen.region,
        minimum=Decimal(stored) / _GIB,
        maximum=Decimal(stored) / _GIB,
    )
    return estimate(Used(standing=(usage,)))


def _document(found: _Costs) -> dict[str, Any]:
    """The answer as `cohost/schemas/cost.schema.json` describes it."""
    calls = found.per_million_calls
    return {
        "stack": found.stack,
        "platform": found.platform,
        "region": found.region,
        "complete": found.complete,
        "standing": found.standing.as_document(),
        "storage": {"bytes": found.stored, "unsized": list(found.unsized), "estimate": found.storage.as_document()},
        "per_month": found.per_month.as_document(),
        "per_model": {"models": found.models, "per_month": found.per_model.as_document()},
        "per_million_calls": calls and {"calls_per_second": found.rate, "cost": calls.as_document()},
        "elsewhere": [
            {
                "where": other.where,
                "region": other.region,
                "machine": other.machine,
                "estimate": other.estimate.as_document(),
            }
            for other in found.alternatives
        ],
        "warnings": list(_warnings(found)),
    }


def _text(found: _Costs) -> str:
    sources = list(dict.fromkeys(line.source for line in found.lines))
    parts = [
        f"{found.stack}: {found.standing.headline()}",
        _table(found, sources),
        "\n".join(_unpriced(found)),
        "\n".join(_shares(found)),
        "\n".join(_footnotes(found, sources)),
        "\n".join(f"note: {warning}" for warning in _warnings(found)),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(found: _Costs, sources: list[str]) -> str:
    rows = [("", "AN HOUR", "A MONTH", "PRICE")]
    for line in (*found.standing.lines, *found.storage.lines):
        rows.append((line.text, *_amounts(line.per_hour, line.per_month, line.mark), _price(line, sources)))
    everything = (found.standing, found.storage)
    mark = UNSURE if any(each.mark for each in everything) else ""
    total = found.standing.per_hour + found.storage.per_hour
    rows.append(
        (
            f"all {'of it' if found.complete else 'that is priced'}, {found.region}",
            *_amounts(total, found.per_month, mark),
            "",
        )
    )
    for other in found.alternatives:
        each = other.estimate
        if each.lines and not each.unknown:
            text = f"the machines on {other.where}: {other.machine}, {other.region}"
            prices = " ".join(_price(line, sources) for line in each.lines)
            rows.append((text, *_amounts(each.per_hour, each.per_month, each.mark), prices))
    return table(rows)


def _amounts(per_hour: Range, per_month: Range, mark: str) -> tuple[str, str]:
    return f"{span(per_hour, fine=True)}{mark}", f"{span(per_month)}{mark}"


def _price(line: Line, sources: list[str]) -> str:
    return f"[{sources.index(line.source) + 1}]"


def _unpriced(found: _Costs) -> Iterator[str]:
    """What has no price, and what is in no sum at all."""
    for item in (*found.standing.unknown, *found.storage.unknown):
        yield f"not priced: {item.name}: {item.why}"
    for other in found.alternatives:
        for item in other.estimate.unknown:
            yield f"the machines on {other.where}: {item.why}"
    if found.unsized:
        yield f"not priced: storage of {', '.join(found.unsized)}: only a digest is here, not the size"
    yield f"by use, in no sum: {'; '.join(found.standing.by_use)}"


def _shares(found: _Costs) -> Iterator[str]:
    update = found.standing.during_update
    if update.maximum:
        yield f"while an update runs, old and new machines both cost: up to {span(update, fine=True)} an hour more"
    least = "" if found.complete else "at least "
    shared = "one model" if found.models == 1 else f"{found.models} models share it"
    yield f"a model: {least}{span(found.per_model)} a month ({shared})"
    if found.per_million_calls is None:
        yield "a million calls: give --rate CALLS, the calls a second that you expect"
    else:
        asked = f"at {found.rate:g} calls a second, if the machines keep up"
        yield f"a million calls: {least}{span(found.per_million_calls)} {asked}"


def _footnotes(found: _Costs, sources: list[str]) -> Iterator[str]:
    ages = {line.source: line.price.age(found.today) for line in found.lines}
    for number, source in enumerate(sources, start=1):
        days = ages[source]
        yield f"[{number}] {days} day{'' if days == 1 else 's'} old: {source}"


def _warnings(found: _Costs) -> Iterator[str]:
    old = [line.price for line in found.lines if line.price.age(found.today) > OLD_DAYS]
    if old:
        oldest = min(price.retrieved for price in old)
        yield f"{len(old)} of the prices are more than {OLD_DAYS} days old, the oldest of {oldest}; {_REFRESH}"
    if any(line.mark for line in found.lines):
        yield f"prices marked {UNSURE} are calculated or recalled, not read from a price list; {_REFRESH}"
