"""Vertex AI endpoints, on the local Vertex AI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from cohost.errors import DeploymentError
from cohost.local.gcp_provider.resource import Call, Change, Name, Resource

# The gcp provider uses Google's beta API.
_API: Final = "v1beta1"
_LIMIT_SECONDS: Final = 20 * 60
_IN_PLACE: Final = (
    *("description", "displayName", "labels", "predictRequestResponseLoggingConfig", "privateServiceConnectConfig"),
    *("dedicatedEndpointEnabled", "trafficSplit"),
)
_TOLD: Final = (
    *("createTime", "dedicatedEndpointDns", "dedicatedEndpointEnabled", "description", "displayName", "encryptionSpec"),
    *("etag", "modelDeploymentMonitoringJob", "network", "predictRequestResponseLoggingConfig", "updateTime"),
)


class Endpoint(Resource):
    """An endpoint: a place to deploy models on; what is deployed on it is only told."""

    token = "gcp:vertex/aiEndpoint:AiEndpoint"
    supported: ClassVar = frozenset(
        {
            *("dedicatedEndpointEnabled", "deletionPolicy", "description", "displayName", "encryptionSpec", "labels"),
            *("location", "name", "network", "predictRequestResponseLoggingConfig", "privateServiceConnectConfig"),
            *("project", "region", "trafficSplit"),
        }
    )
    name: ClassVar = Name(prefix="")
    replaces: ClassVar = frozenset(
        {
            *("encryptionSpec", "location", "name", "network", "region"),
            "privateServiceConnectConfig.enablePrivateServiceConnect",
        }
    )
    computed: ClassVar = frozenset({"trafficSplit"})
    defaults: ClassVar = {"deletionPolicy": "DELETE"}

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Makes the endpoint."""
        parent = f"projects/{call.project}/locations/{call.location}"
        body = {
            **{name: inputs[name] for name in self._sent() if name in inputs},
            **self._converted(inputs),
        }
        begun = call.session.vertex.call("POST", f"{_API}/{parent}/endpoints", body, endpointId=inputs["name"])
        _finish(call, begun)
        return f"{parent}/endpoints/{inputs['name']}"

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the endpoint."""
        told = call.session.vertex.call("GET", f"{_API}/{resource_id}")
        _, _, _, location, _, name = resource_id.split("/")
        return {
            **{key: told[key] for key in _TOLD if key in told},
            "name": name,
            "location": location,
            "region": known.get("region"),
            "labels": self.told_labels(told.get("labels", {}), known),
            "trafficSplit": json.dumps(told.get("trafficSplit", {}), sort_keys=True, separators=(",", ":")),
            "deployedModels": [_deployed(model) for model in told.get("deployedModels", [])],
            "privateServiceConnectConfig": _private(told.get("privateServiceConnectConfig")),
        }

    def imported(self, import_id: str) -> tuple[str, dict[str, Any]]:
        """Returns the id of an endpoint, which is its full name.

        Raises:
            ValueError: It is not a full name.
        """
        parts = import_id.split("/")
        if len(parts) != 6 or parts[::2] != ["projects", "locations", "endpoints"]:
            raise ValueError(
                f"import id {import_id!r}: expected projects/<project>/locations/<location>/endpoints/<name>"
            )
        return import_id, {"project": parts[1], "location": parts[3]}

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes what can change, and names just that."""
        touched = [name for name in _IN_PLACE if change.touches(name)]
        if not touched:
            return
        given = {name: change.new.get(name) for name in touched if change.new.get(name) is not None}
        body = given | {name: value for name, value in self._converted(change.new).items() if name in touched}
        call.session.vertex.call("PATCH", f"{_API}/{resource_id}", body, updateMask=",".join(touched))

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the endpoint; one that something is deployed on is refused by Google."""
        _finish(call, call.session.vertex.call("DELETE", f"{_API}/{resource_id}"))

    def _sent(self) -> frozenset[str]:
        return self.supported - {"deletionPolicy", "location", "name", "project", "region"}

    def _converted(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns those properties that Google spells otherwise."""
        converted: dict[str, Any] = {"labels": self.sent_labels(inputs)}
        private = inputs.get("privateServiceConnectConfig")
        if private:
            others = {name: value for name, value in private.items() if name != "projectAllowlists"}
            converted["privateServiceConnectConfig"] = {
                **others,
                "projectAllowlist": private.get("projectAllowlists", []),
            }
        if "trafficSplit" in inputs:
            converted["trafficSplit"] = json.loads(inputs["trafficSplit"])
        return converted


def _private(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not told:
        return None
    # Of the service attachment pulumi-gcp 10.2.0 tells nothing.
    others = {name: value for name, value in told.items() if name not in ("projectAllowlist", "serviceAttachment")}
    return {**others, "projectAllowlists": told.get("projectAllowlist", [])}


def _deployed(told: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the provider tells of a deployed model, as far as the stack could ask for it."""
    names = ("createTime", "displayName", "enableAccessLogging", "id", "model", "modelVersionId", "serviceAccount")
    return {name: told[name] for name in names if name in told}


def _finish(call: Call, operation: Mapping[str, Any]) -> None:
    """Waits for the end of an operation.

    Raises:
        DeploymentError: It failed, or is not over in time.
    """
    found = [dict(operation)]

    def finished() -> bool:
        if not found[-1].get("done"):
            found.append(call.session.vertex.call("GET", f"{_API}/{operation['name']}"))
        return bool(found[-1].get("done"))

    call.wait(finished, limit=_LIMIT_SECONDS, what=str(operation["name"]))
    if error := found[-1].get("error"):
        raise DeploymentError(f"Error code {error.get('code')}, message: {error.get('message')}")


RESOURCES = (Endpoint(),)
