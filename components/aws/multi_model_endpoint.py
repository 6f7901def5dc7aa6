"""The shared endpoint: one SageMaker multi-model endpoint with Triton on GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_aws as aws

from cohost import aws_rules, tokens
from cohost.aws_settings import Network, Rollback, Variant
from cohost.resources import ArtifactSet, EndpointName, SageMakerActiveRelease
from components.aws.alarms import Alarms, AlarmsArgs
from components.aws.artifact_store import ArtifactStore
from components.aws.execution_role import ExecutionRole
from components.aws.stack import Stack
from components.names import Fault, refuse

# Triton's own switches in AWS's image. Source: triton-inference-server/server, docker/sagemaker/serve, which logs
# every request unless told otherwise.
_CONTAINER_ENVIRONMENT: Final = {"SAGEMAKER_TRITON_LOG_VERBOSE": "false"}
# The image is several GB; SageMaker's own default is half of this.
_START_SECONDS: Final = 900
# When SageMaker gives an update up and takes it back. The aws provider waits 60 minutes for creation and update,
# whatever a resource's custom timeouts say (hashicorp/terraform-provider-aws, sagemaker/endpoint.go), and must not
# be the first to give up.
_DEPLOYMENT_SECONDS: Final = 55 * 60
_VERIFICATION: Final = "2h"
# AWS's own sample for multi-model endpoints: slow to take away, quicker to add.
_SCALE_IN_SECONDS: Final = 600
_SCALE_OUT_SECONDS: Final = 300


@dataclass(frozen=True, kw_only=True)
class MultiModelEndpointArgs:
    """What the endpoint is made of.

    Attributes:
        stack: Whose it is; also its name, the only fixed one here.
        store: Where its models are.
        artifacts: What is in the store.
        role: What the containers run as.
        image_uri: The serving image.
        ami: The inference AMI, which decides the GPU driver.
        rollback_alarms: The alarms that take an update back; may be none.
        variant: The fleet.
        network: VPC and isolation.
        rollback: How long the alarms are watched.
        log_retention_days: How long logs are kept.
    """

    stack: Stack
    store: ArtifactStore
    artifacts: ArtifactSet
    role: ExecutionRole
    image_uri: str
    ami: str
    rollback_alarms: AlarmsArgs
    variant: Variant = field(default_factory=Variant)
    network: Network = field(default_factory=Network)
    rollback: Rollback = field(default_factory=Rollback)
    log_retention_days: int = 30

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        return [
            *aws_rules.variant(self.variant),
            *aws_rules.network(self.network),
            *aws_rules.ami(self.ami, key="ami"),
            *aws_rules.retention(self.log_retention_days),
            *((f"rollbackAlarms.{path}", reason) for path, reason in self.rollback_alarms.faults()),
        ]


class MultiModelEndpoint(pulumi.ComponentResource):
    """One endpoint, however many models.

    Model and endpoint configuration cannot change and get generated names, so that their replacements come first;
    the endpoint has a fixed name and is updated in place. Everything depends on the role's policy and is deleted
    before it: SageMaker needs the permissions until the endpoint is gone.

    Attributes:
        name: The endpoint's name, once it is in service.
    """

    name: pulumi.Output[str]

    def __init__(self, name: str, args: MultiModelEndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the endpoint and what belongs to it.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.AWS_MULTI_MODEL_ENDPOINT, name, None, opts)
        self._name, self._args, self._stack = name, args, args.stack
        self._config = self._configuration(self._model())
        self._endpoint_name = self._free_name()
        self.name = self._endpoint().name
        self._scaling()
        self.register_outputs({"name": self.name})

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
            region=self._stack.region,
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
                # Its deletion, the first of a destroy, sends callers away.
                protect=self._stack.production,
                custom_timeouts=pulumi.CustomTimeouts(create=_VERIFICATION, update=_VERIFICATION),
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
            self._stack.physical(self._name),
            execution_role_arn=args.role.arn,
            primary_container={
                "image": args.image_uri,
                "mode": "MultiModel",
                "model_data_url": pulumi.Output.concat(args.store.url, "/models/"),
                "environment": _CONTAINER_ENVIRONMENT,
            },
            enable_network_isolation=args.network.isolation,
            vpc_config=vpc,
            tags=self._stack.tags,
            # The prefix must hold artifacts before the endpoint starts, and until it is gone.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.artifacts]),
        )

    def _configuration(self, model: aws.sagemaker.Model) -> aws.sagemaker.EndpointConfiguration:
        variant = self._args.variant
        return aws.sagemaker.EndpointConfiguration(
            self._stack.physical(self._name),
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
            tags=self._stack.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _log_group(self) -> aws.cloudwatch.LogGroup:
        """SageMaker would make this group itself, keep logs for ever, and leave it after a destroy."""
        return aws.cloudwatch.LogGroup(
            self._stack.physical(self._name),
            name=f"/aws/sagemaker/Endpoints/{self._stack.endpoint_name}",
            retention_in_days=self._args.log_retention_days,
            tags=self._stack.tags,
            # Only another name replaces it, and until the old endpoint is gone it writes to the old one.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._endpoint_name], delete_before_replace=False),
        )

    def _free_name(self) -> EndpointName:
        """Before all else that is called by the endpoint's name, so that nothing of somebody else's is touched."""
        stack, variant = self._stack, self._args.variant
        return EndpointName(
            self._name,
            region=stack.region,
            name=stack.endpoint_name,
            instance_type=variant.instance_type,
            instance_count=variant.min_instances,
            endpoint_config=self._config.name,
            rollback_alarms=list(self._args.rollback_alarms.names),
            owner=stack.owner,
            # It depends on the configuration: on destroy, a failed endpoint that only this resource knows goes before.
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _endpoint(self) -> aws.sagemaker.Endpoint:
        child = pulumi.ResourceOptions(parent=self, depends_on=[self._endpoint_name])
        guard = Alarms("rollback", self._args.rollback_alarms, child)
        return aws.sagemaker.Endpoint(
            self._stack.physical(self._name),
            name=self._endpoint_name.name,
            endpoint_config_name=self._config.name,
            deployment_config=self._deployment(),
            tags=self._stack.tags,
            # A live endpoint is never deleted to make room: under another name the new one comes first, and under the
            # same name SageMaker refuses it.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[self._log_group(), guard],
                protect=self._stack.production,
                delete_before_replace=False,
            ),
        )

    def _deployment(self) -> aws.sagemaker.EndpointDeploymentConfigArgsDict:
        """Blue/green, all at once: the only kind that works with one instance."""
        alarms = self._args.rollback_alarms.names
        deployment: aws.sagemaker.EndpointDeploymentConfigArgsDict = {
            "blue_green_update_policy": {
                "traffic_routing_configuration": {
                    "type": "ALL_AT_ONCE",
                    # Without an alarm there is nothing to wait for.
                    "wait_interval_in_seconds": self._args.rollback.bake_seconds if alarms else 0,
                },
                "termination_wait_in_seconds": 0,
                "maximum_execution_timeout_in_seconds": _DEPLOYMENT_SECONDS,
            },
        }
        if alarms:
            deployment["auto_rollback_configuration"] = {"alarms": [{"alarm_name": name} for name in alarms]}
        return deployment

    def _scaling(self) -> None:
        variant = self._args.variant
        if not variant.autoscaled:
            return
        child = pulumi.ResourceOptions(parent=self)
        target = aws.appautoscaling.Target(
            self._stack.physical(self._name),
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=pulumi.Output.concat("endpoint/", self.name, "/variant/", variant.name),
            min_capacity=variant.min_instances,
            max_capacity=variant.max_instances,
            tags=self._stack.tags,
            opts=child,
        )
        aws.appautoscaling.Policy(
            self._stack.physical(self._name),
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
