"""What of a stack costs, from its settings alone: the resources that its program would declare and that have a price.

They have the form of a preview's resources, so that `cohost.cost` reckons with both alike; a test holds them to what
the program registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cohost import tokens
from cohost.aws_settings import AwsSettings
from cohost.catalog import Catalog
from cohost.cost import aws, gcp
from cohost.cost.elsewhere import Fleet
from cohost.cost.prices import AWS, GCP
from cohost.digest_cache import DigestCache
from cohost.gcp_settings import GcpSettings
from cohost.settings import Settings

# `components.aws.alarms`: one that takes an update back, and five that tell people.
_ROLLBACK_ALARMS: Final = 1
_OPERATIONS_ALARMS: Final = 5


def resources(settings: Settings, release: str) -> list[dict[str, Any]]:
    """Returns the resources of a stack that cost.

    Args:
        settings: What the stack was told.
        release: Digest of the release that its catalog makes.
    """
    found = _on_aws(settings) if isinstance(settings, AwsSettings) else _on_gcp(settings, release)
    artifacts = {"type": tokens.ARTIFACT_SET, "name": "models", "props": {"region": settings.region}}
    return [artifacts, *({"type": type_, "name": name, "props": props} for type_, name, props in found)]


def fleet(settings: Settings) -> Fleet:
    """Returns the machines of a stack."""
    if isinstance(settings, AwsSettings):
        variant = settings.variant
        return Fleet(AWS, settings.region, variant.instance_type, variant.min_instances, variant.max_instances)
    machine = settings.machine
    return Fleet(
        cloud=GCP,
        region=settings.region,
        machine=machine.type,
        minimum=machine.min_replicas,
        maximum=machine.max_replicas,
        accelerator=machine.accelerator,
        count=machine.accelerator_count,
    )


def stored_bytes(settings: Settings, models: Catalog, cache: DigestCache) -> tuple[int, tuple[str, ...]]:
    """Returns what one release takes in the store.

    On AWS archives are compressed, so this is an upper bound. On GCP every file is there twice: in its artifact, and
    in the release's model repository.

    Args:
        settings: What the stack was told.
        models: Its catalog.
        cache: Of the model folders.

    Returns:
        The bytes of all models whose folder is here, and the names of those of which there is only a digest.
    """
    copies = 2 if isinstance(settings, GcpSettings) else 1
    folders = [model.path for model in models.models if model.path is not None]
    size = sum(file.size for folder in folders for file in cache.scan(folder).artifact_files)
    return copies * size, tuple(model.name for model in models.models if model.path is None)


def _on_aws(settings: AwsSettings) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    variant = settings.variant
    yield (
        aws.CONFIGURATION,
        "shared",
        {
            "productionVariants": [
                {
                    "variantName": variant.name,
                    "instanceType": variant.instance_type,
                    "initialInstanceCount": variant.min_instances,
                }
            ]
        },
    )
    if variant.autoscaled:
        resource_id = f"endpoint/{settings.endpoint_name}/variant/{variant.name}"
        counts = {"minCapacity": variant.min_instances, "maxCapacity": variant.max_instances}
        yield aws.TARGET, "shared", {"resourceId": resource_id, **counts}
    yield aws.ENDPOINT, "shared", {}
    yield aws.BUCKET, "models", {}
    yield aws.LOG_GROUP, "shared", {}
    if settings.training.enabled:
        yield aws.MODEL_GROUP, "training", {}
        yield aws.PIPELINE, "training", {}
    if settings.encryption.kms_key_arn is None:
        yield aws.KMS_KEY, "models", {}
    alarms = settings.rollback.enabled * _ROLLBACK_ALARMS + settings.alarms.enabled * _OPERATIONS_ALARMS
    for number in range(alarms):
        yield aws.METRIC_ALARM, f"alarm-{number}", {}


def _on_gcp(settings: GcpSettings, release: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    machine, canary = settings.machine, settings.canary
    yield gcp.BUCKET, "models", {}
    stable = [canary.stable] if canary and canary.stable != release else []
    for deployed in (*stable, release):
        yield (
            gcp.DEPLOYED_MODEL,
            f"shared-{deployed[:12]}",
            {
                "region": settings.region,
                "machineType": machine.type,
                "acceleratorType": machine.accelerator,
                "acceleratorCount": machine.accelerator_count,
                "minReplicas": machine.min_replicas,
                "maxReplicas": machine.max_replicas,
                "spot": machine.spot,
                "update": settings.update,
            },
        )
