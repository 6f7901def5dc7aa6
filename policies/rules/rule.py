"""What a rule is: plain data and pure functions, which know nothing of how the engine asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

Level = Literal["advisory", "mandatory", "remediate"]
Severity = Literal["low", "medium", "high", "critical"]

PRODUCTION_STACKS: Final = "productionStacks"
_PRODUCTION_STACKS_SETTING: Final = {
    PRODUCTION_STACKS: {
        "type": "array",
        "items": {"type": "string"},
        "default": ["prod", "prod-*", "*-prod", "production", "*-production"],
        "description": "Patterns of names of stacks that are production, whatever their setting `production` says.",
    }
}


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of a stack.

    Attributes:
        type: Its type token.
        name: Its logical name.
        urn: Its URN.
        props: Its inputs, for rules on single resources, or its outputs, for rules on stacks; names in camelCase,
            unknown values as `rules.values.UNKNOWN`.
        protect: Whether the engine refuses to delete it.
        delete_before_replace: The resource option; None when it is not given.
        links: By property, the URNs of the resources that its value comes from. Rules on stacks have it.
    """

    type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    protect: bool = False
    delete_before_replace: bool | None = None
    links: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """Name of the stack: `urn:pulumi:<stack>::<project>::<types>::<name>`."""
        return self.urn.removeprefix("urn:pulumi:").partition("::")[0]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a rule is asked with.

    Attributes:
        settings: The rule's settings, defaults filled in.
        production: Whether the stack is production.
        preview: Whether nothing is changed yet.
    """

    settings: Mapping[str, Any]
    production: bool
    preview: bool = True


Check = Callable[[Resource, Context], Iterator[str]]
StackCheck = Callable[[Sequence[Resource], Context], Iterator[tuple[str, Resource | None]]]
Remedy = Callable[[Resource, Context], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        name: Its name, by which it is configured and waived.
        description: What must be.
        level: What happens when it is not, unless configured otherwise.
        severity: How bad that is.
        remedy: What to do then.
        source: Where it is written that it must be.
        checks: By pattern of type tokens, the check of such a resource: a line for each violation.
        stack_check: The check of the whole stack: a line and, where there is one, the resource for each violation.
        clouds: Where a stack check applies; that of single resources tells by their types.
        remediate: Returns the inputs that must be others, none when all are right; a map is merged into what is there.
        settings: JSON schema by setting, each with a default and a description.
        production: Whether it holds in production only.
    """

    name: str
    description: str
    level: Level
    severity: Severity
    remedy: str
    source: str
    checks: Mapping[str, Check] = field(default_factory=dict)
    stack_check: StackCheck | None = None
    clouds: Sequence[str] = ("AWS", "GCP")
    remediate: Remedy | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    production: bool = False

    @property
    def schema(self) -> Mapping[str, Mapping[str, Any]]:
        """Its settings, with the one that all rules for production have."""
        return {**self.settings, **(_PRODUCTION_STACKS_SETTING if self.production else {})}

    def context(
        self, given: Mapping[str, Any], *, stack: str, declared_production: bool, preview: bool = True
    ) -> Context:
        """Returns what the rule is asked with.

        Args:
            given: The settings that are given; the engine fills defaults in, other callers need not.
            stack: The stack's name.
            declared_production: Whether the stack's own setting says that it is production.
            preview: Whether nothing is changed yet.
        """
        settings = {name: schema["default"] for name, schema in self.schema.items()} | dict(given)
        named = any(fnmatchcase(stack, pattern) for pattern in settings.get(PRODUCTION_STACKS, ()))
        return Context(settings=settings, production=declared_production or named, preview=preview)

    def applies(self, context: Context) -> bool:
        """Whether the rule is for such a stack."""
        return context.production or not self.production

    def violations(self, resource: Resource, context: Context) -> Iterator[str]:
        """Yields what is wrong with one resource."""
        if self.applies(context):
            for pattern, check in self.checks.items():
                if fnmatchcase(resource.type, pattern):
                    yield from check(resource, context)

    def stack_violations(
        self, resources: Sequence[Resource], context: Context
    ) -> Iterator[tuple[str, Resource | None]]:
        """Yields what is wrong with the stack as a whole."""
        if self.stack_check and self.applies(context):
            yield from self.stack_check(resources, context)
