"""`cohost:sagemaker:EndpointName`: the right to create or update a SageMaker endpoint of a name.

SageMaker keeps an endpoint whose creation failed, and the aws provider does not put it into the state
(hashicorp/terraform-provider-aws#40080), so that the next `up` would meet "already exists". The endpoint takes
its name from this resource, which first removes this stack's own failed one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cohost.errors import DeploymentError, Problem
from cohost.provider import endpoints, properties, quota
from cohost.provider.context import Context
from cohost.provider.endpoints import Endpoint
from cohost.provider.resource import Change, State, Values
from cohost.provider.values import UNKNOWN

# API reference of CreateEndpoint, EndpointName.
_NAME: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def _name(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        yield Problem("", path, f"is {value!r}; 1 to 63 letters, digits and single hyphens inside are expected")


def _instance_type(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not value.startswith("ml."):
        yield Problem("", path, f"is {value!r}; an instance type such as ml.g5.xlarge is expected")


_FIELDS: Final = {
    "region": properties.text,
    "name": _name,
    "instanceType": _instance_type,
    "instanceCount": properties.count,
    "rollbackAlarms": properties.texts,
    "owner": properties.text,
}


class EndpointName:
    """Looks at the live endpoint of the name, its owner and the quota; deletes only this stack's failed one."""

    def identify(self, inputs: Values) -> str:
        """`<region>/<name>`."""
        return f"{inputs['region']}/{inputs['name']}"

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterator[Problem]:
        """Checks the inputs, and that the rollback alarms of a live endpoint stay as they are."""
        found = list(properties.problems(news, _FIELDS))
        yield from found
        if olds and not found:
            yield from _rollback_alarms_fixed(context, olds, news)

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """Also a change when this stack's failed endpoint stands in the way."""
        changes = properties.compare(outputs, news, fields=_FIELDS, replacing=("region", "name"))
        if not changes and _own_failed(context, news):
            changes["name"] = Change.UPDATE
        return changes

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """Says what the account's quota must hold."""
        _ensure_quota(context, outputs, news)
        return dict(news)

    def create(self, context: Context, inputs: Values) -> Values:
        """Frees the name."""
        _ensure_quota(context, None, inputs)
        _free(context, inputs)
        return dict(inputs)

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Frees the name."""
        _ensure_quota(context, outputs, inputs)
        _free(context, inputs)
        return dict(inputs)

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """A name is always there; an import takes what the live endpoint runs."""
        if outputs is not None:
            return State(id, {name: outputs[name] for name in _FIELDS if name in outputs}, outputs)
        return _import(context, id)

    def delete(self, context: Context, outputs: Values) -> None:
        """Removes this stack's own failed endpoint, which no other resource knows."""
        client = context.aws.client("sagemaker", outputs["region"])
        endpoint = endpoints.settled(context, client, outputs["name"])
        if endpoint is None or endpoints.owner_of(client, endpoint) != outputs["owner"]:
            return
        if endpoint.status == endpoints.FAILED:
            endpoints.remove(context, client, endpoint)
        else:
            context.warning(
                f"the endpoint {endpoint.name} is {endpoint.status} and carries this stack's tag, but is not in "
                f"its state: aws sagemaker delete-endpoint --region {outputs['region']} "
                f"--endpoint-name {endpoint.name}"
            )


def _free(context: Context, inputs: Values) -> None:
    """Makes the name usable.

    Raises:
        DeploymentError: It is somebody else's.
    """
    name, owner = inputs["name"], inputs["owner"]
    client = context.aws.client("sagemaker", inputs["region"])
    endpoint = endpoints.describe(client, name)
    if endpoint is None:
        return
    holder = endpoints.owner_of(client, endpoint)
    if holder != owner:
        whose = f"stack {holder}" if holder else "somebody else (it has no tag cohost:stack)"
        raise DeploymentError(
            f"the endpoint name {name} is in use in {inputs['region']} by {whose}: choose another name"
        )
    if endpoint.status == "Deleting":
        endpoint = endpoints.settled(context, client, name)
    if endpoint is not None and endpoint.status == endpoints.FAILED:
        endpoints.remove(context, client, endpoint)
        context.info(f"removed the failed endpoint {name}: {endpoint.failure}")


def _ensure_quota(context: Context, before: Values | None, news: Values) -> None:
    instance_type, region, count = news["instanceType"], news["region"], news["instanceCount"]
    if UNKNOWN in (instance_type, region, count):
        return
    count = int(count)
    if before is None:
        limit = quota.ensure(context, region=region, instance_type=instance_type, needed=count, why="the endpoint")
        if limit is not None and limit < 2 * count:
            context.warning(
                f"the quota of {limit:g} x {instance_type} holds this endpoint but no update of it: "
                f"an update brings up a second fleet, {2 * count} in all"
            )
        return
    old_type, old_count = before.get("instanceType"), int(before.get("instanceCount") or 0)
    if (old_type, old_count) == (instance_type, count):
        return
    context.warning(
        f"the update brings up {count} x {instance_type} beside {old_count} x {old_type}: "
        "both fleets run, and cost, until the old one is taken down"
    )
    needed = count + (old_count if old_type == instance_type else 0)
    quota.ensure(context, region=region, instance_type=instance_type, needed=needed, why="the update of the endpoint")


def _own_failed(context: Context, news: Values) -> bool:
    """Whether this stack's failed endpoint has the name; False when nobody can tell (no credentials)."""
    endpoint = _look(context, news)
    return endpoint is not None and endpoint.status == endpoints.FAILED


def _look(context: Context, inputs: Values) -> Endpoint | None:
    """This stack's endpoint of the name, or None when there is none or nobody can tell."""
    name, region, owner = inputs.get("name"), inputs.get("region"), inputs.get("owner")
    if not all(isinstance(value, str) for value in (name, region, owner)):
        return None
    try:
        client = context.aws.client("sagemaker", str(region), patient=False)
        endpoint = endpoints.describe(client, str(name))
        if endpoint is None or endpoints.owner_of(client, endpoint) != owner:
            return None
    except DeploymentError:
        return None
    return endpoint


def _rollback_alarms_fixed(context: Context, olds: Values, news: Values) -> Iterator[Problem]:
    """The aws provider would replace the live endpoint, deleting it first, to change its rollback alarms."""
    before, after = olds.get("rollbackAlarms"), news["rollbackAlarms"]
    same_name = all(olds.get(name) == news[name] for name in ("region", "name"))
    if before is None or not same_name or after is UNKNOWN or UNKNOWN in after or set(before) == set(after):
        return
    endpoint = _look(context, olds)
    if endpoint is not None and endpoint.status != endpoints.FAILED:
        names = ", ".join(before) or "none"
        yield Problem(
            "", "rollbackAlarms", f"are fixed when the endpoint is created and {endpoint.name} is live: keep "
            f"the ones of before ({names}), or give the endpoint a new name, which brings up a second one "
            "before the old one is deleted"
        )  # fmt: skip


def _import(context: Context, id: str) -> State | None:
    region, _, name = id.rpartition("/")
    if not region:
        raise DeploymentError(f"the id to import is <region>/<endpoint name>, not {id!r}")
    client = context.aws.client("sagemaker", region)
    endpoint = endpoints.describe(client, name)
    if endpoint is None:
        return None
    with endpoints.own_words(f"looking at the endpoint configuration {endpoint.config}"):
        config = client.describe_endpoint_config(EndpointConfigName=endpoint.config)
        alarms = client.describe_endpoint(EndpointName=name).get("LastDeploymentConfig", {})
    variant = config["ProductionVariants"][0]
    rollback = alarms.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    found = {
        "region": region,
        "name": name,
        "instanceType": variant["InstanceType"],
        "instanceCount": variant["InitialInstanceCount"],
        "rollbackAlarms": [alarm["AlarmName"] for alarm in rollback],
        "owner": endpoints.owner_of(client, endpoint) or "",
    }
    return State(id, found, found)
