"""What the documents of IAM on AWS may say, check by check; `rules.access` makes the rules of them."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from rules import types
from rules.documents import Statement, statements
from rules.rule import Context, Resource
from rules.values import entries, items, text

# Policies that say what their holder may do, and those that say who may do something with what they belong to.
IDENTITY: Final = (types.AWS_POLICY, "aws:iam/*Policy:*Policy", types.AWS_ROLE)
RESOURCE: Final = (types.AWS_BUCKET_POLICY, types.AWS_KEY)
ATTACHMENTS: Final = ("aws:iam/*[pP]olicyAttachment:*PolicyAttachment", types.AWS_ROLE)

# Actions that know no resource, so "*" is all there is. Source: AWS Service Authorization Reference, each service.
WITHOUT_RESOURCE: Final = (
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:PutMetricData",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "kms:ListAliases",
    "servicequotas:ListServiceQuotas",
)
_PASSED_TO: Final = "iam:PassedToService"
_SOURCES: Final = ("aws:SourceAccount", "aws:SourceArn")


def _allowing(resource: Resource) -> list[Statement]:
    """Those that allow something; of a role, its inline policies, not whom it trusts."""
    found: list[Any] = [resource.props.get("policy")]
    if resource.type == types.AWS_ROLE:
        found = [policy.get("policy") for policy in items(resource.props.get("inlinePolicies"))]
    return [statement for document in found for statement in statements(document) if statement.allows]


def wildcard_actions(resource: Resource, context: Context) -> Iterator[str]:
    """Actions that are patterns, or everything but some."""
    for statement in _allowing(resource):
        patterns = [action for action in statement.actions if "*" in action or "?" in action]
        if patterns:
            yield f"{statement.name} allows {', '.join(patterns)}"
        if "NotAction" in statement.inverted:
            yield f"{statement.name} allows everything but some actions (NotAction)"


def wildcard_resources(resource: Resource, context: Context) -> Iterator[str]:
    """Actions on every resource of a service or account, although they know narrower ones."""
    free = {*WITHOUT_RESOURCE, *context.settings["withoutResource"]}
    for statement in _allowing(resource):
        wide = [name for name in statement.resources if name == "*" or name.split(":", 5)[5:] == ["*"]]
        narrower = [action for action in statement.actions if action not in free]
        if wide and narrower:
            yield f"{statement.name} allows {', '.join(narrower)} on {', '.join(wide)}"
        if "NotResource" in statement.inverted:
            yield f"{statement.name} allows actions on everything but some resources (NotResource)"


def public_principals(resource: Resource, context: Context) -> Iterator[str]:
    """Everybody, in a policy that says to whom it gives something."""
    document = resource.props.get("assumeRolePolicy" if resource.type == types.AWS_ROLE else "policy")
    for statement in statements(document):
        if statement.allows and (statement.everyone or "NotPrincipal" in statement.inverted):
            yield f"{statement.name} allows {', '.join(statement.actions)} to everyone"


def full_access(resource: Resource, context: Context) -> Iterator[str]:
    """Managed policies that give far more than this needs."""
    attached = [*items(resource.props.get("managedPolicyArns")), resource.props.get("policyArn")]
    for arn in filter(text, attached):
        name = arn.rpartition("/")[2]
        if any(fnmatchcase(name, pattern) for pattern in context.settings["refusedPolicies"]):
            yield f"{name} is attached"


def loose_pass_role(resource: Resource, context: Context) -> Iterator[str]:
    """A role may be passed only if it is named, and only to named services."""
    for statement in _allowing(resource):
        if "iam:PassRole" not in statement.actions:
            continue
        patterns = [name for name in statement.resources if "*" in name]
        if patterns:
            yield f"{statement.name} allows iam:PassRole on {', '.join(patterns)}"
        if not any(_PASSED_TO in entries(tests) for tests in statement.condition.values()):
            yield f"{statement.name} allows iam:PassRole without the condition {_PASSED_TO}"


def loose_trust(resource: Resource, context: Context) -> Iterator[str]:
    """A service may take a role only on behalf of a named account or resource."""
    for statement in statements(resource.props.get("assumeRolePolicy")):
        keys = {key for tests in statement.condition.values() for key in entries(tests)}
        if statement.allows and statement.services and not keys.intersection(_SOURCES):
            services = ", ".join(statement.services)
            yield f"{statement.name} lets {services} take the role on behalf of anybody ({' or '.join(_SOURCES)})"
