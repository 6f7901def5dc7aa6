"""The functions programs may call: who am I, and where."""

from __future__ import annotations

from typing import Any

import botocore.session

from cohost.local.aws_provider.resource import Session


def invoke(session: Session, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns what a function answers.

    Raises:
        NotImplementedError: The function is not served.
    """
    region = arguments.get("region") or session.region
    partition = botocore.session.get_session().get_partition_for_region(region)
    if token == "aws:index/getCallerIdentity:getCallerIdentity":
        told = session.client("sts", session.region).get_caller_identity()
        account = told["Account"]
        return {"accountId": account, "id": account, "arn": told["Arn"], "userId": told["UserId"]}
    if token == "aws:index/getRegion:getRegion":
        endpoint = f"ec2.{region}.{_dns_suffix(partition)}"
        return {"id": region, "name": region, "region": region, "endpoint": endpoint, "description": region}
    if token == "aws:index/getPartition:getPartition":
        suffix = _dns_suffix(partition)
        reverse = ".".join(reversed(suffix.split(".")))
        return {"id": partition, "partition": partition, "dnsSuffix": suffix, "reverseDnsPrefix": reverse}
    raise NotImplementedError(f"{token} is not supported here")


def _dns_suffix(partition: str) -> str:
    return "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
