"""A Vertex AI endpoint as the plugin looks at it: what is deployed, and who gets which share of the calls.

Fields and rules: REST reference of `projects.locations.endpoints` (`trafficSplit`: percentages that add up to 100, or
nothing while the endpoint takes no calls; `etag`: for updates that must not overwrite one of somebody else's) and of
its method `undeployModel` (a deployed model goes once it has no traffic, or by a split that takes it away).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from cohost.errors import DeploymentError, Problem
from cohost.provider.context import Context
from cohost.provider.google import GoogleError, words
from cohost.provider.vertex import operations

ALL: Final = 100
_NAME: Final = re.compile(r"projects/([^/]+)/locations/([^/]+)/endpoints/([^/]+)")
# Somebody else may change the endpoint between a look and the update that rests on it.
_TRIES: Final = 10
_PAUSE_S: Final = 1.0
# What the metadata of an operation on an endpoint are (google.cloud.aiplatform.v1).
_CHANGES: Final = (
    "DeployModelOperationMetadata",
    "UndeployModelOperationMetadata",
    "MutateDeployedModelOperationMetadata",
)

Split = Mapping[str, int]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint at one moment.

    Attributes:
        name: Its full resource name.
        split: Percentage of the calls by id of the deployed model; without those that get none.
        deployed: What is deployed, by id, as the REST API describes it.
        etag: Its version.
        dns: The only name that a dedicated endpoint answers at, or "".
        service_attachment: What a forwarding rule to it names, if it is private and anything is deployed; or "".
    """

    name: str
    split: Split
    deployed: Mapping[str, Mapping[str, Any]]
    etag: str
    dns: str = ""
    service_attachment: str = ""


@dataclass(frozen=True)
class EndpointName:
    """The parts of an endpoint's full name.

    Attributes:
        project: Id or number of the project.
        region: Where.
        id: The endpoint's own id.
    """

    project: str
    region: str
    id: str

    @classmethod
    def parse(cls, name: Any) -> EndpointName | None:
        """The parts of `projects/<project>/locations/<region>/endpoints/<id>`, or None when it is no such name."""
        found = _NAME.fullmatch(name) if isinstance(name, str) else None
        return cls(*found.groups()) if found else None


def endpoint_name(path: str, value: Any) -> Iterator[Problem]:
    """An endpoint's full name."""
    if EndpointName.parse(value) is None:
        yield Problem("", path, f"is {value!r}; projects/<project>/locations/<region>/endpoints/<id> is expected")


def look(context: Context, region: str, name: str) -> Endpoint | None:
    """The endpoint, or None when there is none.

    Raises:
        GoogleError: Google cannot be asked.
    """
    try:
        found = context.gcp.clients(region).get(name)
    except GoogleError as error:
        if error.status == "NOT_FOUND":
            return None
        raise
    return Endpoint(
        name=name,
        split={id: int(percent) for id, percent in found.get("trafficSplit", {}).items() if percent},
        deployed={each["id"]: each for each in found.get("deployedModels", [])},
        etag=found.get("etag", ""),
        dns=found.get("dedicatedEndpointDns", "") if found.get("dedicatedEndpointEnabled") else "",
        service_attachment=found.get("privateServiceConnectConfig", {}).get("serviceAttachment", ""),
    )


def needed(context: Context, region: str, name: str) -> Endpoint:
    """The endpoint.

    Raises:
        DeploymentError: There is none.
    """
    found = look(context, region, name)
    if found is None:
        raise DeploymentError(f"there is no endpoint {name}: `refresh`, then `up` makes it anew")
    return found


def ensure_deployed(endpoint: Endpoint, ids: Collection[str]) -> None:
    """Makes sure that whoever shall get calls is there.

    Raises:
        DeploymentError: Somebody is not.
    """
    absent = ", ".join(sorted(set(ids) - set(endpoint.deployed)))
    if absent:
        raise DeploymentError(f"{absent} is not deployed on {endpoint.name}: `refresh`, then `up` deploys it anew")


def idle(endpoint: Endpoint | None, id: str) -> str:
    """What else is deployed and gets no calls, such as a release whose smoke tests failed, and how it is ended.

    Args:
        endpoint: The endpoint, or None when there is none.
        id: The deployed model that is not meant.

    Returns:
        A clause, or "" when there is nothing.
    """
    if endpoint is None:
        return ""
    ids = sorted(set(endpoint.deployed) - set(endpoint.split) - {id})
    return ", and ".join(
        f"{each} gets no calls: `{undeploying(endpoint.name, each)}` gives its machines back" for each in ids
    )


def undeploying(name: str, id: str) -> str:
    """The command that undeploys by hand (gcloud reference, `ai endpoints undeploy-model`)."""
    found = EndpointName.parse(name)
    where = f" --region {found.region}" if found else ""
    return f"gcloud ai endpoints undeploy-model {name}{where} --deployed-model-id {id}"


def scaled(split: Split, total: int) -> dict[str, int]:
    """The same proportions with another sum; what does not divide goes to the largest remainders.

    Args:
        split: Percentages, at least one of them above 0.
        total: The new sum; who would get 0 of it is left out.
    """
    whole = sum(split.values())
    exact = {id: percent * total / whole for id, percent in split.items()}
    found = {id: int(percent) for id, percent in exact.items()}
    left = total - sum(found.values())
    for id in sorted(exact, key=lambda id: (found[id] - exact[id], id))[:left]:
        found[id] += 1
    return {id: percent for id, percent in found.items() if percent}


def without(split: Split, id: str) -> dict[str, int]:
    """The split once `id` gets nothing; empty when nobody else gets anything."""
    rest = {other: percent for other, percent in split.items() if other != id and percent}
    return scaled(rest, ALL) if rest else {}


def shared(split: Split, id: str, percent: int) -> dict[str, int]:
    """The split once `id` gets a share and the others keep their proportions; all of it when there is nobody else."""
    rest = without(split, id)
    if not rest or percent >= ALL:
        return {id: ALL}
    return scaled(rest, ALL - percent) | ({id: percent} if percent else {})


def set_split(context: Context, region: str, name: str, split: Split) -> None:
    """Gives the calls another split, if it is another one; nothing else of the endpoint is touched.

    Raises:
        DeploymentError: There is no endpoint, or a deployed model of the split is not on it.
        GoogleError: Refused, or not reached.
        OperationCancelled: The operation must end first.
    """

    def attempt(endpoint: Endpoint) -> None:
        ensure_deployed(endpoint, split)
        if endpoint.split != split:
            _update(context, region, endpoint, split)

    needed(context, region, name)
    on_newest(context, region, name, f"setting the traffic split of {name}", attempt)


def undeploy(context: Context, region: str, name: str, id: str) -> bool:
    """Takes a deployed model off its endpoint and waits until its machines are given back.

    Traffic that it still has goes to the others by their proportions; where none has any, to the one deployed last.

    Args:
        context: The operation.
        region: Where.
        name: The endpoint's full name.
        id: The deployed model.

    Returns:
        Whether there was one; an endpoint that is gone has none.

    Raises:
        DeploymentError: Google failed it.
        GoogleError: Refused, or not reached.
        OperationCancelled: The operation must end first.
    """
    doing = f"undeploying {id} from {name}"

    def attempt(endpoint: Endpoint) -> str | None:
        return _undeploy(context, region, endpoint, id, doing) if id in endpoint.deployed else None

    settle(context, region, name)
    operation = on_newest(context, region, name, doing, attempt)
    if operation is None:
        return False
    context.status(f"undeploying {id}", last=True)
    operations.wait(context, context.gcp, region, operation, doing=doing)
    return True


def settle(context: Context, region: str, name: str) -> bool:
    """Waits for whatever Google still does with the deployed models of an endpoint, such as what a killed run began.

    How it ends is no error here: the endpoint tells afterwards what is deployed.

    Returns:
        Whether there was anything to wait for.

    Raises:
        GoogleError: Google cannot be asked.
        OperationCancelled: The operation must end first.
    """
    waited = False
    for kind in _CHANGES:
        while operation := operations.find(context.gcp, region, name, kind=kind):
            waited = True
            doing = f"waiting for {operation}"
            try:
                operations.wait(context, context.gcp, region, operation, partial(tell, context), doing=doing)
            except GoogleError:
                if not operations.ended(context.gcp, region, operation):
                    raise
                context.pause(_PAUSE_S)  # it may stand among the running ones for a moment longer
    return waited


def tell(context: Context, metadata: Mapping[str, Any]) -> None:
    """Shows the stage of a deployment in Google's own word ("ADDING_NODES_TO_CLUSTER"), where there is one."""
    stage = metadata.get("deploymentStage", "DEPLOYMENT_STAGE_UNSPECIFIED")
    if stage != "DEPLOYMENT_STAGE_UNSPECIFIED":
        context.status(stage, last=True)


def on_newest(
    context: Context, region: str, name: str, doing: str, attempt: Callable[[Endpoint], Result]
) -> Result | None:
    """Makes a change that rests on a look at the endpoint.

    It is made anew when somebody changed the endpoint in between, or when Google refused it because it is still at
    work on the endpoint ("There are other operations running"), such as on what a parallel deletion asked for.

    Args:
        context: The operation.
        region: Where.
        name: The endpoint's full name.
        doing: For the message when time is over.
        attempt: The change.

    Returns:
        What `attempt` returns, or None when the endpoint is gone.

    Raises:
        GoogleError: Refused for another reason.
        DeploymentError: Somebody changes the endpoint all the time.
        OperationCancelled: The operation must end first.
    """
    for _ in range(_TRIES):
        context.ensure_running(doing)
        endpoint = look(context, region, name)
        if endpoint is None:
            return None
        try:
            return attempt(endpoint)
        except GoogleError:
            busy = settle(context, region, name)
            again = look(context, region, name)
            if not busy and again is not None and again.etag == endpoint.etag:
                raise
            context.pause(_PAUSE_S)
    raise DeploymentError(f"{doing}: somebody else changes the endpoint all the time; run it again")


def _update(context: Context, region: str, endpoint: Endpoint, split: Split) -> None:
    clients = context.gcp.clients(region)
    message = {"name": endpoint.name, "traffic_split": dict(split), "etag": endpoint.etag}
    with words(f"setting the traffic split of {endpoint.name}"):
        clients.endpoints.update_endpoint(endpoint=message, update_mask={"paths": ["traffic_split"]})


def _undeploy(context: Context, region: str, endpoint: Endpoint, id: str, doing: str) -> str:
    """The name of the operation."""
    request: dict[str, Any] = {"endpoint": endpoint.name, "deployed_model_id": id}
    if id in endpoint.split:
        request["traffic_split"] = _taken_from(endpoint, id)
    clients = context.gcp.clients(region)
    return operations.start(context, doing, lambda: clients.endpoints.undeploy_model(request=request))


def _taken_from(endpoint: Endpoint, id: str) -> dict[str, int]:
    rest = without(endpoint.split, id)
    others = [each for other, each in endpoint.deployed.items() if other != id]
    if rest or not others:
        return rest
    latest = max(others, key=lambda each: (each.get("createTime", ""), each["id"]))
    return {latest["id"]: ALL}
