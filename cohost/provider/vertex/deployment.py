"""One deployment of a model version: what Google is asked for, and what it tells of one.

Fields: REST reference of `projects.locations.endpoints`, DeployedModel and DedicatedResources.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Final

from cohost.errors import CohostError, DeploymentError
from cohost.provider import properties
from cohost.provider.context import Context, OperationCancelled
from cohost.provider.google import GoogleError
from cohost.provider.resource import Change, PartialFailure, Values
from cohost.provider.vertex import operations, quota, traffic
from cohost.provider.vertex.traffic import Endpoint, EndpointName
from cohost.words import did_you_mean

_METRICS: Final = "aiplatform.googleapis.com/prediction/online/"
# REST reference of AutoscalingMetricSpec: the targets of these two where none is given.
_USUAL_TARGET: Final = 60
_USUAL_METRICS: Final = (f"{_METRICS}cpu/utilization", f"{_METRICS}accelerator/duty_cycle")
# What a program may leave out.
_USUAL: Final = {
    "displayName": "",
    "acceleratorType": "",
    "acceleratorCount": 0,
    "minReplicas": 1,
    "maxReplicas": 1,
    "autoscalingTargets": {},
    "spot": False,
    "serviceAccount": "",
    "disableContainerLogging": False,
    "enableAccessLogging": False,
    "update": "surge",
}
# What MutateDeployedModel takes (REST reference of `projects.locations.endpoints.mutateDeployedModel`), and where.
_PATHS: Final = {
    "minReplicas": "dedicated_resources.min_replica_count",
    "maxReplicas": "dedicated_resources.max_replica_count",
    "autoscalingTargets": "dedicated_resources.autoscaling_metric_specs",
    "disableContainerLogging": "disable_container_logging",
}
MUTABLE: Final = tuple(_PATHS)
# The rest of the inputs, but for `update`, which says how and not what. The id is made of these, in this order.
IMMUTABLE: Final = (
    *("project", "region", "endpoint", "model", "displayName", "machineType", "acceleratorType", "acceleratorCount"),
    *("spot", "serviceAccount", "enableAccessLogging"),
)
_NUMBERS: Final = ("acceleratorCount", "minReplicas", "maxReplicas")
_NO_CONTAINER: Final = ("RESOURCE_EXHAUSTED", "PERMISSION_DENIED", "NOT_FOUND", "UNAUTHENTICATED")


def deployed_model_id(inputs: Values) -> str:
    """The id of a deployment: 10 digits without a leading zero, made of everything that cannot change in place."""
    wanted = complete(inputs)
    text = json.dumps([wanted[name] for name in IMMUTABLE], ensure_ascii=False)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return str(10**9 + number % (9 * 10**9))


def complete(inputs: Values) -> dict[str, Any]:
    """The inputs with what was left out, and whole numbers as such."""
    found: dict[str, Any] = {**_USUAL, **{name: value for name, value in inputs.items() if value is not None}}
    found.pop("deployedModelId", None)
    for name in _NUMBERS:
        found[name] = _whole(found[name])
    if isinstance(found["autoscalingTargets"], Mapping):
        found["autoscalingTargets"] = {name: _whole(it) for name, it in found["autoscalingTargets"].items()}
    return found


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def differences(old: Values, new: Values) -> dict[str, Change]:
    """What differs between two deployments, both complete, by property path."""
    changes = properties.compare(
        {**old, "autoscalingTargets": _unusual(old["autoscalingTargets"])},
        {**new, "autoscalingTargets": _unusual(new["autoscalingTargets"])},
        fields=(*IMMUTABLE, *MUTABLE),
        replacing=IMMUTABLE,
    )
    return {path: change for path, change in changes.items() if not _same(path, old.get(path), new.get(path))}


def _unusual(targets: Any) -> Any:
    """The targets that differ from those that Google takes by itself."""
    if not isinstance(targets, Mapping):
        return targets
    return {name: it for name, it in targets.items() if not (name in _USUAL_METRICS and it == _USUAL_TARGET)}


def _same(path: str, one: Any, other: Any) -> bool:
    """Whether two names mean the same: Google answers a project's number where its id was given.

    A deployment that is given no name for people takes the model's.
    """
    if path == "displayName" and not other:
        return True
    if path not in ("project", "endpoint", "model") or not isinstance(one, str) or not isinstance(other, str):
        return False
    (project, rest), (other_project, other_rest) = _project(one), _project(other)
    return rest == other_rest and project.isdecimal() != other_project.isdecimal()


def _project(name: str) -> tuple[str, str]:
    project, _, rest = name.removeprefix("projects/").partition("/")
    return project, rest


def settings(name: EndpointName, endpoint: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that would make a deployed model, by its description in the REST API."""
    resources = found.get("dedicatedResources", {})
    machine = resources.get("machineSpec", {})
    least = int(resources.get("minReplicaCount", 1))
    targets = {
        each["metricName"]: int(each.get("target", _USUAL_TARGET))
        for each in resources.get("autoscalingMetricSpecs", ())
    }
    return {
        "project": name.project,
        "region": name.region,
        "endpoint": endpoint,
        "model": f"{found.get('model', '').partition('@')[0]}@{found.get('modelVersionId', '')}",
        "displayName": found.get("displayName", ""),
        "machineType": machine.get("machineType", ""),
        "acceleratorType": machine.get("acceleratorType", "").replace("ACCELERATOR_TYPE_UNSPECIFIED", ""),
        "acceleratorCount": int(machine.get("acceleratorCount", 0)),
        "minReplicas": least,
        "maxReplicas": int(resources.get("maxReplicaCount", least)),
        "autoscalingTargets": _unusual(targets),
        "spot": resources.get("spot", False),
        "serviceAccount": found.get("serviceAccount", ""),
        "disableContainerLogging": found.get("disableContainerLogging", False),
        "enableAccessLogging": found.get("enableAccessLogging", False),
        "update": "surge",
    }


def ensure(context: Context, wanted: Values, id: str) -> dict[str, Any]:
    """Makes sure that it is deployed as wanted, and returns the outputs.

    Args:
        context: The operation.
        wanted: The complete inputs.
        id: The deployed model's.

    Raises:
        PartialFailure: The operation must end before Google has finished; the next `up` goes on.
        DeploymentError: Google refused or failed it; nothing of it is left.
        OperationCancelled: The operation must end, and Google has not been asked yet.
    """
    outputs = {**wanted, "deployedModelId": id}
    begun = True  # what Google is still at work on may be what a killed run began
    try:
        traffic.settle(context, wanted["region"], wanted["endpoint"])
        begun = False
        endpoint = traffic.needed(context, wanted["region"], wanted["endpoint"])
        if id in endpoint.deployed:
            _mutate(context, wanted, endpoint.deployed[id], id)
            return outputs
        quota.ensure(context, wanted, endpoint, id)
        request = _request(wanted, id)
        with _room(context, wanted, endpoint) if wanted["update"] == "replace" else nullcontext():
            operation = _begin(context, wanted, request)
            begun = True
            if operation is not None:
                _finish(context, outputs, operation)
    except OperationCancelled as error:
        if begun:
            raise PartialFailure(str(error), outputs) from error
        raise
    return outputs


@contextmanager
def _room(context: Context, wanted: Values, endpoint: Endpoint) -> Iterator[None]:
    """Undeploys everything else first; who had calls comes back, with them, when what is inside fails.

    Raises:
        DeploymentError: What is inside failed; with what serves now.
    """
    try:
        for other in sorted(endpoint.deployed, key=lambda other: (other in endpoint.split, other)):
            traffic.undeploy(context, wanted["region"], endpoint.name, other)
            context.info(f"undeployed {other} before the new one (update: replace)")
        yield
    except DeploymentError as error:
        if not endpoint.split:
            raise
        raise DeploymentError(f"{error}\n{_brought_back(context, wanted['region'], endpoint)}") from error


def _brought_back(context: Context, region: str, endpoint: Endpoint) -> str:
    """Deploys again who had calls, and gives them back; what came of it."""
    name, ids = EndpointName.parse(endpoint.name), ", ".join(sorted(endpoint.split))
    assert name is not None
    context.status(f"bringing {ids} back", last=True)
    try:
        for id in sorted(endpoint.split):
            before = settings(name, endpoint.name, endpoint.deployed[id])
            operation = _begin(context, before, _request(before, id))
            if operation is not None:
                _finish(context, {**before, "deployedModelId": id}, operation)
        traffic.set_split(context, region, endpoint.name, endpoint.split)
    except CohostError as error:
        return f"{ids} did not come back either, so nothing may serve: `refresh`, then `up`; it said: {error}"
    return f"{ids} was deployed again, and has its calls as before"


def _request(wanted: Values, id: str) -> dict[str, Any]:
    """What DeployModel is asked.

    Raises:
        DeploymentError: There is no such accelerator.
    """
    message = {
        "id": id,
        "model": wanted["model"],
        "display_name": wanted["displayName"],
        "dedicated_resources": {
            "machine_spec": {
                "machine_type": wanted["machineType"],
                "accelerator_type": _accelerator(wanted["acceleratorType"]),
                "accelerator_count": wanted["acceleratorCount"],
            },
            "spot": wanted["spot"],
            **_scaling(wanted),
        },
        "service_account": wanted["serviceAccount"],
        "disable_container_logging": wanted["disableContainerLogging"],
        "enable_access_logging": wanted["enableAccessLogging"],
    }
    return {"endpoint": wanted["endpoint"], "deployed_model": message}


def _begin(context: Context, wanted: Values, request: Mapping[str, Any]) -> str | None:
    """Asks Google to deploy; the name of its operation, or None when it is there meanwhile."""
    clients = context.gcp.clients(wanted["region"])
    doing = f"deploying {wanted['model']} on {wanted['machineType']}"

    def attempt(endpoint: Endpoint) -> str | None:
        if request["deployed_model"]["id"] in endpoint.deployed:
            return None
        return operations.start(context, doing, lambda: clients.endpoints.deploy_model(request=request))

    return traffic.on_newest(context, wanted["region"], wanted["endpoint"], doing, attempt)


def _scaling(wanted: Values) -> dict[str, Any]:
    targets = sorted(wanted["autoscalingTargets"].items())
    return {
        "min_replica_count": wanted["minReplicas"],
        "max_replica_count": wanted["maxReplicas"],
        "autoscaling_metric_specs": [{"metric_name": name, "target": target} for name, target in targets],
    }


def _accelerator(name: str) -> Any:
    from google.cloud.aiplatform_v1.types import AcceleratorType

    if not name:
        return AcceleratorType.ACCELERATOR_TYPE_UNSPECIFIED
    try:
        return AcceleratorType[name]
    except KeyError:
        close = did_you_mean(name, AcceleratorType.__members__)
        raise DeploymentError(f"Vertex AI has no accelerator {name!r}{close}") from None


def _finish(context: Context, outputs: Values, operation: str) -> None:
    """Waits until it serves; what failed is not left behind.

    Raises:
        PartialFailure: Google cannot be asked any more, and goes on.
        DeploymentError: Google's words, and where the container's own are.
    """
    id, region, name = outputs["deployedModelId"], outputs["region"], outputs["endpoint"]
    try:
        operations.wait(
            context, context.gcp, region, operation, partial(traffic.tell, context), doing=f"deploying {id}"
        )
    except GoogleError as error:
        if not operations.ended(context.gcp, region, operation):
            raise PartialFailure(f"{error}; Google goes on, and the next `up` takes it up", outputs) from error
        left = id in traffic.needed(context, region, name).deployed
        if left and error.status == "NOT_FOUND":  # Google knows the outcome, but not the operation any more
            return
        if left:
            traffic.undeploy(context, region, name, id)
        raise DeploymentError(f"{error}{_hint(error, name)}") from error


def _hint(error: GoogleError, endpoint: str) -> str:
    """Where the container's words are, of an error that the container may have caused.

    Source: the link to the logs in Google's own message ("Model server never became ready").
    """
    name = EndpointName.parse(endpoint)
    if name is None or error.status in _NO_CONTAINER:
        return ""
    chosen = f'resource.type="aiplatform.googleapis.com/Endpoint" AND resource.labels.endpoint_id="{name.id}"'
    return (
        f"; what the container said: gcloud logging read '{chosen}' --project {name.project} --freshness 2h --limit 100"
    )


def _mutate(context: Context, wanted: Values, found: Mapping[str, Any], id: str) -> None:
    """Changes what differs and can change in place."""
    name = EndpointName.parse(wanted["endpoint"])
    assert name is not None
    now = settings(name, wanted["endpoint"], found)
    differing = {path.partition("[")[0] for path in differences(now, wanted)}
    paths = [_PATHS[each] for each in MUTABLE if each in differing]
    if not paths:
        return
    clients = context.gcp.clients(wanted["region"])
    message = {
        "id": id,
        "dedicated_resources": _scaling(wanted),
        "disable_container_logging": wanted["disableContainerLogging"],
    }
    request = {"endpoint": wanted["endpoint"], "deployed_model": message, "update_mask": {"paths": paths}}
    doing = f"changing {id}: {', '.join(paths)}"
    operation = operations.start(context, doing, lambda: clients.endpoints.mutate_deployed_model(request=request))
    context.status(doing, last=True)
    operations.wait(context, context.gcp, wanted["region"], operation, doing=doing)
