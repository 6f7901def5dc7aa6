"""Online predictions: which deployed model answers, what is passed on to it, and what comes back.

Sources: the comments of PredictionService in google.cloud.aiplatform.v1; limits of shared and dedicated endpoints:
"Choose an endpoint type" (Vertex AI documentation).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from typing import Any, Final

from cohost.local.http import Response
from cohost.local.triton.server import Reply, UnreachableError
from cohost.local.vertex.deployments import Deployments
from cohost.local.vertex.endpoints import Endpoints
from cohost.local.vertex.errors import VertexError, invalid, precondition, status_of
from cohost.local.vertex.limits import Limits
from cohost.local.vertex.protos import Record, document, strict
from cohost.local.vertex.replica import Replica
from cohost.local.vertex.state import State
from cohost.local.vertex.triton import REDIRECT
from cohost.vertex_endpoint import DEDICATED_BYTES, SHARED_BYTES

# Vertex AI documentation, "Choose an endpoint type" and "Create a public endpoint": the default of the latter, which
# `clientConnectionConfig` changes.
_SHARED_SECONDS: Final = 60.0
_DEDICATED_SECONDS: Final = 600.0
# Of the connection to Vertex AI, or the caller's own secret: not the container's.
_NOT_PASSED_ON: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "transfer-encoding",
        "x-goog-api-client",
        "x-goog-user-project",
    }
)
_PASSED_BACK: Final = ("content-type", "content-encoding", "inference-header-content-length")
_METRICS: Final = "metrics"
_GPU_MEMORY: Final = "nv_gpu_memory_used_bytes"
_MOMENT_SECONDS: Final = 0.01


class Predictions:
    """The data plane."""

    def __init__(self, state: State, endpoints: Endpoints, deployments: Deployments, limits: Limits) -> None:
        self._state, self._endpoints, self._deployments, self._limits = state, endpoints, deployments, limits

    def raw_predict(self, name: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """RawPredict: the container's own request and response.

        Raises:
            VertexError: As Vertex AI answers; of what the container refuses its words are the message.
        """
        passed = {key: value for key, value in headers.items() if key not in _NOT_PASSED_ON}
        endpoint, deployed, reply = self._ask(name, passed, body)
        content = reply.body
        if passed.get(REDIRECT.lower()) == _METRICS and _GPU_MEMORY.encode() + b"{" not in content:
            content += _gpu_metrics(deployed, self._limits.gpu_memory())
        back = {key: reply.headers[key] for key in _PASSED_BACK if key in reply.headers}
        return Response(200, {**back, **_whose(endpoint, deployed)}, content)

    def predict(self, name: str, body: bytes | None) -> Record:
        """Predict: JSON instances to the default model, which must answer with predictions.

        Raises:
            VertexError: As `raw_predict`.
        """
        request = strict("PredictRequest", {**document(body or b""), "endpoint": name}) if body is not None else {}
        asked = {key: request[key] for key in ("instances", "parameters") if key in request}
        encoded = None if body is None else json.dumps(asked).encode()
        _, deployed, reply = self._ask(name, {"content-type": "application/json"}, encoded)
        predictions = _predictions(reply)
        answer = {"predictions": predictions, "deployedModelId": deployed["id"], "model": deployed["model"]}
        return strict("PredictResponse", {**answer, "modelVersionId": deployed["modelVersionId"]})

    def models(self, endpoint: str) -> list[Record]:
        """Returns every model of an endpoint's deployed models, and whether its model server has it loaded."""
        return [
            {
                "target": each["name"],
                "bytes": _size(replica, each["name"]),
                "loaded": each.get("state") == "READY",
                "since": deployed["createTime"],
                "instance": deployed["id"],
            }
            for deployed, replica in self._deployments.serving(endpoint)
            for each in _index(replica)
        ]

    def _ask(self, name: str, headers: Mapping[str, str], body: bytes | None) -> tuple[Record, Record, Reply]:
        with self._state.reading():
            endpoint = dict(self._endpoints.endpoint(name))
        limit, seconds = limits_of(endpoint)
        if body is None or len(body) > limit:
            raise invalid(f"Request payload size exceeds the limit: {limit} bytes.")
        deadline = time.monotonic() + seconds
        while True:
            endpoint, deployed = self._chosen(name)
            with self._deployments.using(endpoint["name"], deployed["id"], deadline) as replica:
                # None: it has just been undeployed, and another one has its traffic.
                if replica:
                    reply = _answered(replica, body, headers, deadline - time.monotonic())
                    return endpoint, deployed, _accepted(reply, endpoint, deployed)
            if time.monotonic() >= deadline:
                raise VertexError("UNAVAILABLE", "The model server is not available.")
            time.sleep(_MOMENT_SECONDS)

    def _chosen(self, name: str) -> tuple[Record, Record]:
        """Returns an endpoint and one of what is deployed on it, by chance as its traffic split has it."""
        with self._state.reading():
            endpoint = dict(self._endpoints.endpoint(name))
            split = endpoint.get("trafficSplit")
            deployed = {each["id"]: each for each in endpoint.get("deployedModels", [])}
        if not split:
            raise precondition(f"Endpoint {endpoint['name']} doesn't have traffic_split.")
        chosen = random.choices(list(split), weights=list(split.values()))[0]
        return endpoint, deployed[chosen]


def limits_of(endpoint: Record) -> tuple[int, float]:
    """Returns how many bytes a request to an endpoint may have, and how many seconds it may take."""
    if not (endpoint.get("dedicatedEndpointEnabled") or "privateServiceConnectConfig" in endpoint):
        return SHARED_BYTES, _SHARED_SECONDS
    told = endpoint.get("clientConnectionConfig", {}).get("inferenceTimeout", "")
    return DEDICATED_BYTES, float(told.removesuffix("s") or _DEDICATED_SECONDS)


def _answered(replica: Replica, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
    try:
        return replica.request(body, dict(headers), seconds=max(1.0, seconds))
    except TimeoutError as error:
        raise VertexError("DEADLINE_EXCEEDED", f"The model server did not answer in time: {error}") from error
    except UnreachableError as error:
        raise VertexError("UNAVAILABLE", f"The model server is not available: {error}") from error


def _accepted(reply: Reply, endpoint: Record, deployed: Record) -> Reply:
    if reply.status != 200:
        whose = _whose(endpoint, deployed)
        raise VertexError(status_of(reply.status), reply.text, http=reply.status, headers=whose)
    return reply


def _whose(endpoint: Record, deployed: Record) -> dict[str, str]:
    """Headers that tell who answered."""
    return {
        "X-Vertex-AI-Endpoint-Id": endpoint["name"].rsplit("/", 1)[-1],
        "X-Vertex-AI-Deployed-Model-Id": deployed["id"],
    }


def _predictions(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)["predictions"]
    except (ValueError, KeyError, TypeError) as error:
        words = "The model server's response has no predictions: use rawPredict with Triton."
        raise VertexError("INTERNAL", words) from error


def _index(replica: Replica) -> list[Record]:
    try:
        reply = replica.request(b"", {REDIRECT: "v2/repository/index"}, seconds=10)
    except (UnreachableError, TimeoutError):
        return []
    return json.loads(reply.body) if reply.status == 200 else []


def _size(replica: Replica, model: str) -> int:
    folder = replica.container.artifacts / model
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _gpu_metrics(deployed: Record, used: int) -> bytes:
    """What Triton on a machine with GPUs says of them (Triton documentation, "Metrics"); nothing without one."""
    machine = deployed["dedicatedResources"]["machineSpec"]
    lines = [
        f"# HELP {_GPU_MEMORY} GPU used memory, in bytes",
        f"# TYPE {_GPU_MEMORY} gauge",
        *(
            f'{_GPU_MEMORY}{{gpu_uuid="GPU-{number:08d}"}} {float(used)}'
            for number in range(machine.get("acceleratorCount", 0))
        ),
    ]
    return ("\n".join(lines) + "\n").encode() if machine.get("acceleratorCount") else b""
