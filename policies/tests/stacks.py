"""The project's own stacks as the main suite records them, changes to them, and the rules asked about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from pathlib import Path
from typing import Any, Final

from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from rules import ALL
from rules.rule import Context, Resource, Rule
from rules.values import UNKNOWN

FOLDER: Final = Path(__file__).parent / "recorded"
NAMES: Final = sorted(path.stem for path in FOLDER.glob("*.json"))
# Always reported: they inform.
INFORMING: Final = ("estimated-cost",)


@dataclass(frozen=True)
class Stack:
    """A stack.

    Attributes:
        production: Its own setting of that name.
        resources: What it registers.
    """

    production: bool
    resources: tuple[Resource, ...]

    @property
    def name(self) -> str:
        """Its name, which all its resources have in their URNs."""
        return self.resources[0].stack

    def context(self, each: Rule, settings: Mapping[str, Mapping[str, Any]]) -> Context:
        """Returns what a rule is asked with about it."""
        return each.context(settings.get(each.name, {}), stack=self.name, declared_production=self.production)

    def having(self, index: int, resource: Resource) -> Stack:
        """Returns it with another resource in a place."""
        return replace(self, resources=(*self.resources[:index], resource, *self.resources[index + 1 :]))


Change = Callable[[Stack], Stack]
# Prices change; only the tests of the budget should.
_BUDGET: Final = "monthly-budget"
_ANY_BUDGET: Final[Mapping[str, Any]] = {"maximum": 1_000_000, "allowUnpriced": True}
NO_SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {}


@cache
def recorded(name: str) -> Stack:
    """Returns a stack as it was recorded."""
    found = json.loads((FOLDER / f"{name}.json").read_text())
    return Stack(found["production"], tuple(_resource(entry) for entry in found["resources"]))


def _resource(entry: Mapping[str, Any]) -> Resource:
    return Resource(
        type=entry["type"],
        name=entry["name"],
        urn=entry["urn"],
        props=_known(entry["props"]),
        protect=entry["protect"],
        delete_before_replace=entry["deleteBeforeReplace"],
        links=entry["propertyDependencies"],
    )


def _known(value: Any) -> Any:
    if value == UNKNOWN_STRING_VALUE:
        return UNKNOWN
    if isinstance(value, dict):
        return {name: _known(item) for name, item in value.items()}
    return [_known(item) for item in value] if isinstance(value, list) else value


def rule(name: str) -> Rule:
    """Returns the rule of a name."""
    (found,) = [each for each in ALL if each.name == name]
    return found


def remediated(stack: Stack, settings: Mapping[str, Mapping[str, Any]] = NO_SETTINGS) -> Stack:
    """Returns a stack with what the rules put right, as the engine does before it asks them."""
    for each in ALL:
        if each.remediate:
            context = stack.context(each, settings)
            for index, resource in enumerate(stack.resources):
                changed = each.remediate(resource, context)
                stack = stack.having(index, replace(resource, props=_merged(resource.props, changed)))
    return stack


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}


def violations(stack: Stack, settings: Mapping[str, Mapping[str, Any]] = NO_SETTINGS) -> dict[str, list[str]]:
    """Returns every violation by the name of its rule."""
    stack = remediated(stack, settings)
    found: dict[str, list[str]] = {}
    for each in ALL:
        context = stack.context(each, settings)
        messages = [message for resource in stack.resources for message in each.violations(resource, context)]
        messages += [message for message, _ in each.stack_violations(stack.resources, context)]
        if messages and each.name not in INFORMING:
            found[each.name] = messages
    return found


def set_to(type_: str, path: str, value: Any, *, name: str | None = None) -> Change:
    """Returns the change of one input of one resource.

    Args:
        type_: The resource's type.
        path: The input: names and indexes with dots between them.
        value: The new value, what makes it of the old one, or None to take it out.
        name: The resource's logical name, where there are several of the type.
    """

    def change(stack: Stack) -> Stack:
        index, resource = _find(stack, type_, name)
        props = deepcopy(resource.props)
        *holders, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
        target: Any = props
        for step in holders:
            target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
        if callable(value):
            target[last] = value(target[last])
        elif value is None:
            del target[last]
        else:
            target[last] = value
        return stack.having(index, replace(resource, props=props))

    return change


def with_options(type_: str, **options: Any) -> Change:
    """Returns the change of one resource's options."""

    def change(stack: Stack) -> Stack:
        index, resource = _find(stack, type_, None)
        return stack.having(index, replace(resource, **options))

    return change


def without(type_: str) -> Change:
    """Returns the removal of every resource of a type."""
    return lambda stack: replace(
        stack, resources=tuple(resource for resource in stack.resources if resource.type != type_)
    )


def with_resource(type_: str, **props: Any) -> Change:
    """Returns the addition of a resource."""

    def change(stack: Stack) -> Stack:
        urn = f"urn:pulumi:{stack.name}::shared-endpoint::{type_}::added"
        return replace(stack, resources=(*stack.resources, Resource(type=type_, name="added", urn=urn, props=props)))

    return change


def together(*changes: Change) -> Change:
    """Returns changes one after the other."""
    return lambda stack: reduce(lambda changed, change: change(changed), changes, stack)


def statement(index: int, **changed: Any) -> Callable[[str], str]:
    """Returns the change of one statement of a policy document; None takes a key out."""

    def change(document: str) -> str:
        parsed = json.loads(document)
        found = {**parsed["Statement"][index], **changed}
        parsed["Statement"][index] = {key: value for key, value in found.items() if value is not None}
        return json.dumps(parsed)

    return change


def _find(stack: Stack, type_: str, name: str | None) -> tuple[int, Resource]:
    found = [(i, each) for i, each in enumerate(stack.resources) if each.type == type_ and name in (None, each.name)]
    assert len(found) == 1, f"{len(found)} resources are {type_} {name or ''}"
    return found[0]


@dataclass(frozen=True)
class Case:
    """One change of a stack that breaks one rule.

    Attributes:
        rule: The rule.
        stack: The recorded stack.
        change: The change.
        messages: What the rule then says.
        settings: The rule's settings, where they are others than the defaults.
        also: Other rules that this breaks too.
    """

    rule: str
    stack: str
    change: Change
    messages: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    also: Sequence[str] = ()

    def __str__(self) -> str:
        return f"{self.rule}-{self.stack}"


def assert_breaks(case: Case) -> None:
    """Asserts that a change breaks its rule, with these messages, and no other."""
    settings = {_BUDGET: _ANY_BUDGET, case.rule: case.settings}
    found = violations(case.change(recorded(case.stack)), settings)
    assert found.get(case.rule) == list(case.messages)
    assert sorted(found) == sorted({case.rule, *case.also})
