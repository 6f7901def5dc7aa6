"""The role that SageMaker takes to fetch models and to run the containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from cohost import aws_rules, policies_aws, tokens
from cohost.policies_aws import Vpc
from components.aws.artifact_store import ArtifactStore
from components.aws.stack import Stack
from components.names import Fault, refuse


@dataclass(frozen=True, kw_only=True)
class ExecutionRoleArgs:
    """What a role is made of.

    Attributes:
        stack: Whose it is.
        reads: The store whose artifacts it may read.
        image_uri: The serving image, which it may pull.
        watches: Names of the alarms that take an update back, which SageMaker reads by this role.
        vpc: The VPC's subnets and security groups; None outside a VPC.
    """

    stack: Stack
    reads: ArtifactStore
    image_uri: str
    watches: Sequence[str]
    vpc: Vpc | None = None

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        return [("imageUri", fault) for fault in aws_rules.image_uri(self.image_uri, self.stack.region)]


class ExecutionRole(pulumi.ComponentResource):
    """A role for SageMaker alone, of this account and region alone.

    Attributes:
        arn: The role, once it may do what it must: whoever uses it also outlives its policy.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: ExecutionRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the role and its policy.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.AWS_EXECUTION_ROLE, name, None, opts)
        stack, child = args.stack, pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            stack.physical(name),
            description="Taken by SageMaker to serve the models of a shared endpoint",
            assume_role_policy=stack.place.apply(
                lambda place: policies_aws.to_json(policies_aws.sagemaker_trust(place))
            ),
            tags=stack.tags,
            opts=child,
        )
        known = pulumi.Output.all(stack.place, args.reads.bucket_arn, args.reads.key_arn)
        policy = aws.iam.RolePolicy(
            stack.physical(name),
            role=role.name,
            policy=known.apply(
                lambda values: policies_aws.to_json(
                    policies_aws.execution(
                        values[0],
                        bucket_arn=values[1],
                        key_arn=values[2],
                        endpoint=stack.endpoint_name,
                        image_uri=args.image_uri,
                        alarms=args.watches,
                        vpc=args.vpc,
                    )
                )
            ),
            opts=child,
        )
        self.arn = pulumi.Output.all(role.arn, policy.id).apply(lambda values: str(values[0]))
        self.register_outputs({"arn": self.arn})
