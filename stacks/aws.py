"""The stack on AWS: one SageMaker multi-model endpoint for a whole catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from cohost import fleet, policies_aws
from cohost.aws_settings import AwsSettings
from components.aws import (
    Alarm,
    Alarms,
    AlarmsArgs,
    ArtifactStore,
    ArtifactStoreArgs,
    CallerPolicy,
    CallerPolicyArgs,
    DeployerPolicy,
    DeployerPolicyArgs,
    ExecutionRole,
    ExecutionRoleArgs,
    MultiModelEndpoint,
    MultiModelEndpointArgs,
    current_place,
    operations,
    rollback,
)


def deploy(settings: AwsSettings, digests: Mapping[str, str]) -> None:
    """Declares the whole stack.

    Args:
        settings: What the stack was told.
        digests: Artifact digest by model name, for every model of the catalog.
    """
    owner = f"{pulumi.get_project()}/{pulumi.get_stack()}"
    tags = {**settings.tags, policies_aws.OWNER_TAG: owner}
    place = current_place(settings.region)
    _warn(settings)

    store = ArtifactStore(
        "models",
        ArtifactStoreArgs(
            region=settings.region,
            kms_key_arn=settings.encryption.kms_key_arn,
            force_destroy=settings.force_destroy,
            protect=settings.production,
            tags=tags,
        ),
    )
    artifacts = store.publish(settings.catalog, digests)
    role = ExecutionRole(
        "serving",
        ExecutionRoleArgs(
            place=place,
            reads=store,
            endpoint_name=settings.endpoint_name,
            image_uri=settings.image_uri,
            vpc=settings.vpc,
            tags=tags,
        ),
    )
    guard = Alarms("rollback", _alarms(settings, tags, rollback(settings.rollback)))
    endpoint = MultiModelEndpoint(
        "shared",
        MultiModelEndpointArgs(
            region=settings.region,
            name=settings.endpoint_name,
            owner=owner,
            store=store,
            artifacts=artifacts,
            role=role,
            variant=settings.variant,
            image_uri=settings.image_uri,
            ami=settings.ami,
            network=settings.network,
            rollback=settings.rollback,
            rollback_alarms=guard,
            log_retention_days=settings.log_retention_days,
            protect=settings.production,
            tags=tags,
        ),
    )
    release = endpoint.activate(settings.catalog, digests, gpu=settings.verify.gpu)
    Alarms("operations", _alarms(settings, tags, operations(settings.alarms)))
    caller = CallerPolicy(
        "caller",
        CallerPolicyArgs(
            place=place,
            endpoint_arn=endpoint.arn,
            store=store,
            target_models=settings.caller.target_models,
            tags=tags,
        ),
    )
    deployer = DeployerPolicy(
        "deployer",
        DeployerPolicyArgs(
            place=place,
            endpoint_name=settings.endpoint_name,
            owner=owner,
            autoscaled=settings.variant.autoscaled,
            kms_key_arn=settings.encryption.kms_key_arn,
            tags=tags,
        ),
    )

    pulumi.export("platform", settings.platform)
    pulumi.export("region", settings.region)
    pulumi.export("endpoint", endpoint.name)
    pulumi.export("store", store.url)
    pulumi.export("release", release.release)
    pulumi.export("callerPolicyArn", caller.arn)
    pulumi.export("deployerPolicyArns", deployer.arns)


def _alarms(settings: AwsSettings, tags: Mapping[str, str], alarms: Sequence[Alarm]) -> AlarmsArgs:
    return AlarmsArgs(
        endpoint_name=settings.endpoint_name,
        variant_name=settings.variant.name,
        alarms=alarms,
        notify=settings.alarms.notify,
        tags=tags,
    )


def _warn(settings: AwsSettings) -> None:
    """Says what is known to speak against a chosen image; it is the user's to choose."""
    image = None if settings.image.uri else fleet.image_version(settings.image.version)
    if image and image.issue:
        pulumi.warn(f"image {image.tag}: {image.issue}")
