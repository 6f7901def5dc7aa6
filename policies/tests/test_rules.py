"""What holds for all rules: each can be broken, and no unknown value breaks one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from rules import ALL
from rules.rule import Rule
from rules.values import UNKNOWN
from tests import test_access, test_fleet_and_network, test_life_cycle, test_releases, test_storage
from tests.stacks import INFORMING, NAMES, Case, recorded, violations

CASES = [
    *test_storage.CASES,
    *test_access.CASES,
    *test_fleet_and_network.CASES,
    *test_releases.CASES,
    *test_life_cycle.CASES,
]
# Those with tests of their own: test_cost.py, test_life_cycle.py.
ELSEWHERE = (*INFORMING, "monthly-budget", "owner-tags")


@pytest.mark.parametrize("name", NAMES)
def test_the_projects_own_stacks_break_no_rule(name: str) -> None:
    assert violations(recorded(name)) == {}


def test_every_rule_has_its_own_name_and_says_what_why_and_whence() -> None:
    assert len({rule.name for rule in ALL}) == len(ALL)
    for rule in ALL:
        assert rule.description.endswith(".")
        assert rule.source
        assert rule.remedy.endswith(".") or rule.name in INFORMING
        assert bool(rule.checks) != bool(rule.stack_check)
        assert all({"type", "default", "description"} <= schema.keys() for schema in rule.settings.values())
        assert rule.production == rule.name.endswith("-in-production")


@pytest.mark.parametrize("rule", [rule for rule in ALL if rule.name not in ELSEWHERE], ids=lambda rule: rule.name)
def test_every_check_of_a_rule_is_broken_by_a_changed_stack(rule: Rule) -> None:
    cases = [case for case in CASES if case.rule == rule.name]
    assert cases
    broken = {check for case in cases for check in _broken(rule, case)}
    assert broken == set(rule.checks.values())


def _broken(rule: Rule, case: Case) -> Iterator[Any]:
    stack = case.change(recorded(case.stack))
    context = stack.context(rule, {case.rule: case.settings})
    for pattern, check in rule.checks.items():
        for resource in stack.resources:
            if fnmatchcase(resource.type, pattern) and list(check(resource, context)):
                yield check


@pytest.mark.parametrize("name", ["aws-production", "aws-scaling", "gcp-production"])
def test_a_value_that_is_not_known_yet_is_no_violation_and_no_crash(name: str) -> None:
    stack = recorded(name)
    for index, resource in enumerate(stack.resources):
        for props in _with_one_unknown(resource.props):
            changed = stack.having(index, _with(resource, props))
            assert violations(changed) == {}, f"{resource.urn}: {props}"


def _with(resource: Any, props: Mapping[str, Any]) -> Any:
    return type(resource)(**{**vars(resource), "props": props})


def _with_one_unknown(value: Any) -> Iterator[Any]:
    """Yields a value with each of its parts unknown in turn, at every depth."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield {**value, name: UNKNOWN}
            for changed in _with_one_unknown(item):
                yield {**value, name: changed}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield [*value[:index], UNKNOWN, *value[index + 1 :]]
            for changed in _with_one_unknown(item):
                yield [*value[:index], changed, *value[index + 1 :]]
