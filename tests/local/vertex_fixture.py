"""The Vertex AI emulator as a process beside Cloud Storage's, a project with artifacts in it, and plain clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import urllib3
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.aiplatform_v1 import EndpointServiceClient, ModelServiceClient, types
from google.oauth2.credentials import Credentials

from cohost.client import smoke
from cohost.local import daemons

CHECKOUT: Final = Path(__file__).resolve().parents[2]
MODELS: Final = CHECKOUT / "model_artifacts"
PROJECT: Final = "project-of-tests"
REGION: Final = "us-central1"
PARENT: Final = f"projects/{PROJECT}/locations/{REGION}"
BUCKET: Final = "models-of-tests"
IMAGE: Final = f"{REGION}-docker.pkg.dev/{PROJECT}/serving/tritonserver@sha256:{'0' * 64}"
MACHINE: Final = {"machine_type": "g2-standard-8", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
_MARK: Final = "COHOST_TEST_EMULATOR"
_BEARER: Final = {"Authorization": "Bearer any"}


class Project:
    """Two emulator processes, and what Google's own clients do with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.storage = self._start("gcs", 0)
        self.vertex = self._start("vertex", 0)
        self._connect()
        self.pool = urllib3.PoolManager(retries=False, maxsize=20)

    def limit(self, **limits: Any) -> None:
        """Sets limits.json; without any, the defaults are in force."""
        partial = self.folder / "limits.partial"
        partial.write_text(json.dumps(limits))
        partial.replace(self.folder / "limits.json")

    def ask(self, path: str) -> Any:
        """What the emulator says about itself."""
        with urllib.request.urlopen(f"{self.vertex.url}{path}", timeout=30) as answer:
            return json.load(answer)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """A plain HTTP call below /v1/; JSON unless the body is bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return self.pool.request(
            method, f"{self.vertex.url}/v1/{path}", body=data, headers=_BEARER if headers is None else headers
        )

    def infer(self, endpoint: str, model: str, body: bytes | None = None) -> urllib3.BaseHTTPResponse:
        """A prediction of one model by rawPredict; by default that of its smoke test."""
        headers = {"X-Vertex-Ai-Triton-Redirect": f"v2/models/{model}/infer", **_BEARER}
        return self.call("POST", f"{endpoint}:rawPredict", body or request_of(model), headers)

    def put(self, prefix: str, *models: str, **files: bytes) -> str:
        """Puts models of the catalog, and further files (`a__b` is a/b), below a prefix; returns its URI."""
        bucket = self.blobs.bucket(BUCKET)
        for model in models:
            for path in sorted(each for each in (MODELS / model).rglob("*") if each.is_file()):
                name = f"{prefix}/{model}/{path.relative_to(MODELS / model).as_posix()}"
                bucket.blob(name).upload_from_filename(str(path))
        for name, content in files.items():
            bucket.blob(f"{prefix}/{name.replace('__', '/')}").upload_from_string(content)
        return f"gs://{BUCKET}/{prefix}"

    def upload(self, uri: str, *, default: str = "iris", **more: Any) -> types.UploadModelResponse:
        """Uploads a model whose artifacts are below a URI."""
        container = {
            "image_uri": IMAGE,
            "args": [f"--vertex-ai-default-model={default}", *more.pop("args", [])],
            "predict_route": "/predict",
            "health_route": "/health",
            "deployment_timeout": "30s",
        }
        model = {"display_name": "release", "artifact_uri": uri, "container_spec": container, **more.pop("model", {})}
        operation: Any = self.models.upload_model({"parent": PARENT, "model": model, **more})
        return operation.result(timeout=60)

    def endpoint(self, identity: str, **more: Any) -> str:
        """Creates an endpoint; returns its name."""
        request = {"parent": PARENT, "endpoint": {"display_name": "shared", **more}, "endpoint_id": identity}
        operation: Any = self.endpoints.create_endpoint(request)
        return operation.result(timeout=60).name

    def deploying(
        self, endpoint: str, model: str, identity: str, split: dict[str, int] | None = None, **more: Any
    ) -> Any:
        """Begins a deployment; returns the operation."""
        resources = {"machine_spec": {**MACHINE, **more.pop("machine", {})}, "min_replica_count": 1}
        deployed = {"id": identity, "model": model, "dedicated_resources": {**resources, **more}}
        return self.endpoints.deploy_model(
            {"endpoint": endpoint, "deployed_model": deployed, "traffic_split": split or {}}
        )

    def deploy(self, endpoint: str, model: str, identity: str, split: dict[str, int] | None = None) -> None:
        """Deploys a model and waits until it is there."""
        self.deploying(endpoint, model, identity, split).result(timeout=120)

    def undeploy(self, endpoint: str, identity: str, split: dict[str, int] | None = None) -> None:
        request = {"endpoint": endpoint, "deployed_model_id": identity, "traffic_split": split or {}}
        self.endpoints.undeploy_model(request).result(timeout=120)

    def remove(self, endpoint: str) -> None:
        """Undeploys what is on an endpoint, and deletes it."""
        for deployed in self.endpoints.get_endpoint(name=endpoint).deployed_models:
            rest = [each.id for each in self.endpoints.get_endpoint(name=endpoint).deployed_models]
            rest.remove(deployed.id)
            self.undeploy(endpoint, deployed.id, {rest[0]: 100} if rest else None)
        self.endpoints.delete_endpoint(name=endpoint).result(timeout=60)

    def processes(self) -> list[daemons.Process]:
        """Every live process that the Vertex AI emulator was or started."""
        return daemons.with_variable(_MARK, f"vertex-{self.mark}")

    def kill_triton(self) -> None:
        """Kills every process of the model servers, but not the emulator."""
        for process in self.processes():
            if process.pid != self.vertex.process.pid:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)

    def restart(self) -> None:
        """Kills the Vertex AI emulator where it stands, and starts it again on the same port and state."""
        self.vertex.process.kill()
        self.vertex.process.wait()
        self.vertex = self._start("vertex", self.vertex.port)

    def stop(self) -> None:
        """Ends the Vertex AI emulator in good order."""
        self.vertex.process.send_signal(signal.SIGTERM)
        assert self.vertex.process.wait(30) == 0

    def start(self) -> None:
        """Starts the Vertex AI emulator again on the same port and state."""
        self.vertex = self._start("vertex", self.vertex.port)

    def close(self) -> None:
        for emulator in (self.vertex, self.storage):
            emulator.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                emulator.process.wait(30)
            emulator.process.kill()
            emulator.process.wait()

    def _connect(self) -> None:
        options = ClientOptions(api_endpoint=self.vertex.url)
        credentials = Credentials("any")  # type: ignore[no-untyped-call]
        self.models = ModelServiceClient(transport="rest", credentials=credentials, client_options=options)
        self.endpoints = EndpointServiceClient(transport="rest", credentials=credentials, client_options=options)
        self.blobs = storage.Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.storage.url},
        )

    def _start(self, name: str, port: int) -> Emulator:
        command = [
            sys.executable,
            "-m",
            f"cohost.local.{name}",
            "--state",
            str(self.folder / name),
            "--port",
            str(port),
        ]
        if name == "vertex":
            command[4] = str(self.folder)
            command += ["--storage-url", self.storage.url]
        environment = {**os.environ, _MARK: f"{name}-{self.mark}", "NO_PROXY": "127.0.0.1,localhost"}
        return Emulator(command, environment, self.folder / f"{name}.log")


class Emulator:
    """One running emulator."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, log.read_text()
        self.port = int(json.loads(line)["port"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running(folder: Path) -> Iterator[Project]:
    """A project with a bucket."""
    project = Project(folder)
    try:
        project.blobs.create_bucket(BUCKET)
        yield project
    finally:
        project.close()


def request_of(model: str) -> bytes:
    return json.dumps(json.loads((MODELS / model / smoke.FILE).read_text())["request"]).encode()


def until(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """What is seen once it is good; how long that takes does not matter, only that it comes."""
    deadline = time.monotonic() + 30
    while True:
        found = look()
        if good(found):
            return found
        assert time.monotonic() < deadline, f"never came: {found}"
        time.sleep(0.05)
