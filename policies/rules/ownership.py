"""The rule that everything says whose it is and who pays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cohost import tokens
from rules import types
from rules.rule import Context, Resource, Rule
from rules.values import UNKNOWN, missing

# What can carry them, and the property they stand in: tags on AWS, labels on GCP.
_CARRIERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            types.AWS_BUCKET,
            types.AWS_ENDPOINT,
            types.AWS_ENDPOINT_CONFIGURATION,
            types.AWS_KEY,
            types.AWS_LOG_GROUP,
            types.AWS_METRIC_ALARM,
            types.AWS_MODEL,
            types.AWS_POLICY,
            types.AWS_ROLE,
            types.AWS_SCALING_TARGET,
        ),
        "tags",
    ),
    **dict.fromkeys((types.GCP_BUCKET, types.GCP_ENDPOINT, tokens.VERTEX_MODEL), "labels"),
}
# Names and values that are both tags of AWS and labels of GCP. Source: Google Cloud, Requirements for labels.
_VALUE: Final = {"type": "string", "pattern": "^[a-z0-9_-]{1,63}$"}
_TAGS: Final = {"owner": "owner", "cost-centre": "costCentre"}


def _untagged(resource: Resource, context: Context) -> Iterator[str]:
    if absent := _absent(resource):
        yield f"{_CARRIERS[resource.type]} lacks {' and '.join(absent)}"


def _absent(resource: Resource) -> list[str]:
    carried = resource.props.get(_CARRIERS[resource.type])
    if carried is UNKNOWN:
        return []
    return [name for name in _TAGS if missing((carried or {}).get(name))]


def _tag(resource: Resource, context: Context) -> Mapping[str, Any]:
    prop = _CARRIERS.get(resource.type)
    absent = _absent(resource) if prop else []
    return {prop: {name: context.settings[_TAGS[name]] for name in absent}} if prop and absent else {}


OWNER_TAGS: Final = Rule(
    name="owner-tags",
    description="Whatever can carry tags or labels says who owns it and who pays for it.",
    level="remediate",
    severity="low",
    remedy="Set tags or labels in the stack's settings; where they are missing, this pack's own are put there.",
    source="AWS, Best practices for tagging AWS resources; Google Cloud, Labels overview",
    checks=dict.fromkeys(_CARRIERS, _untagged),
    remediate=_tag,
    settings={
        "owner": {**_VALUE, "default": "unassigned", "description": "Put where the tag `owner` is missing."},
        "costCentre": {**_VALUE, "default": "unassigned", "description": "Put where the tag `cost-centre` is missing."},
    },
)

RULES: Final = (OWNER_TAGS,)
