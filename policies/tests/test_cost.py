from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from cohost import cost, tokens
from rules import cost as cost_rules
from rules import types
from rules.values import UNKNOWN
from tests.stacks import Stack, recorded, rule, set_to, violations

BUDGET = "monthly-budget"


def estimate(stack: Stack) -> cost.Estimate:
    return cost.of_resources({"type": each.type, "name": each.name, "props": each.props} for each in stack.resources)


@pytest.mark.parametrize("name", ["aws", "aws-scaling", "gcp"])
def test_a_stack_may_cost_its_budget_and_no_more(name: str) -> None:
    stack = recorded(name)
    most = estimate(stack).per_month.maximum
    assert most > 0
    assert violations(stack, {BUDGET: {"maximum": float(most)}}) == {}
    assert violations(stack, {BUDGET: {"maximum": 100}}) == {
        BUDGET: [f"costs up to {cost.money(most)} a month; $100.00 are the most"]
    }


@pytest.mark.parametrize(("name", "change"), [
    ("aws", set_to(types.AWS_ENDPOINT_CONFIGURATION, "productionVariants.0.instanceType", "ml.none.xlarge")),
    ("gcp", set_to(tokens.VERTEX_DEPLOYED_MODEL, "machineType", "none-standard-8")),
])  # fmt: skip
def test_machines_without_a_price_cannot_be_held_to_a_budget(name: str, change: Any) -> None:
    unpriced = change(recorded(name))
    why = [item.why for item in estimate(unpriced).unknown]
    assert violations(unpriced)[BUDGET] == [f"cannot be held to a budget: {reason}" for reason in why]
    assert BUDGET not in violations(unpriced, {BUDGET: {"allowUnpriced": True}})


def test_machines_that_are_not_known_yet_break_no_budget() -> None:
    unknown = set_to(types.AWS_ENDPOINT_CONFIGURATION, "productionVariants", UNKNOWN)(recorded("aws"))
    assert violations(unknown) == {}


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_a_preview_says_what_the_stack_costs_and_how_much_more_that_is(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = recorded(name)
    expected = estimate(stack)
    shown = rule("estimated-cost")

    def said(deployed: Sequence[Mapping[str, Any]] | None) -> str:
        monkeypatch.setattr(cost_rules, "deployed", lambda urn: deployed)
        ((message, resource),) = shown.stack_violations(stack.resources, stack.context(shown, {}))
        assert resource is None
        return message

    as_deployed = [{"type": each.type, "name": each.name, "props": each.props} for each in stack.resources]
    assert said(as_deployed) == f"{expected.text()}\n  against what is deployed: no change"
    month = cost.span(expected.per_month, signed=True)
    assert said([]) == f"{expected.text()}\n  against what is deployed: {month} a month"
    assert said(None).endswith("against what is deployed: not known here, the state cannot be read")
    assert expected.per_month.minimum > Decimal(0)
