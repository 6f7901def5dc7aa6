"""The Vertex AI emulator's control plane in this process: nothing is copied from anywhere, and no server is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from cohost.local.gcp_provider.ledger import Ledger
from cohost.local.http import Request
from cohost.local.vertex.application import Application
from cohost.local.vertex.artifacts import Artifacts
from cohost.local.vertex.beside import Beside
from cohost.local.vertex.deploying import Deploying
from cohost.local.vertex.deployments import Deployments
from cohost.local.vertex.endpoints import Endpoints
from cohost.local.vertex.limits import Limits
from cohost.local.vertex.models import Models
from cohost.local.vertex.operations import Operations
from cohost.local.vertex.predictions import Predictions
from cohost.local.vertex.protos import Record, typed
from cohost.local.vertex.state import State

PROJECT: Final = "project-of-tests"
REGION: Final = "us-central1"
PARENT: Final = f"projects/{PROJECT}/locations/{REGION}"
IMAGE: Final = f"{REGION}-docker.pkg.dev/{PROJECT}/serving/tritonserver:26.05"
BEARER: Final = {"authorization": "Bearer any"}


class Control:
    """The API, whose long-running work waits until a test does it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun: list[str] = []
        self.state = State(folder / "state.json")
        self.operations = Operations(self.state)
        limits, copies = Limits(folder / "limits.json"), Artifacts(folder / "artifacts", "http://127.0.0.1:9")
        self.models = Models(self.state, self.operations, copies, begin=self.begun.append)
        endpoints = Endpoints(self.state, self.operations)
        idle = Deployments(self.state, self.operations, copies, limits, folder=folder / "instances", prefix="unit")
        self.application = Application(
            state=self.state,
            operations=self.operations,
            models=self.models,
            endpoints=endpoints,
            deploying=Deploying(self.state, self.operations, self.models, endpoints, limits, begin=self.begun.append),
            predictions=Predictions(self.state, endpoints, idle, limits),
            limits=limits,
            beside=Beside(limits, Ledger(folder)),
        )

    def limit(self, **limits: Any) -> None:
        (self.folder / "limits.json").write_text(json.dumps(limits))

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> tuple[int, Record]:
        """Sends a request below the root; returns status and body."""
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        request = Request(method, path, query or {}, BEARER if headers is None else headers, data)
        answer = self.application(request)
        return answer.status, json.loads(answer.body)

    def ok(self, method: str, path: str, body: Any = None, **query: str) -> Record:
        """Sends a request below /v1/ that must succeed."""
        status, content = self.send(method, f"/v1/{path}", body, query=query)
        assert status == 200, content
        return content

    def refused(self, method: str, path: str, body: Any = None, **query: str) -> tuple[str, str]:
        """Sends a request below /v1/ that must be refused; returns the code's name and the message."""
        status, content = self.send(method, f"/v1/{path}", body, query=query)
        assert status >= 400, content
        assert content["error"]["code"] == status
        return content["error"]["status"], content["error"]["message"]

    def upload(self, **more: Any) -> str:
        """Uploads a model or a version, and makes its copy; returns the model's name."""
        operation = self.ok("POST", f"{PARENT}/models:upload", uploading(**more))
        record = self.state.operations[operation["name"]]
        self.operations.end(operation["name"], typed("UploadModelResponse", self.models.finish_upload(record)))
        return record["work"]["about"]

    def endpoint(self, identity: str = "1", **more: Any) -> str:
        """Creates an endpoint; returns its name."""
        operation = self.ok("POST", f"{PARENT}/endpoints", {"displayName": "shared", **more}, endpointId=identity)
        return self.ok("GET", operation["name"])["response"]["name"]

    def deployed(self, endpoint: str, model: str, identity: str, **more: Any) -> None:
        """Records that a model is deployed, as if it had been."""
        operation = self.ok("POST", f"{endpoint}:deployModel", deploying(model, id=identity, **more))
        work = self.state.operations[operation["name"]]["work"]
        with self.state.changing():
            self.state.endpoints[endpoint].setdefault("deployedModels", []).append(work["deployedModel"])
        self.operations.end(operation["name"], typed("DeployModelResponse", {}))


def uploading(**more: Any) -> Record:
    """The body of an upload."""
    request = {key: more.pop(key) for key in ("modelId", "parentModel") if key in more}
    container = {"imageUri": IMAGE, **more.pop("containerSpec", {})}
    return {**request, "model": {"displayName": "release", "containerSpec": container, **more}}


def deploying(model: str, *, machine: Record | None = None, split: Record | None = None, **more: Any) -> Record:
    """The body of a deployment."""
    given = {"machineType": "g2-standard-8", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}
    resources = {"machineSpec": machine or given, "minReplicaCount": 1, **more.pop("resources", {})}
    return {"deployedModel": {"model": model, "dedicatedResources": resources, **more}, "trafficSplit": split or {}}
