"""`cohost:vertex:DeployedModel`: a model version on machines of its own behind an endpoint.

Its id is made of all its immutable inputs, so a run that was killed or timed out is found again by the next one, and
never brings up a second GPU. It comes up without traffic, also on an endpoint where nothing else is deployed: an
empty `trafficSplit` of DeployModel leaves the endpoint's as it is, and that may be empty too (REST reference of
`projects.locations.endpoints`). Who gives it traffic is the `ActiveRelease`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cohost.errors import DeploymentError, Problem
from cohost.provider import properties
from cohost.provider.context import Context
from cohost.provider.resource import Change, State, Values
from cohost.provider.values import UNKNOWN, known
from cohost.provider.vertex import checks, deployment, quota, replaced, traffic
from cohost.provider.vertex.traffic import Endpoint, EndpointName

# What the quota depends on.
_CHARGED: Final = ("project", "region", "acceleratorType", "acceleratorCount", "minReplicas", "spot", "update")
_ID: Final = re.compile(r"(.+)/deployedModels/([0-9]{1,10})")


def _targets(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem("", path, f"is {value!r}; percentages by metric are expected")
        return
    for name, target in value.items():
        if target is not UNKNOWN:
            yield from properties.count(properties.entry(path, name), target)


def _update(path: str, value: Any) -> Iterator[Problem]:
    if value not in ("surge", "replace"):
        yield Problem("", path, f'is {value!r}; "surge" or "replace" is expected')


_FIELDS: Final = {
    "project": checks.project,
    "region": checks.region,
    "endpoint": traffic.endpoint_name,
    "model": checks.matching(
        r"projects/[^/]+/locations/[^/]+/models/[^/@]+@[^/@]+", "projects/…/locations/…/models/<id>@<version>"
    ),
    "displayName": checks.any_text,
    "machineType": properties.text,
    "acceleratorType": checks.any_text,
    "acceleratorCount": checks.from_zero,
    "minReplicas": properties.count,
    "maxReplicas": properties.count,
    "autoscalingTargets": _targets,
    "spot": properties.flag,
    "serviceAccount": checks.any_text,
    "disableContainerLogging": properties.flag,
    "enableAccessLogging": properties.flag,
    "update": _update,
}


class DeployedModel:
    """Deploys, mutates and undeploys one model version; finds again what an interrupted run began."""

    def identify(self, inputs: Values) -> str:
        """`<endpoint>/deployedModels/<id>`."""
        return f"{inputs['endpoint']}/deployedModels/{deployment.deployed_model_id(inputs)}"

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterator[Problem]:
        """Checks the inputs, and that they fit together."""
        wanted = deployment.complete(news)
        found = list(properties.problems(wanted, _FIELDS))
        yield from found
        if found:
            return
        least, most = wanted["minReplicas"], wanted["maxReplicas"]
        if known([least, most]) and most < least:
            yield Problem("", "maxReplicas", f"is {most:g}, below minReplicas {least:g}; set it to {least:g} or more")
        kind, count = wanted["acceleratorType"], wanted["acceleratorCount"]
        if known([kind, count]) and bool(kind) != bool(count):
            yield Problem("", "acceleratorCount", f"is {count:g} with the accelerator {kind!r}; give both or neither")

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """Replicas, autoscaling and container logging change in place; everything else is another deployment."""
        return deployment.differences(deployment.complete(outputs), deployment.complete(news))

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """The inputs and the id; says whose machines run at the same time, and what the quota must hold."""
        wanted = deployment.complete(news)
        id = (outputs or {}).get("deployedModelId") or _previewed_id(wanted)
        if outputs is None:
            _announce(context, wanted, id)
        return {**wanted, "deployedModelId": id}

    def create(self, context: Context, inputs: Values) -> Values:
        """Deploys, or takes up the deployment that a killed create began.

        Raises:
            PartialFailure: The operation must end before Google has finished; the next `up` goes on.
            DeploymentError: Google refused or failed it; nothing of it is left.
        """
        return deployment.ensure(context, deployment.complete(inputs), deployment.deployed_model_id(inputs))

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Changes what can change in place; deploys what an interrupted create did not get to.

        Raises:
            PartialFailure: As of `create`.
            DeploymentError: As of `create`.
        """
        id = outputs.get("deployedModelId") or deployment.deployed_model_id(inputs)
        return deployment.ensure(context, deployment.complete(inputs), id)

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """What is deployed; an import (`<endpoint>/deployedModels/<id>`) takes all of it from there."""
        found = _ID.fullmatch(id)
        name = EndpointName.parse(found[1]) if found else None
        if found is None or name is None:
            raise DeploymentError(
                "the id to import is projects/<project>/locations/<region>/endpoints/<endpoint>/deployedModels/<id>, "
                f"not {id!r}"
            )
        endpoint = traffic.look(context, name.region, found[1])
        if endpoint is None or found[2] not in endpoint.deployed:
            return None
        inputs = deployment.settings(name, endpoint.name, endpoint.deployed[found[2]])
        if outputs is not None:
            inputs = _as_spelled(deployment.complete(outputs), inputs)
        return State(id, inputs, {**inputs, "deployedModelId": found[2]})

    def delete(self, context: Context, outputs: Values) -> None:
        """Undeploys it, waits until its machines are given back, and deletes a model version that has been replaced.

        With `update: replace` that stays until the model changes again: it is the way back if the new one fails.
        """
        id = outputs.get("deployedModelId") or deployment.deployed_model_id(outputs)
        region, endpoint = outputs["region"], outputs["endpoint"]
        traffic.undeploy(context, region, endpoint, id)
        if outputs.get("update") != "replace":
            replaced.release(context, region, outputs["model"], f"{endpoint}/deployedModels/{id}")


def _previewed_id(wanted: Values) -> Any:
    return deployment.deployed_model_id(wanted) if known([wanted[name] for name in deployment.IMMUTABLE]) else UNKNOWN


def _as_spelled(before: Values, found: dict[str, Any]) -> dict[str, Any]:
    """What was found, each value that means the same as before spelled as before."""
    changed = {path.partition("[")[0] for path in deployment.differences(before, found)}
    return {name: found[name] if name in changed else before[name] for name in _FIELDS}


def _announce(context: Context, wanted: Values, id: Any) -> None:
    """Says in a preview what else runs, and costs, at the same time; nothing of what Google does not answer.

    Raises:
        DeploymentError: The quota does not hold it.
    """
    endpoint = _looked_at(context, wanted)
    if endpoint is not None and id in endpoint.deployed:
        return
    if known([wanted[name] for name in _CHARGED]):
        quota.ensure(context, wanted, endpoint, id)
    others = ", ".join(sorted(endpoint.deployed)) if endpoint else ""
    if not others:
        return
    if wanted["update"] == "replace":
        context.warning(f"undeploys {others} before it deploys: callers get no answer in between")
    else:
        context.warning(
            f"brings up machines beside those of {others}: all of them run, and cost, until the old ones are "
            "undeployed, and the quota must hold them; `update: replace` undeploys first"
        )


def _looked_at(context: Context, wanted: Values) -> Endpoint | None:
    if not known([wanted["endpoint"], wanted["region"]]):
        return None
    try:
        return traffic.look(context, wanted["region"], wanted["endpoint"])
    except DeploymentError:
        return None
