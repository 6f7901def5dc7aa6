"""A small HTTP server that answers as Vertex AI's endpoints do, for tests of the plugin's parts by Google's clients."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.protobuf import json_format

from cohost.client.vertex import DEPLOYED_MODEL, REDIRECT
from cohost.provider.context import Context
from cohost.provider.google import Google
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.unit.loopback import listening
from tests.unit.provider_context import Operation

PROJECT, REGION = "my-project", "europe-west4"
ENDPOINT = f"projects/{PROJECT}/locations/{REGION}/endpoints/1234567890"
MODEL = f"projects/{PROJECT}/locations/{REGION}/models/repository@3"
_PACKAGE = "type.googleapis.com/google.cloud.aiplatform.v1."

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Running:
    """A long-running operation: its document, and what it does in the end."""

    document: dict[str, Any]
    effect: Callable[[], None]
    stages: list[str]
    error: dict[str, Any] | None = None


@dataclass
class Service:
    """One endpoint. Each look at an operation brings it a stage on, unless `held`."""

    url: str = ""
    split: dict[str, int] = field(default_factory=dict)
    deployed: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: int = 1
    gone: bool = False
    held: bool = False
    stages: tuple[str, ...] = ("STARTING_DEPLOYMENT", "ADDING_NODES_TO_CLUSTER")
    failing: dict[str, Any] | None = None
    failing_once: bool = False
    refusing: tuple[int, dict[str, Any]] | None = None
    forgetful: bool = False
    unreadable: bool = False
    limits: dict[str, int] | None = None
    changed_meanwhile: Callable[[], None] | None = None
    operations: dict[str, Running] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    predictions: list[tuple[str, str]] = field(default_factory=list)
    predict: Callable[[str, str, dict[str, str], bytes], Reply] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    _turn: int = 0

    def called(self, method: str) -> list[dict[str, Any]]:
        """The bodies of the calls of a method: "deployModel", "PATCH"."""
        return [body for name, body in self.requests if name == method]

    def put(self, id: str, share: int = 0, **fields: Any) -> None:
        """Deploys at once, as if it had been there before."""
        name, _, version = MODEL.partition("@")
        self.deployed[id] = {"id": id, "model": name, "modelVersionId": version, **fields}
        if share:
            self.split[id] = share

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, Any]:
        name, _, verb = path.removeprefix("/v1/").partition(":")
        with self.lock:
            if path.startswith("/v1beta1/"):
                return self._quota(path)
            if name.startswith(f"{ENDPOINT}/operations"):
                return self._operation(name)
            if name != ENDPOINT or self.gone:
                return error(404, "NOT_FOUND", f"Endpoint `{name}` was not found.")
            if method == "GET":
                return 200, self._endpoint()
            self.requests.append(
                (verb or method, {**body, **({"updateMask": query["updateMask"][0]} if query else {})})
            )
            if self.changed_meanwhile:
                self.changed_meanwhile, change = None, self.changed_meanwhile
                self.version += 1
                change()
                return error(409, "ABORTED", "The endpoint was changed concurrently.")
            if self.refusing and verb == "deployModel":
                return self.refusing
            return self._change(verb or method, body)

    def turn(self) -> str:
        """Who answers the next call; each deployed model as often as its share says."""
        with self.lock:
            self._turn = (self._turn + 37) % 100
            place = self._turn
            for id, share in sorted(self.split.items()):
                if place < share:
                    return id
                place -= share
            raise AssertionError("an endpoint without a traffic split is not asked")

    def _quota(self, path: str) -> tuple[int, Any]:
        """As the Service Usage API answers for the GPUs of `limits`, by region."""
        parent = f"/v1beta1/projects/{PROJECT}/services/aiplatform.googleapis.com/consumerQuotaMetrics"
        if self.limits is None or path != f"{parent}/aiplatform.googleapis.com%2Fcustom_model_serving_nvidia_l4_gpus":
            return error(403, "PERMISSION_DENIED", "Permission serviceusage.quotas.get denied.")
        buckets = [{"effectiveLimit": "0"}]
        buckets += [{"effectiveLimit": str(it), "dimensions": {"region": each}} for each, it in self.limits.items()]
        return 200, {"consumerQuotaLimits": [{"unit": "1/{project}/{region}", "quotaBuckets": buckets}]}

    def _endpoint(self) -> dict[str, Any]:
        return {
            "name": ENDPOINT,
            "trafficSplit": self.split,
            "deployedModels": list(self.deployed.values()),
            "etag": str(self.version),
        }

    def _operation(self, name: str) -> tuple[int, Any]:
        if name == f"{ENDPOINT}/operations":
            return 200, {"operations": [running.document for running in self.operations.values()]}
        running = self.operations.get(name)
        if self.unreadable:
            return error(403, "PERMISSION_DENIED", "Permission 'aiplatform.operations.get' denied.")
        if running is None:
            return error(404, "NOT_FOUND", "Operation not found.")
        if not running.document.get("done") and not self.held:
            if running.stages:
                running.document["metadata"]["deploymentStage"] = running.stages.pop(0)
            else:
                self._end(running)
                if self.forgetful:
                    del self.operations[name]
                    return error(404, "NOT_FOUND", "Operation not found.")
        return 200, running.document

    def _end(self, running: Running) -> None:
        running.document["done"] = True
        if running.error:
            running.document["error"] = running.error
        else:
            running.effect()
            self.version += 1
            running.document["response"] = {"@type": "type.googleapis.com/google.protobuf.Empty"}

    def _change(self, verb: str, body: dict[str, Any]) -> tuple[int, Any]:
        if verb == "PATCH":
            self.split, self.version = body.get("trafficSplit", {}), self.version + 1
            assert sum(self.split.values()) in (0, 100)
            return 200, self._endpoint()
        if verb == "deployModel":
            return self._deploy(body["deployedModel"])
        if verb == "mutateDeployedModel":
            return self._begin("MutateDeployedModel", lambda: self._mutate(body["deployedModel"]))
        id, split = body["deployedModelId"], body.get("trafficSplit", self.split)
        last = len(self.deployed) == 1
        if split.get(id) and not last:
            return error(400, "FAILED_PRECONDITION", f"The deployed model {id} has traffic.")

        def undeploy() -> None:
            self.deployed.pop(id)
            self.split = {} if last else {other: share for other, share in split.items() if other != id}

        return self._begin("UndeployModel", undeploy)

    def _deploy(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        name, _, version = wanted["model"].partition("@")
        if wanted["id"] in self.deployed:
            return error(409, "ALREADY_EXISTS", f"{wanted['id']} exists.")
        found = {**_as_told(wanted), "model": name, "modelVersionId": version}
        return self._begin("DeployModel", lambda: self.deployed.update({wanted["id"]: found}), stages=self.stages)

    def _mutate(self, wanted: dict[str, Any]) -> None:
        found = self.deployed[wanted["id"]]
        found["dedicatedResources"] = {**found.get("dedicatedResources", {}), **wanted["dedicatedResources"]}

    def _begin(self, kind: str, effect: Callable[[], None], stages: tuple[str, ...] = ()) -> tuple[int, Any]:
        name = f"{ENDPOINT}/operations/{len(self.operations) + 1}"
        document = {"name": name, "metadata": {"@type": f"{_PACKAGE}{kind}OperationMetadata"}}
        failure = self.failing if kind == "DeployModel" else None
        if failure and self.failing_once:
            self.failing = None
        self.operations[name] = Running(document, effect, list(stages), failure)
        return 200, document

    def context(self, operation: Operation) -> Context:
        """The context of an operation that calls this service."""
        from google.auth.credentials import AnonymousCredentials

        google = Google()
        google._credentials = AnonymousCredentials()
        made = operation.context()
        made.gcp = google
        return made


def _as_told(wanted: dict[str, Any]) -> dict[str, Any]:
    """A deployed model as the API answers it: enums by name, defaults left out."""
    from google.cloud.aiplatform_v1.types import DeployedModel

    return json_format.MessageToDict(DeployedModel.pb(DeployedModel.from_json(json.dumps(wanted))))


def error(code: int, status: str, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"error": {"code": code, "status": status, "message": message}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    service: Service

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        if url.path.endswith(":rawPredict"):
            status, headers, data = self._predicted(body)
        else:
            query = {name: value for name, value in parse_qs(url.query).items() if name == "updateMask"}
            status, document = self.service.answer(self.command, url.path, query, json.loads(body or b"{}"))
            headers, data = {"Content-Type": "application/json"}, json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def _predicted(self, body: bytes) -> Reply:
        assert self.service.predict is not None
        id, path = self.service.turn(), self.headers[REDIRECT]
        with self.service.lock:
            self.service.predictions.append((id, path))
        status, headers, data = self.service.predict(id, path, dict(self.headers.items()), body)
        return status, {DEPLOYED_MODEL: id, **headers}, data

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service on a free port of the loopback interface, ended afterwards; this process's clients call it."""
    service = Service()
    handler = type("Handler", (_Handler,), {"service": service})
    with listening(handler) as service.url:
        monkeypatch.setenv(VERTEX_ENDPOINT_OVERRIDE, service.url)
        yield service
