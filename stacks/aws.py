"""The stack on AWS: one SageMaker multi-model endpoint for a whole catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from cohost import fleet
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
    Stack,
    TrainingPipeline,
    TrainingPipelineArgs,
    operations,
    rollback,
)


def deploy(settings: AwsSettings, digests: Mapping[str, str]) -> None:
    """Declares the whole stack.

    Args:
        settings: What the stack was told.
        digests: Artifact digest by model name, for every model of the catalog.
    """
    _warn(settings)
    stack = Stack.current(settings)
    store = ArtifactStore(
        "models",
        ArtifactStoreArgs(stack=stack, encryption=settings.encryption, force_destroy=settings.force_destroy),
    )
    artifacts = store.publish(settings.catalog, digests)
    guard = _alarms(stack, settings, rollback(settings.rollback))
    role = ExecutionRole(
        "serving",
        ExecutionRoleArgs(
            stack=stack, reads=store, image_uri=settings.image_uri, watches=guard.names, vpc=settings.vpc
        ),
    )
    endpoint = MultiModelEndpoint(
        "shared",
        MultiModelEndpointArgs(
            stack=stack,
            store=store,
            artifacts=artifacts,
            role=role,
            image_uri=settings.image_uri,
            ami=settings.ami,
            variant=settings.variant,
            network=settings.network,
            rollback=settings.rollback,
            rollback_alarms=guard,
            log_retention_days=settings.log_retention_days,
        ),
    )
    release = endpoint.activate(settings.catalog, digests, gpu=settings.verify.gpu)
    watch = _alarms(stack, settings, operations(settings.alarms))
    Alarms("operations", watch, pulumi.ResourceOptions(depends_on=[endpoint]))
    caller = CallerPolicy(
        "caller", CallerPolicyArgs(stack=stack, store=store, target_models=settings.caller.target_models)
    )
    training = _training(stack, settings, store)
    deployer = DeployerPolicy("deployer", DeployerPolicyArgs(stack=stack, store=store, role=role, training=training))

    pulumi.export("platform", settings.platform)
    pulumi.export("region", settings.region)
    pulumi.export("endpoint", endpoint.name)
    pulumi.export("store", store.url)
    pulumi.export("release", release.release)
    pulumi.export("callerPolicyArn", caller.arn)
    pulumi.export("deployerPolicyArns", deployer.arns)
    if training:
        pulumi.export("trainingPipeline", training.name)


def _alarms(stack: Stack, settings: AwsSettings, alarms: Sequence[Alarm]) -> AlarmsArgs:
    variant, notify = settings.variant.name, settings.alarms.notify
    return AlarmsArgs(stack=stack, variant_name=variant, alarms=alarms, notify=notify)


def _training(stack: Stack, settings: AwsSettings, store: ArtifactStore) -> TrainingPipeline | None:
    if not settings.training.enabled:
        return None
    return TrainingPipeline(
        "training",
        TrainingPipelineArgs(
            stack=stack,
            store=store,
            training=settings.training,
            serving_image=settings.image_uri,
            vpc=settings.vpc,
        ),
    )


def _warn(settings: AwsSettings) -> None:
    """Says what is known to speak against a chosen image; it is the user's to choose."""
    image = None if settings.image.uri else fleet.image_version(settings.image.version)
    if image and image.issue:
        pulumi.warn(f"image {image.tag}: {image.issue}")
