"""From the resources that a program declares to what they use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cohost.cost import aws, gcp
from cohost.cost.properties import Resource
from cohost.cost.usage import Unpriced, Usage, Used

# Of the project's own resources a deployed model costs (in `cohost.cost.gcp`); the others hold on to what does.
_FREE: Final = (*aws.FREE, *gcp.FREE, "cohost:", "pulumi:")
_PRICED: Final = frozenset({aws.CONFIGURATION, aws.KMS_KEY, aws.METRIC_ALARM, gcp.DEPLOYED_MODEL})
_BY_USE: Final = {**aws.BY_USE, **gcp.BY_USE}


def read(declared: Iterable[Mapping[str, Any]], *, region: str | None = None) -> Used:
    """Returns what resources use.

    Args:
        declared: Each with its `type`, `name` and `props`, the inputs under their wire names.
        region: Where they are; None = as the project's own resources among them say.
    """
    entries = list(declared)
    where = region or _region(entries)
    resources = [_resource(entry, where) for entry in entries]
    found = [*aws.usages(resources), *gcp.usages(resources), *_strangers(resources)]
    return Used(
        standing=tuple(item for item in found if isinstance(item, Usage)),
        unknown=tuple(item for item in found if isinstance(item, Unpriced)),
        by_use=tuple(sorted({_BY_USE[resource.type] for resource in resources if resource.type in _BY_USE})),
    )


def _resource(entry: Mapping[str, Any], region: str) -> Resource:
    own = entry["props"].get("region")
    return Resource(entry["type"], entry["name"], entry["props"], own if isinstance(own, str) else region)


def _region(entries: Sequence[Mapping[str, Any]]) -> str:
    """The resources of the aws and gcp providers take the region from their provider; the project's own name it."""
    named = (entry["props"].get("region") for entry in entries if entry["type"].startswith("cohost:"))
    return next((region for region in named if isinstance(region, str)), "")


def _strangers(resources: Sequence[Resource]) -> list[Unpriced]:
    known = {*_PRICED, *_BY_USE}
    return [
        Unpriced(resource.name, f"no price is kept for {resource.type}")
        for resource in resources
        if resource.type not in known and not resource.type.startswith(_FREE)
    ]
