"""Endpoints: made, read, given traffic, deleted; what is deployed on them is asked for in `deploying`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Final

from cohost.local.vertex.errors import VertexError, invalid, missing, precondition, unsupported
from cohost.local.vertex.models import etag, filtered
from cohost.local.vertex.names import Name, canonical, parse
from cohost.local.vertex.operations import Operations, page
from cohost.local.vertex.protos import EMPTY, Record, masked, now, strict, typed
from cohost.local.vertex.state import State

# CreateEndpointRequest.endpoint_id; ten digits by the provider's own rule (pulumi-gcp 10.2, AiEndpoint).
_ID: Final = re.compile(r"[1-9][0-9]{0,9}|[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_UPDATES: Final = frozenset(
    {
        "displayName",
        "description",
        "labels",
        "trafficSplit",
        "predictRequestResponseLoggingConfig",
        "clientConnectionConfig",
    }
)
_MEMBERS: Final = _UPDATES | {
    "encryptionSpec",
    "network",
    "privateServiceConnectConfig",
    "dedicatedEndpointEnabled",
}
_OUTPUT_ONLY: Final = frozenset(
    {
        "name",
        "etag",
        "createTime",
        "updateTime",
        "deployedModels",
        "dedicatedEndpointDns",
        "modelDeploymentMonitoringJob",
        "satisfiesPzs",
        "satisfiesPzi",
    }
)


class Endpoints:
    """Operations on endpoints themselves."""

    def __init__(self, state: State, operations: Operations) -> None:
        self._state, self._operations = state, operations

    def create_endpoint(self, place: Name, content: Record, wanted: str) -> Record:
        """CreateEndpoint."""
        sent = {key: value for key, value in strict("Endpoint", content).items() if key not in _OUTPUT_ONLY}
        if not sent.get("displayName"):
            raise invalid("The display_name of the endpoint is required.")
        if unknown := sent.keys() - _MEMBERS:
            raise unsupported(f"endpoint.{sorted(unknown)[0]}")
        if wanted and not _ID.fullmatch(wanted):
            raise invalid(f'The endpoint_id "{wanted}" is neither up to 10 digits without a leading zero nor a name.')
        identity = wanted or str(10**9 + uuid.uuid4().int % (9 * 10**9))
        name, moment = f"{place.parent}/endpoints/{identity}", now()
        if sent.get("dedicatedEndpointEnabled"):
            sent["dedicatedEndpointDns"] = f"{identity}.{place.region}-{place.number}.prediction.vertexai.goog"
        with self._state.changing():
            if name in self._state.endpoints:
                raise VertexError("ALREADY_EXISTS", f"Endpoint `{name}` already exists.")
            check_split(sent.get("trafficSplit", {}), [])
            self._state.endpoints[name] = {**sent, "name": name, "createTime": moment, "updateTime": moment}
            response = typed("Endpoint", view(self._state.endpoints[name]))
            return self._operations.at_once(name, "CreateEndpointOperationMetadata", response)

    def get_endpoint(self, name: str) -> Record:
        """GetEndpoint."""
        with self._state.reading():
            return view(self.endpoint(name))

    def list_endpoints(self, place: Name, query: Mapping[str, str]) -> Record:
        """ListEndpoints."""
        with self._state.reading():
            found = [view(each) for name, each in self._state.endpoints.items() if name.startswith(f"{place.parent}/")]
        return page("endpoints", list(filtered(found, query.get("filter", ""))), query)

    def update_endpoint(self, name: str, content: Record, mask: str) -> Record:
        """UpdateEndpoint: what the mask names, and nothing else."""
        sent = strict("Endpoint", content)
        paths = masked(mask)
        if unknown := set(paths) - _UPDATES:
            raise unsupported(f"An update of {sorted(unknown)[0]}")
        with self._state.changing():
            record = self.endpoint(name)
            if sent.get("etag") not in (None, view(record)["etag"]):
                raise VertexError("ABORTED", f"Endpoint `{name}` has been changed since the etag was read.")
            if "trafficSplit" in paths:
                check_split(sent.get("trafficSplit", {}), ids(record))
            for path in paths:
                record.pop(path, None)
                record |= {path: sent[path]} if path in sent else {}
            record["updateTime"] = now()
            return view(record)

    def delete_endpoint(self, name: str) -> Record:
        """DeleteEndpoint: one that nothing is deployed on."""
        with self._state.changing():
            record = self.endpoint(name)
            self.check_free(record["name"])
            if deployed := ids(record):
                # The rule: Google's samples undeploy first. The words: own.
                raise precondition(
                    f"Endpoint `{name}` has deployed models ({', '.join(deployed)}): undeploy them before it is "
                    "deleted."
                )
            del self._state.endpoints[record["name"]]
            return self._operations.at_once(record["name"], "DeleteOperationMetadata", EMPTY)

    def endpoint(self, name: str) -> Record:
        """Returns an endpoint's record.

        Raises:
            VertexError: There is none.
        """
        full = canonical(name)
        if full not in self._state.endpoints:
            raise missing("Endpoint", full)
        return self._state.endpoints[full]

    def check_free(self, name: str) -> None:
        """Checks that nothing is being deployed, undeployed or changed on an endpoint: one thing at a time.

        Raises:
            VertexError: Something is. Neither rule nor words are documented: stricter here than not at all.
        """
        if running := self._operations.pending(name):
            raise precondition(
                f'There are other operations running on the Endpoint "{name}". Operation(s): {running[0]["name"]}.'
            )

    def others(self, name: str, deployed: str = "") -> list[Record]:
        """Returns what is deployed, or is being deployed, in an endpoint's region, without one deployed model."""
        place = parse(name).parent
        there = [
            each
            for endpoint, record in self._state.endpoints.items()
            for each in record.get("deployedModels", [])
            if endpoint.startswith(f"{place}/") and (endpoint, each["id"]) != (name, deployed)
        ]
        coming = [
            operation["work"]["deployedModel"]
            for operation in self._operations.pending()
            if operation["work"].get("kind") == "deploy" and operation["name"].startswith(f"{place}/")
        ]
        return [*there, *coming]


def view(record: Record) -> Record:
    """Returns an endpoint as Google answers it: one by private service connect has its attachment while it serves."""
    shown = {**record, "etag": etag(record["name"], record["updateTime"])}
    if "privateServiceConnectConfig" in record and record.get("deployedModels"):
        place = parse(record["name"])
        attachment = (
            f"projects/local-tp/regions/{place.region}/serviceAttachments/gkedpm-{place.rest.rsplit('/', 1)[-1]}"
        )
        shown |= {
            "privateServiceConnectConfig": {**record["privateServiceConnectConfig"], "serviceAttachment": attachment}
        }
    return strict("Endpoint", shown)


def ids(record: Record) -> list[str]:
    """Returns the ids of what is deployed on an endpoint."""
    return [each["id"] for each in record.get("deployedModels", [])]


def check_split(split: Mapping[str, int], deployed: list[str]) -> None:
    """Checks a traffic split: empty, or of 100 % over what is deployed (Endpoint.traffic_split).

    Raises:
        VertexError: It is neither. The words are the emulator's own.
    """
    if unknown := [each for each in split if each not in deployed]:
        raise invalid(
            f'The traffic_split names "{unknown[0]}", which is not the id of a DeployedModel of the endpoint.'
        )
    if any(not 0 <= share <= 100 for share in split.values()) or (split and sum(split.values()) != 100):
        raise invalid(f"The traffic percentages must add up to 100, and not to {sum(split.values())}.")
