"""What all components of one stack on AWS share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from cohost import ownership
from cohost.aws_settings import AwsSettings
from cohost.policies_aws import Place
from components.names import prefix


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack: where it is, whose it is, and what its resources are called.

    Attributes:
        owner: "<project>/<stack>", the value of the tag by which the stack knows its own endpoint.
        prefix: What generated names begin with.
        region: The region.
        place: Partition and account beside it, as AWS tells them.
        endpoint_name: The endpoint's name; a plain text, since alarms, log group and policies come before the endpoint.
        production: Whether what callers would miss is protected from deletion.
        tags: On every resource that can carry tags.
    """

    owner: str
    prefix: str
    region: str
    place: pulumi.Output[Place]
    endpoint_name: str
    production: bool
    tags: Mapping[str, str]

    @classmethod
    def current(cls, settings: AwsSettings) -> Stack:
        """Returns the stack that the program runs for."""
        identity, partition = aws.get_caller_identity_output(), aws.get_partition_output()
        owner = ownership.owner(pulumi.get_project(), pulumi.get_stack())
        return cls(
            owner=owner,
            prefix=prefix(pulumi.get_stack()),
            region=settings.region,
            place=pulumi.Output.all(identity.account_id, partition.partition).apply(
                lambda known: Place(account=known[0], partition=known[1], region=settings.region)
            ),
            endpoint_name=settings.endpoint_name,
            production=settings.production,
            tags={**settings.tags, ownership.OWNER_TAG: owner},
        )

    def physical(self, name: str) -> str:
        """Returns the logical name from which Pulumi generates a physical one.

        No resource is given its physical name where Pulumi can make one: a given name means that a replacement
        comes after its predecessor is gone (pulumi-terraform-bridge, nameRequiresDeleteBeforeReplace).
        """
        return f"{self.prefix}-{name}"
