"""SageMaker endpoints as the plugin looks at them.

Statuses and fields: API reference of DescribeEndpoint (EndpointStatus, EndpointConfigName, FailureReason).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from cohost.errors import DeploymentError
from cohost.ownership import OWNER_TAG
from cohost.provider.aws import own_words
from cohost.provider.context import Context

CREATING: Final = "Creating"
DELETING: Final = "Deleting"
FAILED: Final = "Failed"
IN_SERVICE: Final = "InService"
_MOVING: Final = frozenset({CREATING, "Updating", "SystemUpdating", "RollingBack", DELETING})


@dataclass(frozen=True)
class Endpoint:
    """An endpoint at one moment.

    Attributes:
        name: Its name.
        arn: Its ARN.
        status: SageMaker's word for its state ("InService").
        config: Name of the endpoint configuration that it runs.
        failure: SageMaker's words on what went wrong last, or "".
        variant: Name of its first production variant, or "".
    """

    name: str
    arn: str
    status: str
    config: str
    failure: str
    variant: str

    @property
    def moving(self) -> bool:
        """Whether SageMaker is still at work on it."""
        return self.status in _MOVING


def describe(client: Any, name: str) -> Endpoint | None:
    """The endpoint, or None when there is none.

    Raises:
        DeploymentError: SageMaker cannot be asked.
    """
    from botocore.exceptions import ClientError

    with own_words(f"looking at the endpoint {name}"):
        try:
            found = client.describe_endpoint(EndpointName=name)
        except ClientError as error:
            # The API has no error type of its own for this (moto and AWS answer a ValidationException).
            if "could not find" in str(error).lower():
                return None
            raise
    variants = found.get("ProductionVariants") or [{}]
    return Endpoint(
        name=name,
        arn=found["EndpointArn"],
        status=found["EndpointStatus"],
        config=found.get("EndpointConfigName", ""),
        failure=found.get("FailureReason", ""),
        variant=variants[0].get("VariantName", ""),
    )


def owner_of(client: Any, endpoint: Endpoint) -> str | None:
    """The "<project>/<stack>" that made the endpoint, by its tag."""
    return owner_by_tag(client, endpoint.arn, f"the endpoint {endpoint.name}")


def owner_by_tag(client: Any, arn: str, what: str) -> str | None:
    """The "<project>/<stack>" that made something of SageMaker's, by its tag.

    Args:
        client: Of SageMaker.
        arn: Its ARN.
        what: The same for the message: "the endpoint digits".
    """
    with own_words(f"reading the tags of {what}"):
        for page in client.get_paginator("list_tags").paginate(ResourceArn=arn):
            for tag in page["Tags"]:
                if tag["Key"] == OWNER_TAG:
                    return tag["Value"]
    return None


def settled(context: Context, client: Any, name: str) -> Endpoint | None:
    """Waits until SageMaker has finished what it is doing with the endpoint.

    Raises:
        OperationCancelled: The operation must end first.
    """
    since = time.monotonic()
    for _ in context.polls(f"waiting for the endpoint {name}"):
        endpoint = describe(client, name)
        if endpoint is None or not endpoint.moving:
            return endpoint
        context.status(f"endpoint {name}: {endpoint.status} ({_elapsed(since)})", last=True)
    raise AssertionError("polls ends by an exception only")


def remove(context: Context, client: Any, endpoint: Endpoint) -> None:
    """Deletes an endpoint and waits until it is gone.

    Raises:
        DeploymentError: It is still there.
    """
    context.status(f"deleting the endpoint {endpoint.name}, which is {endpoint.status} {endpoint.failure}", last=True)
    with own_words(f"deleting the endpoint {endpoint.name}"):
        client.delete_endpoint(EndpointName=endpoint.name)
    left = settled(context, client, endpoint.name)
    if left is not None:
        raise DeploymentError(
            f"the endpoint {left.name} was deleted and is {left.status}: {left.failure or 'no reason'}"
        )


def _elapsed(since: float) -> str:
    seconds = int(time.monotonic() - since)
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"
