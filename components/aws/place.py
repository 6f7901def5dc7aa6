"""Where the stack is deployed to, asked of AWS."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from cohost.policies_aws import Place


def current_place(region: str) -> pulumi.Output[Place]:
    """Returns partition and account of the credentials in use, and the region."""
    identity, partition = aws.get_caller_identity_output(), aws.get_partition_output()
    return pulumi.Output.all(identity.account_id, partition.partition).apply(
        lambda known: Place(account=known[0], partition=known[1], region=region)
    )
