"""What cannot change in place while an endpoint lives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cohost.provider import endpoints
from cohost.provider.aws import own_words
from cohost.provider.context import Context
from cohost.provider.endpoints import Endpoint
from cohost.provider.resource import Values
from cohost.provider.values import UNKNOWN

_DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"


def conflicts(
    context: Context, endpoint: Endpoint | None, olds: Values, news: Values, *, patient: bool
) -> Iterator[tuple[str, str]]:
    """Yields what would change of a live endpoint and may not: the input and why, with the remedy.

    Args:
        context: The operation.
        endpoint: The endpoint as it is, if there is one; one that failed is made anew, so nothing of it is fixed.
        olds: Inputs of before.
        news: Inputs of now.
        patient: Whether AWS is asked again when it does not answer.

    Raises:
        DeploymentError: AWS cannot be asked.
    """
    if endpoint is None or endpoint.status == endpoints.FAILED:
        return
    if _alarms_differ(olds, news):
        yield "rollbackAlarms", _alarms_fixed(olds)
    before, after = olds.get("instanceType"), news["instanceType"]
    if after not in (before, None, UNKNOWN) and before and _scales(context, endpoint, news["region"], patient=patient):
        yield "instanceType", _type_fixed(before, after)


def _alarms_differ(olds: Values, news: Values) -> bool:
    before, after = olds.get("rollbackAlarms"), news["rollbackAlarms"]
    return before is not None and after is not UNKNOWN and UNKNOWN not in after and set(before) != set(after)


def _alarms_fixed(olds: Values) -> str:
    """The aws provider would replace the live endpoint, deleting it first, to change its rollback alarms."""
    names = ", ".join(olds["rollbackAlarms"]) or "none"
    return (
        f"are fixed when the endpoint is created, and it is live: keep the ones of before ({names}), or give the "
        "endpoint a new name, which brings up a second one before the old one is deleted"
    )


def _scales(context: Context, endpoint: Endpoint, region: str, *, patient: bool) -> bool:
    client = context.aws.client("application-autoscaling", region, patient=patient)
    with own_words(f"looking whether the endpoint {endpoint.name} scales"):
        answer = client.describe_scalable_targets(
            ServiceNamespace="sagemaker",
            ResourceIds=[f"endpoint/{endpoint.name}/variant/{endpoint.variant}"],
            ScalableDimension=_DIMENSION,
        )
    return bool(answer["ScalableTargets"])


def _type_fixed(before: str, after: str) -> str:
    """SageMaker refuses the update (developer guide, "Update endpoints that use auto scaling")."""
    return (
        f"cannot change from {before} to {after} while the endpoint scales: keep {before} and set maxInstances equal "
        f"to minInstances, up, then set {after} and maxInstances as you want it, and up again"
    )
