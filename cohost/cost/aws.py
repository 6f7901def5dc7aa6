"""What the resources of a stack on AWS use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from cohost.cost.properties import Resource, as_number, mappings
from cohost.cost.usage import Unpriced, Usage

SAGEMAKER: Final = "AmazonSageMaker"
EC2: Final = "AmazonEC2"
S3: Final = "AmazonS3"
KMS: Final = "awskms"
CLOUDWATCH: Final = "AmazonCloudWatch"
STANDARD_STORAGE: Final = "Standard storage"
KEY: Final = "Key"
ALARM: Final = "Alarm"

ENDPOINT: Final = "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION: Final = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
TARGET: Final = "aws:appautoscaling/target:Target"
KMS_KEY: Final = "aws:kms/key:Key"
METRIC_ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
BUCKET: Final = "aws:s3/bucket:Bucket"
LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
PIPELINE: Final = "aws:sagemaker/pipeline:Pipeline"
MODEL_GROUP: Final = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"

BY_USE: Final[Mapping[str, str]] = {
    BUCKET: "objects in S3 and requests to it",
    LOG_GROUP: "logs in CloudWatch",
    ENDPOINT: "data of calls to the endpoint, each way",
    PIPELINE: "instances of the training pipeline's steps, while they run",
    MODEL_GROUP: "versions in the model registry",
}
# What AWS asks nothing for, however long it is there; of S3 only the bucket itself holds objects.
FREE: Final = (
    "aws:appautoscaling/",
    "aws:iam/",
    "aws:kms/alias:",
    "aws:s3/",
    "aws:sagemaker/model:",
)


def usages(resources: Sequence[Resource]) -> Iterator[Usage | Unpriced]:
    """Yields what costs among the resources of a stack."""
    targets = [resource for resource in resources if resource.type == TARGET]
    for resource in resources:
        if resource.type == CONFIGURATION:
            yield from _variants(resource, targets)
        elif resource.type == KMS_KEY:
            one = Decimal(1)
            yield Usage(resource.name, "KMS key", KMS, KEY, resource.region, one, one)
    alarms = [resource for resource in resources if resource.type == METRIC_ALARM]
    if alarms:
        count = Decimal(len(alarms))
        text = f"{len(alarms)} alarm{'s' if len(alarms) > 1 else ''}"
        yield Usage("alarms", text, CLOUDWATCH, ALARM, alarms[0].region, count, count)


def _variants(configuration: Resource, targets: Sequence[Resource]) -> Iterator[Usage | Unpriced]:
    variants = list(mappings(configuration.props.get("productionVariants")))
    if not variants:
        yield Unpriced(configuration.name, "its production variants are not known before the deployment")
    for variant in variants:
        yield _variant(configuration, variant, targets)


def _variant(configuration: Resource, variant: Mapping[str, Any], targets: Sequence[Resource]) -> Usage | Unpriced:
    """Source of the doubling: SageMaker guide, "Blue/Green Deployments", what an update is by default."""
    name, instance_type = variant.get("variantName"), variant.get("instanceType")
    if not isinstance(instance_type, str):
        return Unpriced(configuration.name, "a variant without an instance type, or one not known yet")
    target = next((target for target in targets if target.text("resourceId").endswith(f"/variant/{name}")), None)
    initial = as_number(variant.get("initialInstanceCount"))
    least = target.number("minCapacity") if target else initial
    most = target.number("maxCapacity") if target else initial
    if least is None or most is None:
        return Unpriced(configuration.name, f"how many {instance_type} there are is not known before the deployment")
    return Usage(
        name=configuration.name,
        text=instance_type,
        service=SAGEMAKER,
        item=instance_type,
        region=configuration.region,
        minimum=least,
        maximum=most,
        doubled=True,
    )
