"""What the stack costs: shown in every preview, and held to a budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from cohost import cost, tokens
from rules import types
from rules.deployed import deployed
from rules.rule import Context, Resource, Rule
from rules.values import UNKNOWN, at, items


def _estimate(resources: Sequence[Resource]) -> cost.Estimate:
    return cost.of_resources(
        {"type": resource.type, "name": resource.name, "props": resource.props} for resource in resources
    )


def _over_budget(resources: Sequence[Resource], context: Context) -> Iterator[tuple[str, Resource | None]]:
    estimate, most = _estimate(resources), Decimal(str(context.settings["maximum"]))
    if estimate.per_month.maximum > most:
        found = cost.money(estimate.per_month.maximum, estimate.currency)
        yield f"costs up to {found} a month; {cost.money(most, estimate.currency)} are the most", None
    if context.settings["allowUnpriced"] or any(value is UNKNOWN for each in resources for value in _measures(each)):
        return
    machines = {resource.name: resource for resource in resources if resource.type in _MACHINES}
    for item in estimate.unknown:
        if item.name in machines:
            yield f"cannot be held to a budget: {item.why}", machines[item.name]


_MACHINES: Final = (types.AWS_ENDPOINT_CONFIGURATION, tokens.VERTEX_DEPLOYED_MODEL)
_COUNTED: Final[Mapping[str, Sequence[str]]] = {
    tokens.VERTEX_DEPLOYED_MODEL: (
        *("machineType", "acceleratorType", "acceleratorCount", "spot", "region"),
        *("minReplicas", "maxReplicas"),
    ),
    types.AWS_SCALING_TARGET: ("resourceId", "minCapacity", "maxCapacity"),
    types.AWS_ENDPOINT_CONFIGURATION: ("productionVariants",),
}


def _measures(resource: Resource) -> Iterator[Any]:
    """Yields what the cost depends on."""
    for name in _COUNTED.get(resource.type, ()):
        yield resource.props.get(name)
    variants = resource.props.get("productionVariants")
    yield from variants if isinstance(variants, list) else ()
    for variant in items(variants):
        yield from (at(variant, name) for name in ("variantName", "instanceType", "initialInstanceCount"))


MONTHLY_BUDGET: Final = Rule(
    name="monthly-budget",
    description="A stack costs no more a month than its budget, with as many machines as it may have.",
    level="mandatory",
    severity="high",
    remedy="Take fewer or smaller machines, or have the budget raised; `cohost cost` shows what costs how much.",
    source="The organization's own; prices: cohost/cost/prices, each with its source and day",
    stack_check=_over_budget,
    settings={
        "maximum": {
            "type": "number",
            "minimum": 0,
            "default": 3000,
            "description": "US dollars a month (730 hours).",
        },
        "allowUnpriced": {
            "type": "boolean",
            "default": False,
            "description": "Whether machines may be used that no price is known of.",
        },
    },
)


def _shown(resources: Sequence[Resource], context: Context) -> Iterator[tuple[str, Resource | None]]:
    estimate = _estimate(resources)
    # After an update the state is what the stack has just become.
    change = f"\n  against what is deployed: {_change(resources, estimate)}" if context.preview else ""
    yield estimate.text() + change, None


def _change(resources: Sequence[Resource], estimate: cost.Estimate) -> str:
    before = deployed(resources[0].urn) if resources else None
    if before is None:
        return "not known here, the state cannot be read"
    return cost.difference(cost.of_resources(before), estimate).text()


ESTIMATED_COST: Final = Rule(
    name="estimated-cost",
    description="What the stack costs, and how much that is more than now.",
    level="advisory",
    severity="low",
    remedy="",
    source="cohost/cost/prices, each with its source and day; the same as `cohost cost` shows",
    stack_check=_shown,
)

RULES: Final = (MONTHLY_BUDGET, ESTIMATED_COST)
