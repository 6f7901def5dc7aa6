"""`cohost:sagemaker:EndpointName`: the right to create or update a SageMaker endpoint of a name.

The aws provider puts an endpoint into the state only once it is in service (hashicorp/terraform-provider-aws#40080).
SageMaker keeps one whose creation failed, and goes on with one whose deployment was interrupted: the next `up`
would meet "already exists", and a `destroy` would leave it behind. The endpoint takes its name from this resource,
which first removes this stack's own endpoint that failed or that an interrupted deployment began, and, when it is
deleted itself, whatever is left of this stack's under the name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from cohost.errors import DeploymentError, Problem
from cohost.ownership import OWNER_TAG
from cohost.provider import endpoints, fixed, properties, quota
from cohost.provider.aws import own_words
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
    "endpointConfig": properties.text,
    "rollbackAlarms": properties.texts,
    "owner": properties.text,
}
# Any change of these is an update, which needs a second fleet for a while: another image is another configuration.
_FLEET: Final = ("instanceType", "instanceCount", "endpointConfig")
# What a live endpoint may refuse to have changed; AWS is asked only when one of them differs.
_FIXED: Final = ("instanceType", "rollbackAlarms")


class EndpointName:
    """Looks at the live endpoint of the name, its owner and the quota; deletes only what no state can know."""

    def identify(self, inputs: Values) -> str:
        """`<region>/<name>`."""
        return f"{inputs['region']}/{inputs['name']}"

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterator[Problem]:
        """Checks the inputs, that a new name is free, and that what is fixed in a live endpoint stays."""
        found = list(properties.problems(news, _FIELDS))
        yield from found
        if found:
            return
        if olds is None or not _same_endpoint(olds, news):
            yield from _in_use(context, news)
        elif any(olds.get(name) != news[name] for name in _FIXED):
            yield from _conflicts(context, olds, news)

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """Also a change when this stack's failed endpoint stands in the way, or one that may yet fail."""
        changes = properties.compare(outputs, news, fields=_FIELDS, replacing=("region", "name"))
        if not changes:
            endpoint = _look_own(context, news)
            if endpoint is not None and endpoint.status in (endpoints.FAILED, endpoints.CREATING):
                changes["name"] = Change.UPDATE
        return changes

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """Says what the account's quota must hold."""
        _ensure_quota(context, outputs, news)
        return dict(news)

    def create(self, context: Context, inputs: Values) -> Values:
        """Frees the name."""
        _ensure_quota(context, None, inputs)
        _free(context, None, inputs)
        return dict(inputs)

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Frees the name."""
        _ensure_quota(context, outputs, inputs)
        _free(context, outputs, inputs)
        return dict(inputs)

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """A name is always there; an import takes what the live endpoint runs."""
        if outputs is not None:
            return State(id, {name: outputs[name] for name in _FIELDS if name in outputs}, outputs)
        return _import(context, id)

    def delete(self, context: Context, outputs: Values) -> None:
        """Removes this stack's own endpoint of the name; one in the state was deleted before."""
        client = context.aws.client("sagemaker", outputs["region"])
        endpoint = endpoints.settled(context, client, outputs["name"])
        if endpoint is not None and endpoints.owner_of(client, endpoint) == outputs["owner"]:
            _remove(context, client, endpoint)


def _free(context: Context, before: Values | None, inputs: Values) -> None:
    """Makes the name usable.

    Raises:
        DeploymentError: It is somebody else's, or something would change that is fixed.
    """
    name = inputs["name"]
    client = context.aws.client("sagemaker", inputs["region"])
    # A stack that was renamed finds its endpoint under its old name; the aws provider changes the tag after this.
    owners = {inputs["owner"], (before or inputs).get("owner")}
    endpoint = _own(client, inputs, owners)
    # `check` did not see it, where the network failed just then.
    for key, reason in fixed.conflicts(context, endpoint, before or inputs, inputs, patient=True):
        raise DeploymentError(f"the endpoint {name}: {key} {reason}")
    # What was being created before this deployment began is in no state, and has answered nobody.
    begun = endpoint is not None and endpoint.status == endpoints.CREATING
    if endpoint is not None and endpoint.moving:
        endpoints.settled(context, client, name)
        endpoint = _own(client, inputs, owners)
    if endpoint is not None and (begun or endpoint.status == endpoints.FAILED):
        _remove(context, client, endpoint)


def _remove(context: Context, client: Any, endpoint: Endpoint) -> None:
    endpoints.remove(context, client, endpoint)
    failed = endpoint.status == endpoints.FAILED
    why = f"had failed: {endpoint.failure}" if failed else "an interrupted deployment had left"
    context.info(f"removed the endpoint {endpoint.name}, which {why}")


def _own(client: Any, inputs: Values, owners: Collection[str | None]) -> Endpoint | None:
    """The endpoint of the name, if there is one.

    Raises:
        DeploymentError: It is somebody else's.
    """
    endpoint = endpoints.describe(client, inputs["name"])
    if endpoint is None:
        return None
    holder = endpoints.owner_of(client, endpoint)
    if holder is None or holder not in owners:
        raise DeploymentError(_taken(inputs, holder))
    return endpoint


def _taken(inputs: Values, holder: str | None) -> str:
    whose = f"stack {holder}" if holder else f"somebody else (it has no tag {OWNER_TAG})"
    return f"the endpoint name {inputs['name']} is in use in {inputs['region']} by {whose}: choose another name"


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
    # What an older state does not tell has not changed.
    if all(before.get(name) in (None, news.get(name)) for name in _FLEET):
        return
    old_type, old_count = before.get("instanceType"), int(before.get("instanceCount") or 0)
    context.warning(
        f"the update brings up {count} x {instance_type} beside {old_count} x {old_type}: "
        "both fleets run, and cost, until the old one is taken down"
    )
    needed = count + (old_count if old_type == instance_type else 0)
    quota.ensure(context, region=region, instance_type=instance_type, needed=needed, why="the update of the endpoint")


def _look(context: Context, inputs: Values) -> tuple[Endpoint, str | None] | None:
    """The endpoint of the name and its owner; None when there is none or nobody can tell (no credentials)."""
    name, region = inputs.get("name"), inputs.get("region")
    if not isinstance(name, str) or not isinstance(region, str):
        return None
    try:
        client = context.aws.client("sagemaker", region, patient=False)
        endpoint = endpoints.describe(client, name)
        return (endpoint, endpoints.owner_of(client, endpoint)) if endpoint else None
    except DeploymentError:
        return None


def _look_own(context: Context, inputs: Values) -> Endpoint | None:
    found = _look(context, inputs)
    return found[0] if found and found[1] == inputs.get("owner") else None


def _same_endpoint(olds: Values, news: Values) -> bool:
    return all(olds.get(name) == news[name] for name in ("region", "name"))


def _in_use(context: Context, news: Values) -> Iterator[Problem]:
    """Says it before anything is made, where `_free` would only say it half-way through the deployment."""
    found = _look(context, news)
    if found and news["owner"] not in (UNKNOWN, found[1]):
        yield Problem("", "name", _taken(news, found[1]))


def _conflicts(context: Context, olds: Values, news: Values) -> Iterator[Problem]:
    """Says them before anything is made; where AWS does not answer, `_free` says them."""
    try:
        for key, reason in fixed.conflicts(context, _look_own(context, news), olds, news, patient=False):
            yield Problem("", key, reason)
    except DeploymentError:
        return


def _import(context: Context, id: str) -> State | None:
    region, _, name = id.rpartition("/")
    if not region:
        raise DeploymentError(f"the id to import is <region>/<endpoint name>, not {id!r}")
    client = context.aws.client("sagemaker", region)
    endpoint = endpoints.describe(client, name)
    if endpoint is None:
        return None
    with own_words(f"looking at the endpoint configuration {endpoint.config}"):
        config = client.describe_endpoint_config(EndpointConfigName=endpoint.config)
        deployment = client.describe_endpoint(EndpointName=name).get("LastDeploymentConfig", {})
    variant = config["ProductionVariants"][0]
    rollback = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    found = {
        "region": region,
        "name": name,
        "instanceType": variant["InstanceType"],
        "instanceCount": variant["InitialInstanceCount"],
        "endpointConfig": endpoint.config,
        "rollbackAlarms": [alarm["AlarmName"] for alarm in rollback],
        "owner": endpoints.owner_of(client, endpoint) or "",
    }
    return State(id, found, found)
