"""The rules as policies of pulumi-policy: the only module that knows how the engine asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
    proxy,
)

from cohost.tokens import PROJECT
from rules.rule import Context, Resource, Rule
from rules.values import UNKNOWN

_UNKNOWN_VALUES: Final = {value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_")}


def policy(rule: Rule) -> Policy:
    """Returns a rule as a policy."""
    common: dict[str, Any] = {
        "name": rule.name,
        "description": rule.description,
        "enforcement_level": EnforcementLevel(rule.level),
        "severity": Severity(rule.severity),
        "remediation_steps": rule.remedy,
        "config_schema": PolicyConfigSchema(properties=_schema(rule)) if rule.schema else None,
    }
    if rule.stack_check:
        return StackValidationPolicy(validate=_stack_validation(rule), **common)
    remediation = _remediation(rule) if rule.remediate else None
    return ResourceValidationPolicy(validate=_validation(rule), remediate=remediation, **common)


def _schema(rule: Rule) -> dict[str, dict[str, Any]]:
    return {name: dict(schema) for name, schema in rule.schema.items()}


def _validation(rule: Rule) -> Any:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = _resource(args)
        for message in rule.violations(resource, _context(rule, args, resource.stack)):
            report(_with_remedy(rule, message), None)

    return validate


def _remediation(rule: Rule) -> Any:
    def remediate(args: ResourceValidationArgs) -> Mapping[str, Any] | None:
        resource = _resource(args)
        context = _context(rule, args, resource.stack)
        changed = rule.remediate(resource, context) if rule.remediate and rule.applies(context) else {}
        _merge(args.props, changed)
        return args.props if changed else None

    return remediate


def _merge(props: Any, changed: Mapping[str, Any]) -> None:
    """Writes into the proxy that pulumi-policy gives: it keeps what is secret or unknown beside it as it is."""
    for name, value in changed.items():
        if isinstance(value, Mapping) and name in set(props) and isinstance(props[name], Mapping):
            _merge(props[name], value)
        else:
            props[name] = value


def _stack_validation(rule: Rule) -> Any:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [_resource(resource) for resource in args.resources]
        stack = resources[0].stack if resources else ""
        for message, resource in rule.stack_violations(resources, _context(rule, args, stack)):
            report(_with_remedy(rule, message), resource.urn if resource else None)

    return validate


def _with_remedy(rule: Rule, message: str) -> str:
    return f"{message}\n{rule.remedy}" if rule.remedy else message


def _context(rule: Rule, args: ResourceValidationArgs | StackValidationArgs, stack: str) -> Context:
    # The stack's settings as the engine gives them to a pack: all values are texts.
    declared = pulumi.Config(PROJECT).get("production") == "true"
    return rule.context(
        args.get_config(), stack=stack, declared_production=declared, preview=pulumi.runtime.is_dry_run()
    )


def _resource(found: ResourceValidationArgs | PolicyResource) -> Resource:
    links: Mapping[str, Sequence[PolicyResource]] = getattr(found, "property_dependencies", {})
    return Resource(
        type=found.resource_type,
        name=found.name,
        urn=found.urn,
        props=_plain(found.props),
        protect=bool(found.opts.protect),
        delete_before_replace=found.opts.delete_before_replace,
        links={name: [resource.urn for resource in resources] for name, resources in links.items()},
    )


def _plain(value: Any) -> Any:
    """Returns what pulumi-policy wraps so that reading an unknown value raises, as plain values and UNKNOWN.

    In a remediation it wraps otherwise (pulumi-policy 1.21, secret.py): there an unknown value is read as its sentinel.
    """
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWN_VALUES else value
    if isinstance(value, Mapping):
        return {name: _entry(value, name) for name in set(value)}
    if isinstance(value, Sequence):
        return [_entry(value, index) for index in range(len(value))]
    return value


def _entry(holder: Any, key: Any) -> Any:
    try:
        return _plain(holder[key])
    except proxy.UnknownValueError:
        return UNKNOWN
