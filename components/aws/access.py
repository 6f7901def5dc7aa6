"""Policies for people and programs to attach: who calls the endpoint, and who deploys the stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from cohost import policies_aws, tokens
from cohost.deployer_policy_aws import deployer
from cohost.policies_aws import Place
from components.aws.artifact_store import ArtifactStore
from components.names import PREFIX, Fault, physical, refuse


@dataclass(frozen=True, kw_only=True)
class CallerPolicyArgs:
    """What a caller policy is made of.

    Attributes:
        place: Where the stack is.
        endpoint_arn: The endpoint that may be invoked.
        store: The store whose active release may be read.
        target_models: Patterns of TargetModels that may be invoked; empty = every one.
        tags: Tags of the policy.
    """

    place: pulumi.Output[Place]
    endpoint_arn: pulumi.Output[str]
    store: ArtifactStore
    target_models: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        return [
            (f"targetModels[{index}]", "is empty; a pattern such as digits/* was expected")
            for index, pattern in enumerate(self.target_models)
            if not pattern.strip()
        ]


class CallerPolicy(pulumi.ComponentResource):
    """A managed policy for callers.

    Attributes:
        arn: The policy, to attach.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: CallerPolicyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the policy.

        Raises:
            InputPropertiesError: A pattern is empty.
        """
        refuse(name, args.faults())
        super().__init__(tokens.AWS_CALLER_POLICY, name, None, opts)
        known = pulumi.Output.all(args.place, args.endpoint_arn, args.store.bucket_arn, args.store.key_arn)
        policy = aws.iam.Policy(
            physical(name),
            description="Call the models of a shared endpoint",
            policy=known.apply(
                lambda values: policies_aws.to_json(
                    policies_aws.caller(
                        values[0],
                        endpoint_arn=values[1],
                        bucket_arn=values[2],
                        key_arn=values[3],
                        target_models=args.target_models,
                    )
                )
            ),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = policy.arn
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True, kw_only=True)
class DeployerPolicyArgs:
    """What a deployer policy is made of.

    Attributes:
        place: Where the stack is.
        endpoint_name: The stack's endpoint.
        owner: "<project>/<stack>".
        autoscaled: Whether the stack scales.
        kms_key_arn: The key that the store was given; None when it makes its own.
        tags: Tags of the policies.
    """

    place: pulumi.Output[Place]
    endpoint_name: str
    owner: str
    autoscaled: bool = False
    kms_key_arn: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class DeployerPolicy(pulumi.ComponentResource):
    """Managed policies for whoever runs `up`, `refresh` and `destroy`.

    Attributes:
        arns: The policies, all of them to attach.
    """

    arns: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, args: DeployerPolicyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the policies: one for the store, one for everything else (IAM limits their length)."""
        super().__init__(tokens.AWS_DEPLOYER_POLICY, name, None, opts)
        documents = args.place.apply(
            lambda place: [
                policies_aws.to_json(document)
                for document in deployer(
                    place,
                    endpoint=args.endpoint_name,
                    owner=args.owner,
                    prefix=PREFIX,
                    autoscaled=args.autoscaled,
                    given_key_arn=args.kms_key_arn,
                )
            ]
        )
        policies = [
            aws.iam.Policy(
                physical(f"{name}-{part}"),
                description=f"Deploy a shared endpoint: its {part}",
                policy=documents[index],
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for index, part in enumerate(("store", "endpoint"))
        ]
        self.arns = pulumi.Output.all(*(policy.arn for policy in policies)).apply(list)
        self.register_outputs({"arns": self.arns})
