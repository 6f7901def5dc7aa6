"""Policies for people and programs to attach: who calls the endpoint, and who deploys the stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from cohost import aws_rules, policies_aws, tokens, training_aws
from cohost.deployer_policy_aws import PARTS, deployer
from components.aws.artifact_store import ArtifactStore
from components.aws.execution_role import ExecutionRole
from components.aws.stack import Stack
from components.aws.training_pipeline import TrainingPipeline
from components.names import Fault, refuse


@dataclass(frozen=True, kw_only=True)
class CallerPolicyArgs:
    """What a caller policy is made of.

    Attributes:
        stack: Whose endpoint may be invoked.
        store: The store whose active release may be read.
        target_models: Patterns of TargetModels that may be invoked; empty = every one.
    """

    stack: Stack
    store: ArtifactStore
    target_models: Sequence[str] = ()

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        return list(aws_rules.target_models(self.target_models, key="targetModels"))


class CallerPolicy(pulumi.ComponentResource):
    """A managed policy for callers.

    Attributes:
        arn: The policy, to attach.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: CallerPolicyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the policy.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.AWS_CALLER_POLICY, name, None, opts)
        known = pulumi.Output.all(args.stack.place, args.store.bucket_arn, args.store.key_arn)
        policy = aws.iam.Policy(
            args.stack.physical(name),
            description="Call the models of a shared endpoint",
            policy=known.apply(
                lambda values: policies_aws.to_json(
                    policies_aws.caller(
                        values[0],
                        endpoint=args.stack.endpoint_name,
                        bucket_arn=values[1],
                        key_arn=values[2],
                        target_models=args.target_models,
                    )
                )
            ),
            tags=args.stack.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = policy.arn
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True, kw_only=True)
class DeployerPolicyArgs:
    """What a deployer policy is made of.

    Attributes:
        stack: Which stack may be brought up to date.
        store: Its store.
        role: The role that its endpoint may be given.
        training: The pipeline that trains a model; None where there is none.
    """

    stack: Stack
    store: ArtifactStore
    role: ExecutionRole
    training: TrainingPipeline | None = None


class DeployerPolicy(pulumi.ComponentResource):
    """Managed policies for whoever keeps the stack up to date (`cohost.deployer_policy_aws` says what that is).

    Attributes:
        arns: The policies, all of them to attach.
    """

    arns: pulumi.Output[list[str]]

    def __init__(self, name: str, args: DeployerPolicyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the policies."""
        super().__init__(tokens.AWS_DEPLOYER_POLICY, name, None, opts)
        stack, store = args.stack, args.store
        known = pulumi.Output.all(stack.place, store.bucket_arn, store.key_arn, args.role.arn)
        documents = known.apply(
            lambda values: deployer(
                values[0],
                prefix=stack.prefix,
                owner=stack.owner,
                endpoint=stack.endpoint_name,
                bucket_arn=values[1],
                key_arn=values[2],
                has_own_key=store.has_own_key,
                role_arn=values[3],
            )
        )
        parts = {part: documents.apply(lambda found, part=part: found[part]) for part in PARTS}
        if args.training:
            parts["training"] = _training(stack, args.training)
        policies = [
            aws.iam.Policy(
                stack.physical(f"{name}-{part}"),
                description=f"Keep a shared endpoint up to date: its {part}",
                policy=found.apply(policies_aws.to_json),
                tags=stack.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for part, found in parts.items()
        ]
        self.arns = pulumi.Output.all(*(policy.arn for policy in policies)).apply(list)
        self.register_outputs({"arns": self.arns})


def _training(stack: Stack, training: TrainingPipeline) -> pulumi.Output[policies_aws.Document]:
    return pulumi.Output.all(stack.place, training.role_arn).apply(
        lambda values: training_aws.deployer(values[0], training.spec, role_arn=values[1])
    )
