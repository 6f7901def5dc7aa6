"""What is asked of an endpoint's deployed models: deploy, undeploy, mutate; carried out by `deployments`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from cohost.local.vertex import machines
from cohost.local.vertex.endpoints import Endpoints, check_split, ids
from cohost.local.vertex.errors import VertexError, invalid, precondition, unsupported
from cohost.local.vertex.limits import Limits
from cohost.local.vertex.models import Models
from cohost.local.vertex.names import parse
from cohost.local.vertex.operations import Operations
from cohost.local.vertex.protos import Record, masked, now, strict
from cohost.local.vertex.state import State

DEPLOY: Final = "deploy"
UNDEPLOY: Final = "undeploy"
MUTATE: Final = "mutate"
_ID: Final = re.compile(r"[0-9]{1,10}")
_NEW: Final = "0"
_MEMBERS: Final = frozenset(
    {
        "id",
        "model",
        "displayName",
        "dedicatedResources",
        "serviceAccount",
        "disableContainerLogging",
        "enableAccessLogging",
    }
)
_OUTPUT_ONLY: Final = frozenset({"createTime", "modelVersionId", "privateEndpoints", "status"})
# MutateDeployedModelRequest.update_mask.
_MUTABLE: Final = frozenset(
    {
        "dedicatedResources.minReplicaCount",
        "dedicatedResources.maxReplicaCount",
        "dedicatedResources.requiredReplicaCount",
        "dedicatedResources.autoscalingMetricSpecs",
        "disableContainerLogging",
    }
)


class Deploying:
    """Operations on what is deployed."""

    def __init__(
        self,
        state: State,
        operations: Operations,
        models: Models,
        endpoints: Endpoints,
        limits: Limits,
        *,
        begin: Callable[[str], None],
    ) -> None:
        """Begins with what the state holds.

        Args:
            state: The records.
            operations: Where long-running operations are recorded.
            models: Where models are looked up.
            endpoints: Where endpoints are looked up.
            limits: The project's quotas.
            begin: Carries out an operation (by name) in the background.
        """
        self._state, self._operations = state, operations
        self._models, self._endpoints, self._limits, self._begin = models, endpoints, limits, begin

    def deploy_model(self, name: str, content: Record) -> Record:
        """DeployModel; the operation is done when the model server is ready."""
        request = strict("DeployModelRequest", {**content, "endpoint": name})
        deployed = {key: value for key, value in request.get("deployedModel", {}).items() if key not in _OUTPUT_ONLY}
        if unknown := deployed.keys() - _MEMBERS:
            raise unsupported(f"deployed_model.{sorted(unknown)[0]}")
        machines.check(deployed, parse(name).region)
        with self._state.changing():
            endpoint = self._endpoints.endpoint(name)
            self._fill_in(endpoint, deployed)
            split = request.get("trafficSplit", {})
            check_split(split, [*ids(endpoint), _NEW])
            self._endpoints.check_free(endpoint["name"])
            machines.check_quota(deployed, self._endpoints.others(endpoint["name"]), self._limits)
            work = {"kind": DEPLOY, "about": endpoint["name"], "deployedModel": deployed, "trafficSplit": split}
            operation = self._operations.begin(endpoint["name"], "DeployModelOperationMetadata", work)
        return self._begun(operation)

    def undeploy_model(self, name: str, content: Record) -> Record:
        """UndeployModel: one without traffic, or the last one."""
        request = strict("UndeployModelRequest", {**content, "endpoint": name})
        wanted, split = request.get("deployedModelId", ""), request.get("trafficSplit", {})
        with self._state.changing():
            endpoint = self._endpoints.endpoint(name)
            _find(endpoint, wanted)
            self._endpoints.check_free(endpoint["name"])
            rest = [each for each in ids(endpoint) if each != wanted]
            check_split(split, rest)
            left = (split or endpoint.get("trafficSplit", {})) if rest else {}
            if left.get(wanted):
                # The rule: UndeployModelRequest.traffic_split. The words: own.
                raise precondition(
                    f"DeployedModel {wanted} has {left[wanted]} % of the traffic: give it to others before it is "
                    "undeployed."
                )
            endpoint["trafficSplit"] = {key: share for key, share in left.items() if key != wanted}
            work = {"kind": UNDEPLOY, "about": endpoint["name"], "id": wanted}
            operation = self._operations.begin(endpoint["name"], "UndeployModelOperationMetadata", work)
        return self._begun(operation)

    def mutate_deployed_model(self, name: str, content: Record) -> Record:
        """MutateDeployedModel: replicas, autoscaling and container logging alone."""
        request = strict("MutateDeployedModelRequest", {**content, "endpoint": name})
        sent, paths = request.get("deployedModel", {}), masked(request.get("updateMask", ""))
        if fixed := set(paths) - _MUTABLE:
            raise invalid(f"The field {sorted(fixed)[0]} of a DeployedModel cannot be mutated.")
        with self._state.changing():
            endpoint = self._endpoints.endpoint(name)
            deployed = _find(endpoint, sent.get("id", ""))
            changed = _changed(deployed, sent, paths)
            machines.check_replicas(changed["dedicatedResources"])
            self._endpoints.check_free(endpoint["name"])
            others = self._endpoints.others(endpoint["name"], deployed["id"])
            machines.check_quota(changed, others, self._limits)
            work = {"kind": MUTATE, "about": endpoint["name"], "deployedModel": changed}
            operation = self._operations.begin(endpoint["name"], "MutateDeployedModelOperationMetadata", work)
        return self._begun(operation)

    def _begun(self, operation: Record) -> Record:
        self._begin(operation["name"])
        return self._operations.get_operation(operation["name"])

    def _fill_in(self, endpoint: Record, deployed: Record) -> None:
        """Gives a deployed model its id, the version of its model, and what it has of the model."""
        wanted = deployed.setdefault("id", str(10**9 + uuid.uuid4().int % (9 * 10**9)))
        if wanted == _NEW or not _ID.fullmatch(wanted):
            raise invalid(f'The id "{wanted}" of the DeployedModel is not 1-10 digits.')
        if wanted in ids(endpoint):
            raise VertexError("ALREADY_EXISTS", f"DeployedModel {wanted} already exists on {endpoint['name']}.")
        model, version = self._models.resolve(deployed.get("model", ""))
        if self._models.encryption(model) != endpoint.get("encryptionSpec"):
            raise precondition("The Model and the Endpoint do not have the same encryption_spec.")
        deployed.setdefault("displayName", self._models.display_name(model))
        deployed |= {"model": model, "modelVersionId": version, "createTime": now()}


def _find(endpoint: Record, wanted: str) -> Record:
    for deployed in endpoint.get("deployedModels", []):
        if deployed["id"] == wanted:
            return deployed
    raise VertexError("NOT_FOUND", f"DeployedModel {wanted} is not on Endpoint `{endpoint['name']}`.")


def _changed(deployed: Record, sent: Mapping[str, Any], paths: list[str]) -> Record:
    """Returns a deployed model with what the paths name as it was sent."""
    changed = {**deployed, "dedicatedResources": dict(deployed["dedicatedResources"])}
    for path in paths:
        *inside, key = path.split(".")
        source, target = (
            (sent.get("dedicatedResources", {}), changed["dedicatedResources"]) if inside else (sent, changed)
        )
        target.pop(key, None)
        target |= {key: source[key]} if key in source else {}
    return changed
