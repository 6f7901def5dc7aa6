"""Whether an endpoint really uses its GPU: Triton falls back to the CPU without a word (KIND_AUTO)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cohost.errors import DeploymentError
from cohost.provider.aws import own_words
from cohost.provider.context import Context

# SageMaker developer guide, "Monitor with CloudWatch": instance metrics of endpoints, once a minute.
_NAMESPACE: Final = "/aws/sagemaker/Endpoints"
_METRIC: Final = "GPUMemoryUtilization"
_PERIOD_SECONDS: Final = 60
# Metrics come a few minutes late; after this many minutes of zero the models are not on the GPU.
_ZEROS: Final = 3
_PATIENCE_SECONDS: Final = 900.0


def ensure_used(context: Context, *, region: str, endpoint: str, variant: str) -> None:
    """Waits until CloudWatch tells that the endpoint's GPU holds something.

    Args:
        context: The operation.
        region: The endpoint's region.
        endpoint: The endpoint's name; every model has just been called.
        variant: Its production variant.

    Raises:
        DeploymentError: The GPU's memory stays empty, or nothing is told for 15 minutes.
        OperationCancelled: The operation must end first.
    """
    client = context.aws.client("cloudwatch", region)
    # From the minute before, in which the models were called; earlier ones tell of an endpoint without a model.
    begin, since = time.monotonic(), datetime.now(UTC) - timedelta(seconds=_PERIOD_SECONDS)
    for _ in context.polls(f"waiting for CloudWatch to tell {_METRIC} of {endpoint}"):
        values = _values(client, endpoint, variant, since)
        if any(value > 0 for value in values):
            context.status(f"the GPU holds the models ({_METRIC} {max(values):.1f} %)", last=True)
            return
        if len(values) > _ZEROS:
            raise DeploymentError(_unused(endpoint, "is 0: the models run on the CPU"))
        if time.monotonic() - begin > _PATIENCE_SECONDS:
            raise DeploymentError(_unused(endpoint, "was not told by CloudWatch for 15 minutes"))
        context.status(f"waiting for CloudWatch to tell {_METRIC}", last=True)
    raise AssertionError("polls ends by an exception only")


def _values(client: Any, endpoint: str, variant: str, since: datetime) -> list[float]:
    """The highest value of each minute."""
    with own_words(f"reading {_METRIC} of the endpoint {endpoint}"):
        answer = client.get_metric_statistics(
            Namespace=_NAMESPACE,
            MetricName=_METRIC,
            Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}],
            StartTime=since,
            EndTime=datetime.now(UTC) + timedelta(seconds=_PERIOD_SECONDS),
            Period=_PERIOD_SECONDS,
            Statistics=["Maximum"],
        )
    return [point["Maximum"] for point in answer["Datapoints"]]


def _unused(endpoint: str, what: str) -> str:
    return (
        f"{_METRIC} of the endpoint {endpoint} {what}: look at instance_group in config.pbtxt and at the driver of the "
        "inference AMI (docs/traps.md); the setting `verify: {gpu: false}` skips this check"
    )
