"""A pipeline that trains, evaluates and pushes a model of the catalog, and the group of the model's versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from cohost import aws_rules, policies_aws, tokens, training_aws
from cohost.aws_settings import Training
from cohost.policies_aws import Vpc
from cohost.training_aws import PipelineSpec
from components.aws.artifact_store import ArtifactStore
from components.aws.stack import Stack
from components.names import Fault, refuse

# Source: botocore 1.44.5, sagemaker, PipelineName and EntityName.
_LONGEST_NAME: Final = 63


@dataclass(frozen=True, kw_only=True)
class TrainingPipelineArgs:
    """What a pipeline is made of.

    Attributes:
        stack: Whose it is.
        store: Where artifacts go, and what the steps hand on.
        training: Which model is trained, and on what.
        serving_image: The image that serves the model, noted with each version.
        vpc: Where in a VPC the steps run; None outside one.
    """

    stack: Stack
    store: ArtifactStore
    training: Training
    serving_image: str
    vpc: Vpc | None = None

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        given = self.training.model_copy(update={"enabled": True})
        return list(aws_rules.training(given, self.stack.region))


class TrainingPipeline(pulumi.ComponentResource):
    """A SageMaker pipeline, its role, and a model package group.

    Attributes:
        name: The pipeline's name, to start it by.
        spec: What it does.
        role_arn: The role of its steps.
    """

    name: pulumi.Output[str]
    spec: PipelineSpec
    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: TrainingPipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the role, the group and the pipeline.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.AWS_TRAINING_PIPELINE, name, None, opts)
        self._args, self._physical = args, args.stack.physical(name)
        training = args.training
        self.spec = PipelineSpec(
            name=args.stack.physical(training.model)[:_LONGEST_NAME].rstrip("-_").replace("_", "-"),
            model=training.model,
            floor=training.floor,
            image=training.image or "",
            instance_type=training.instance_type,
            serving_image=args.serving_image,
            vpc=args.vpc,
        )
        self.role_arn, policy = self._role()
        group = self._group()
        self.name = self._pipeline([policy, group])
        self.register_outputs({"name": self.name})

    def _role(self) -> tuple[pulumi.Output[str], aws.iam.RolePolicy]:
        stack, store, child = self._args.stack, self._args.store, pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            self._physical,
            description="Taken by SageMaker to train, evaluate and push a model of a shared endpoint",
            assume_role_policy=stack.place.apply(
                lambda place: policies_aws.to_json(policies_aws.sagemaker_trust(place))
            ),
            tags=stack.tags,
            opts=child,
        )
        known = pulumi.Output.all(stack.place, store.bucket_arn, store.key_arn, role.arn)
        policy = aws.iam.RolePolicy(
            self._physical,
            role=role.name,
            policy=known.apply(
                lambda values: policies_aws.to_json(
                    training_aws.pipeline_role(
                        values[0], self.spec, bucket_arn=values[1], key_arn=values[2], role_arn=values[3]
                    )
                )
            ),
            opts=child,
        )
        return role.arn, policy

    def _group(self) -> aws.sagemaker.ModelPackageGroup:
        """The group is named by us, since Pulumi makes up no name for a property that is not called `name`."""
        return aws.sagemaker.ModelPackageGroup(
            self._physical,
            model_package_group_name=self.spec.name,
            model_package_group_description=f"Versions of {self.spec.model}, each with its artifact's digest",
            tags=self._args.stack.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _pipeline(self, before: list[pulumi.Resource]) -> pulumi.Output[str]:
        stack, store = self._args.stack, self._args.store
        definition = pulumi.Output.all(store.url, self.role_arn).apply(
            lambda values: policies_aws.to_json(
                training_aws.definition(
                    self.spec, bucket=values[0].removeprefix("s3://"), region=stack.region, role_arn=values[1]
                )
            )
        )
        pipeline = aws.sagemaker.Pipeline(
            self._physical,
            pipeline_name=self.spec.name,
            pipeline_display_name=self.spec.name,
            pipeline_description=f"Trains {self.spec.model}, evaluates it, and pushes it if it is good enough",
            pipeline_definition=definition,
            role_arn=self.role_arn,
            tags=stack.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )
        return pipeline.pipeline_name.apply(lambda name: name or self.spec.name)
