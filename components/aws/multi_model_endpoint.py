"""The shared endpoint: one SageMaker multi-model endpoint with Triton on GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_aws as aws

from cohost import fleet, tokens
from cohost.aws_settings import Network, Rollback, Variant
from cohost.policies_aws import OWNER_TAG
from cohost.resources import ArtifactSet, EndpointName, SageMakerActiveRelease
from components.aws.alarms import Alarms
from components.aws.artifact_store import ArtifactStore
from components.aws.execution_role import ExecutionRole
from components.names import Fault, physical, refuse

# Triton's own switches in AWS's image. Source: triton-inference-server/server, docker/sagemaker/serve, which logs
# every request unless told otherwise.
_CONTAINER_ENVIRONMENT: Final = {"SAGEMAKER_TRITON_LOG_VERBOSE": "false"}
# The image is several GB; SageMaker's own default is half of this.
_START_SECONDS: Final = 900
# SageMaker's time limit of a blue/green deployment, 600 to 28800 s (botocore 1.44.5); the aws provider allows 14400.
_DEPLOYMENT_SECONDS: Final = 3600
_CREATE: Final = "60m"
_UPDATE: Final = "120m"
_DELETE: Final = "60m"
# AWS's own sample for multi-model endpoints: slow to take away, quicker to add.
_SCALE_IN_SECONDS: Final = 600
_SCALE_OUT_SECONDS: Final = 300


@dataclass(frozen=True, kw_only=True)
class MultiModelEndpointArgs:
    """What the endpoint is made of.

    Attributes:
        region: Its region.
        name: Its name, the only fixed name here.
        owner: "<project>/<stack>", in the tag by which the stack knows its own endpoint.
        store: Where its models are.
        artifacts: What is in the store.
        role: What the containers run as.
        variant: The fleet.
        image_uri: The serving image.
        ami: The inference AMI, which decides the GPU driver.
        network: VPC and isolation.
        rollback: When an update is taken back.
        rollback_alarms: The alarms that do so, made before the endpoint; None when nothing does.
        log_retention_days: How long logs are kept.
        protect: Whether the endpoint is protected from deletion.
        tags: Tags on all that can carry them.
    """

    region: str
    name: str
    owner: str
    store: ArtifactStore
    artifacts: ArtifactSet
    role: ExecutionRole
    variant: Variant
    image_uri: str
    ami: str
    network: Network = field(default_factory=Network)
    rollback: Rollback = field(default_factory=Rollback)
    rollback_alarms: Alarms | None = None
    log_retention_days: int = 30
    protect: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        found: list[Fault] = []
        refused = fleet.instance_type_fault(self.variant.instance_type)
        if refused:
            found.append(("variant.instanceType", refused))
        if self.variant.max_instances < self.variant.min_instances:
            found.append(("variant.maxInstances", "is fewer than minInstances"))
        if self.variant.autoscaled and self.variant.invocations_per_instance is None:
            found.append(("variant.invocationsPerInstance", "is missing, and autoscaling needs it"))
        if not self.ami:
            found.append(("ami", f"is empty; one of {', '.join(fleet.amis())}"))
        return found


class MultiModelEndpoint(pulumi.ComponentResource):
    """One endpoint, however many models.

    Model and endpoint configuration cannot change and get generated names, so that their replacements come first;
    the endpoint has a fixed name and is updated in place. Everything depends on the role's policy and is deleted
    before it: SageMaker needs the permissions until the endpoint is gone.

    Attributes:
        name: The endpoint's name, once it is in service.
        arn: The endpoint's ARN.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: MultiModelEndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the endpoint and what belongs to it.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.AWS_MULTI_MODEL_ENDPOINT, name, None, opts)
        self._name, self._args = name, args
        self._tags = {**args.tags, OWNER_TAG: args.owner}
        model = self._model()
        self._config = self._configuration(model)
        endpoint = self._endpoint()
        self.name, self.arn = endpoint.name, endpoint.arn
        self._scaling()
        self.register_outputs({"name": self.name, "arn": self.arn})

    def activate(self, catalog: str, digests: Mapping[str, str], *, gpu: bool) -> SageMakerActiveRelease:
        """Declares which release callers get: verified on this endpoint, then written to the store.

        Args:
            catalog: Path of catalog.yaml, absolute or relative to Pulumi.yaml.
            digests: Artifact digest by model name.
            gpu: Whether a first release must be seen to use the GPU.
        """
        args = self._args
        return SageMakerActiveRelease(
            self._name,
            region=args.region,
            store=args.store.url,
            catalog=catalog,
            endpoint=self.name,
            endpoint_config=self._config.name,
            variant=args.variant.name,
            models=digests,
            release=args.artifacts.release,
            gpu=gpu,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[args.artifacts],
                custom_timeouts=pulumi.CustomTimeouts(create=_UPDATE, update=_UPDATE),
            ),
        )

    def _model(self) -> aws.sagemaker.Model:
        args, network = self._args, self._args.network
        vpc = None
        if network.subnet_ids:
            vpc = aws.sagemaker.ModelVpcConfigArgs(
                subnets=list[pulumi.Input[str]](network.subnet_ids),
                security_group_ids=list[pulumi.Input[str]](network.security_group_ids),
            )
        return aws.sagemaker.Model(
            physical(self._name),
            execution_role_arn=args.role.arn,
            primary_container={
                "image": args.image_uri,
                "mode": "MultiModel",
                "model_data_url": pulumi.Output.concat(args.store.url, "/models/"),
                "environment": _CONTAINER_ENVIRONMENT,
            },
            enable_network_isolation=args.network.isolation,
            vpc_config=vpc,
            tags=self._tags,
            # The prefix must hold artifacts before the endpoint starts, and until it is gone.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.artifacts]),
        )

    def _configuration(self, model: aws.sagemaker.Model) -> aws.sagemaker.EndpointConfiguration:
        variant = self._args.variant
        return aws.sagemaker.EndpointConfiguration(
            physical(self._name),
            production_variants=[
                {
                    "variant_name": variant.name,
                    "model_name": model.name,
                    "instance_type": variant.instance_type,
                    # An update resets the number of instances to this (the provider does not send
                    # RetainAllVariantProperties), so it is also the minimum of autoscaling.
                    "initial_instance_count": variant.min_instances,
                    "initial_variant_weight": 1,
                    "inference_ami_version": self._args.ami,
                    "container_startup_health_check_timeout_in_seconds": _START_SECONDS,
                    # No volume size and no key: all these types keep models on their own NVMe, which SageMaker
                    # encrypts itself; it refuses VolumeSizeInGB for them (docs/traps.md).
                }
            ],
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _endpoint(self) -> aws.sagemaker.Endpoint:
        args = self._args
        child = pulumi.ResourceOptions(parent=self)
        # SageMaker would make this group itself, without an end to what it keeps, and leave it after a destroy.
        log_group = aws.cloudwatch.LogGroup(
            physical(self._name),
            name=f"/aws/sagemaker/Endpoints/{args.name}",
            retention_in_days=args.log_retention_days,
            tags=self._tags,
            opts=child,
        )
        alarms = args.rollback_alarms
        name = EndpointName(
            self._name,
            region=args.region,
            name=args.name,
            instance_type=args.variant.instance_type,
            instance_count=args.variant.min_instances,
            rollback_alarms=list(alarms.names) if alarms else [],
            owner=args.owner,
            # After the configuration: on destroy, a failed endpoint that only this resource knows goes first.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[self._config, log_group, *([alarms] if alarms else [])]
            ),
        )
        return aws.sagemaker.Endpoint(
            physical(self._name),
            name=args.name,
            endpoint_config_name=self._config.name,
            deployment_config=self._deployment(),
            tags=self._tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[name],
                protect=args.protect,
                custom_timeouts=pulumi.CustomTimeouts(create=_CREATE, update=_UPDATE, delete=_DELETE),
            ),
        )

    def _deployment(self) -> aws.sagemaker.EndpointDeploymentConfigArgsDict:
        """Blue/green, all at once: the only kind that works with one instance."""
        rollback, alarms = self._args.rollback, self._args.rollback_alarms
        deployment: aws.sagemaker.EndpointDeploymentConfigArgsDict = {
            "blue_green_update_policy": {
                "traffic_routing_configuration": {
                    "type": "ALL_AT_ONCE",
                    "wait_interval_in_seconds": rollback.bake_seconds if alarms and alarms.names else 0,
                },
                "termination_wait_in_seconds": 0,
                "maximum_execution_timeout_in_seconds": _DEPLOYMENT_SECONDS + rollback.bake_seconds,
            },
        }
        if alarms and alarms.names:
            deployment["auto_rollback_configuration"] = {"alarms": [{"alarm_name": name} for name in alarms.names]}
        return deployment

    def _scaling(self) -> None:
        variant = self._args.variant
        if not variant.autoscaled:
            return
        child = pulumi.ResourceOptions(parent=self)
        target = aws.appautoscaling.Target(
            physical(self._name),
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=pulumi.Output.concat("endpoint/", self.name, "/variant/", variant.name),
            min_capacity=variant.min_instances,
            max_capacity=variant.max_instances,
            opts=child,
        )
        aws.appautoscaling.Policy(
            physical(self._name),
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration={
                "predefined_metric_specification": {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"},
                "target_value": variant.invocations_per_instance or 0,
                "scale_in_cooldown": _SCALE_IN_SECONDS,
                "scale_out_cooldown": _SCALE_OUT_SECONDS,
            },
            opts=child,
        )
