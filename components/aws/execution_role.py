"""The role that SageMaker takes to fetch models and to run the containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from cohost import policies_aws, tokens
from cohost.policies_aws import Place, Vpc
from components.aws.artifact_store import ArtifactStore
from components.names import physical


@dataclass(frozen=True, kw_only=True)
class ExecutionRoleArgs:
    """What a role is made of.

    Attributes:
        place: Where the stack is.
        reads: The store whose artifacts it may read.
        endpoint_name: The endpoint whose log group it may write to.
        image_uri: The serving image, which it may pull.
        vpc: The VPC's subnets and security groups; None outside a VPC.
        tags: Tags of the role.
    """

    place: pulumi.Output[Place]
    reads: ArtifactStore
    endpoint_name: str
    image_uri: str
    vpc: Vpc | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class ExecutionRole(pulumi.ComponentResource):
    """A role for SageMaker alone, of this account and region alone.

    Attributes:
        arn: The role, once it may do what it must: whoever uses it also outlives its policy.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: ExecutionRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the role and its policy."""
        super().__init__(tokens.AWS_EXECUTION_ROLE, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            physical(name),
            description="Taken by SageMaker to serve the models of a shared endpoint",
            assume_role_policy=args.place.apply(
                lambda place: policies_aws.to_json(policies_aws.sagemaker_trust(place))
            ),
            tags=args.tags,
            opts=child,
        )
        known = pulumi.Output.all(args.place, args.reads.bucket_arn, args.reads.key_arn)
        policy = aws.iam.RolePolicy(
            physical(name),
            role=role.name,
            policy=known.apply(
                lambda values: policies_aws.to_json(
                    policies_aws.execution(
                        values[0],
                        bucket_arn=values[1],
                        key_arn=values[2],
                        endpoint=args.endpoint_name,
                        image_uri=args.image_uri,
                        vpc=args.vpc,
                    )
                )
            ),
            opts=child,
        )
        self.arn = pulumi.Output.all(role.arn, policy.id).apply(lambda values: str(values[0]))
        self.register_outputs({"arn": self.arn})
