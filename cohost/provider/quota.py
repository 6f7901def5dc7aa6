"""Whether the account's quota holds the instances of an endpoint.

Quota names: Service Quotas console, service code `sagemaker`, "<instance type> for endpoint usage".
"""

from __future__ import annotations

from typing import Final

from cohost.errors import DeploymentError
from cohost.provider.aws import Aws, own_words
from cohost.provider.context import Context

_SERVICE: Final = "sagemaker"


def ensure(context: Context, *, region: str, instance_type: str, needed: int, why: str) -> float | None:
    """Refuses a deployment that the quota cannot hold; a quota that cannot be read is a warning.

    Args:
        context: The operation.
        region: Where.
        instance_type: Such as "ml.g5.xlarge".
        needed: Instances at the same time.
        why: What needs them, for the message.

    Returns:
        The quota, or None when it cannot be read.

    Raises:
        DeploymentError: The quota is too small.
    """
    name = name_of(instance_type)
    try:
        quota = read(context.aws, region, instance_type, patient=not context.preview)
    except DeploymentError as error:
        context.warning(f'the quota "{name}" cannot be read: {error}')
        return None
    if quota is None:
        context.warning(f'there is no quota "{name}" in {region}: is the instance type offered there?')
        return None
    if quota < needed:
        raise DeploymentError(
            f'{why} needs {needed} x {instance_type} at once, but the quota "{name}" in {region} is '
            f"{quota:g}: ask for more at https://console.aws.amazon.com/servicequotas/home/services/"
            f"{_SERVICE}/quotas?region={region}, or choose another instance type"
        )
    return quota


def name_of(instance_type: str) -> str:
    """The name of an instance type's quota."""
    return f"{instance_type} for endpoint usage"


def console(region: str) -> str:
    """Where more is asked for."""
    return f"https://console.aws.amazon.com/servicequotas/home/services/{_SERVICE}/quotas?region={region}"


def read(aws: Aws, region: str, instance_type: str, *, patient: bool = True) -> float | None:
    """The quota for an instance type, in instances; None when there is no such quota in the region.

    Args:
        aws: Who asks.
        region: Where.
        instance_type: Such as "ml.g5.xlarge".
        patient: As of `Aws.client`.

    Raises:
        DeploymentError: It cannot be read.
    """
    client = aws.client("service-quotas", region, patient=patient)
    with own_words("listing the quotas"):
        pages = client.get_paginator("list_service_quotas").paginate(ServiceCode=_SERVICE)
        for page in pages:
            for quota in page["Quotas"]:
                if quota["QuotaName"] == name_of(instance_type):
                    return float(quota["Value"])
    return None
