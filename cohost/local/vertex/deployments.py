"""What happens in the background: copies are made, model servers come up, change and go.

The record of an operation says what is to be done, and that of an endpoint what is deployed, so that a process that
starts with the state of a killed one goes on where that was.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from cohost.errors import CohostError
from cohost.local.ending import Ending, EndingError
from cohost.local.triton import memory
from cohost.local.vertex import probes
from cohost.local.vertex.artifacts import Artifacts
from cohost.local.vertex.deploying import DEPLOY, MUTATE, UNDEPLOY
from cohost.local.vertex.errors import VertexError, precondition
from cohost.local.vertex.limits import Limits
from cohost.local.vertex.models import UPLOAD, Models
from cohost.local.vertex.names import parse
from cohost.local.vertex.operations import Operations
from cohost.local.vertex.protos import Record, now, typed
from cohost.local.vertex.replica import Replica
from cohost.local.vertex.state import State
from cohost.local.vertex.triton import Container, ExitedError

_LOG: Final = logging.getLogger(__name__)
_BILLED_FROM: Final = "ADDING_NODES_TO_CLUSTER"
_SERVER_STARTS: Final = "STARTING_MODEL_SERVER"
# google.cloud.aiplatform.v1.DeploymentStage, in the order of a deployment.
_STAGES: Final = (
    "STARTING_DEPLOYMENT",
    "PREPARING_MODEL",
    "CREATING_SERVING_CLUSTER",
    _BILLED_FROM,
    "GETTING_CONTAINER_IMAGE",
    _SERVER_STARTS,
    "FINISHING_UP",
)
_STAGE_SECONDS: Final = 0.1
_POLL_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 1.0
# ModelContainerSpec.deployment_timeout goes up to two hours; nothing here takes longer than this.
_START_SECONDS: Final = 60.0


class Deployments:
    """Carries out operations, and holds the model server of everything that is deployed.

    Attributes:
        models: The models, whose uploads it carries out.
    """

    def __init__(
        self,
        state: State,
        operations: Operations,
        copies: Artifacts,
        limits: Limits,
        *,
        folder: Path,
        prefix: str,
    ) -> None:
        """Begins with no model server.

        Args:
            state: The records.
            operations: What is to be done.
            copies: The frozen artifacts.
            limits: Where a test says at which stage deployments wait.
            folder: Where model servers keep what they need.
            prefix: What their names begin with.
        """
        self._state, self._operations, self._copies, self._limits = state, operations, copies, limits
        self._folder, self._prefix = folder, prefix
        self.models = Models(state, operations, copies, begin=self.begin)
        self._changed = threading.Condition()
        self._replicas: dict[tuple[str, str], Replica] = {}
        self._ending = Ending()
        self._kinds: Mapping[str, Callable[[Record], None]] = {
            UPLOAD: self._upload,
            DEPLOY: self._deploy,
            UNDEPLOY: self._undeploy,
            MUTATE: self._mutate,
        }

    def resume(self) -> None:
        """Takes up every operation that has not ended, and brings back what is deployed."""
        going = {
            (each["work"]["about"], each["work"]["id"])
            for each in self._operations.pending()
            if each["work"].get("kind") == UNDEPLOY
        }
        for name, endpoint in self._state.endpoints.items():
            for deployed in endpoint.get("deployedModels", []):
                if (name, deployed["id"]) not in going:
                    self._in_background(self._restore, name, deployed)
        for operation in self._operations.pending():
            self.begin(operation["name"])

    def begin(self, name: str) -> None:
        """Carries out an operation, in the background."""
        self._in_background(self._carry_out, name)

    def end(self) -> None:
        """Leaves what is under way as it is recorded, and ends every model server."""
        self._ending.begin()
        with self._changed:
            self._changed.notify_all()
        for replica in list(self._replicas.values()):
            replica.close(drain=False)

    @contextmanager
    def using(self, endpoint: str, deployed: str, deadline: float) -> Iterator[Replica | None]:
        """Holds the model server of a deployed model for one call, waiting for one that is on its way back.

        Yields:
            The server; None when it is going, or does not come in time.
        """
        key = (endpoint, deployed)
        with self._changed:
            while key not in self._replicas and not self._ending.begun() and time.monotonic() < deadline:
                if not self._is_deployed(endpoint, deployed):
                    break
                self._changed.wait(_POLL_SECONDS)
            replica = self._replicas.get(key)
        if replica is None:
            yield None
            return
        with replica.using() as taken:
            yield replica if taken else None

    def serving(self, endpoint: str) -> list[tuple[Record, Replica]]:
        """Returns what is deployed on the endpoints of a name or id, with its model server where that is up."""
        with self._state.reading():
            found = [
                (name, deployed)
                for name, record in self._state.endpoints.items()
                for deployed in record.get("deployedModels", [])
                if endpoint.rsplit("/", 1)[-1] == name.rsplit("/", 1)[-1]
            ]
        with self._changed:
            up = dict(self._replicas)
        return [(deployed, up[name, deployed["id"]]) for name, deployed in found if (name, deployed["id"]) in up]

    def _in_background(self, work: Callable[..., None], *arguments: Any) -> None:
        def run() -> None:
            with suppress(EndingError):
                work(*arguments)

        threading.Thread(target=run, daemon=True).start()

    def _carry_out(self, name: str) -> None:
        operation = self._state.operations[name]
        try:
            self._kinds[operation["work"]["kind"]](operation)
        except VertexError as error:
            self._operations.end(name, error)
        except Exception as error:
            self._ending.stay()
            _LOG.exception("%s failed for an unexpected reason", name)
            self._operations.end(name, VertexError("INTERNAL", f"{type(error).__name__}: {error}"))

    def _upload(self, operation: Record) -> None:
        response = typed("UploadModelResponse", self.models.finish_upload(operation))
        self._operations.end(operation["name"], response)

    def _deploy(self, operation: Record) -> None:
        work = operation["work"]
        deployed, endpoint = work["deployedModel"], work["about"]
        replica = Replica(self._folder, self._mark(), self._container(endpoint, deployed))
        try:
            for stage in _STAGES:
                self._enter(operation, stage)
                if stage == _SERVER_STARTS:
                    self._check_memory(operation, replica.container)
                    self._start(operation, replica)
        except BaseException as error:
            replica.close(drain=False)
            if not isinstance(error, EndingError):
                self._unbill(endpoint, deployed["id"])
            raise
        with self._changed:
            self._replicas[endpoint, deployed["id"]] = replica
            self._changed.notify_all()

        def change() -> None:
            record = self._state.endpoints[endpoint]
            record.setdefault("deployedModels", []).append(deployed)
            if split := work["trafficSplit"]:
                record["trafficSplit"] = {(deployed["id"] if key == "0" else key): split[key] for key in split}
            record["updateTime"] = now()

        self._operations.end(operation["name"], typed("DeployModelResponse", {"deployedModel": deployed}), change)

    def _undeploy(self, operation: Record) -> None:
        endpoint, wanted = operation["work"]["about"], operation["work"]["id"]
        self._close_replica(endpoint, wanted)
        self._unbill(endpoint, wanted)

        def change() -> None:
            record = self._state.endpoints[endpoint]
            record["deployedModels"] = [each for each in record["deployedModels"] if each["id"] != wanted]
            record["updateTime"] = now()

        self._operations.end(operation["name"], typed("UndeployModelResponse", {}), change)
        # One that was on its way back after a restart.
        self._close_replica(endpoint, wanted)

    def _mutate(self, operation: Record) -> None:
        endpoint, changed = operation["work"]["about"], operation["work"]["deployedModel"]
        self._ending.sleep(_STAGE_SECONDS)

        def change() -> None:
            record = self._state.endpoints[endpoint]
            record["deployedModels"] = [
                changed if each["id"] == changed["id"] else each for each in record["deployedModels"]
            ]
            record["updateTime"] = now()

        response = typed("MutateDeployedModelResponse", {"deployedModel": changed})
        self._operations.end(operation["name"], response, change)

    def _restore(self, endpoint: str, deployed: Record) -> None:
        """Brings back a model server that was up when this process was last ended."""
        while self._is_deployed(endpoint, deployed["id"]):
            replica = Replica(self._folder, self._mark(), self._container(endpoint, deployed))
            try:
                replica.start(self._ending.stay)
            except (CohostError, OSError, TimeoutError) as error:
                self._ending.stay()
                _LOG.error("%s of %s does not come back: %s", deployed["id"], endpoint, error)
                self._ending.sleep(_RETRY_SECONDS)
                continue
            with self._changed:
                self._replicas[endpoint, deployed["id"]] = replica
                self._changed.notify_all()
            if not self._is_deployed(endpoint, deployed["id"]):
                self._close_replica(endpoint, deployed["id"])
            return

    def _close_replica(self, endpoint: str, wanted: str) -> None:
        """Ends a model server, if there is one, once its last call has ended."""
        with self._changed:
            replica = self._replicas.pop((endpoint, wanted), None)
        if replica:
            replica.close(drain=True)

    def _start(self, operation: Record, replica: Replica) -> None:
        def stay() -> None:
            self._ending.stay()
            self._check_cancelled(operation)

        logs = _logs(operation["work"]["about"])
        try:
            replica.start(stay)
        except ExitedError as error:
            raise _exited(operation, str(error)) from error
        except TimeoutError as error:
            raise precondition(
                "Model server never became ready. Please validate that your model file or container configuration are "
                f"valid. {logs}. Its last words: {error}"
            ) from error

    def _check_memory(self, operation: Record, container: Container) -> None:
        """Checks that the GPUs hold all models: this machine's Triton, without a GPU, would load them anyway.

        Raises:
            VertexError: They do not. ONNX Runtime's words; Triton then ends, as `--exit-on-error` has it.
        """
        machine = operation["work"]["deployedModel"]["dedicatedResources"]["machineSpec"]
        each = self._limits.memory(machine["acceleratorType"]) if machine.get("acceleratorType") else None
        if each is None:
            return
        models = memory.of_repository(container.artifacts)
        if model := memory.first_without_room(models, each * machine["acceleratorCount"]):
            raise _exited(
                operation,
                f"failed to load '{model}' version 1: Internal: onnx runtime error 6: Failed to allocate memory for "
                f"requested buffer of size {models[model]}",
            )

    def _enter(self, operation: Record, stage: str) -> None:
        """Goes to a deployment's next stage, and stays there for a moment or for as long as a test asks."""
        self._operations.enter(operation["name"], stage)
        if stage == _BILLED_FROM:
            self._bill(operation)
        self._ending.sleep(_STAGE_SECONDS)
        while self._limits.holds(stage):
            self._check_cancelled(operation)
            self._ending.sleep(_POLL_SECONDS)
        self._check_cancelled(operation)

    def _check_cancelled(self, operation: Record) -> None:
        if self._operations.cancelled(operation["name"]):
            raise VertexError("CANCELLED", "The operation was cancelled.")

    def _bill(self, operation: Record) -> None:
        """Notes that a deployment has machines; once, however often it is taken up."""
        deployed = operation["work"]["deployedModel"]
        resources = deployed["dedicatedResources"]
        machine = resources["machineSpec"]
        with self._state.changing():
            self._state.deployments.setdefault(
                operation["name"],
                {
                    "endpoint": operation["work"]["about"],
                    "id": deployed["id"],
                    "model": f"{deployed['model']}@{deployed['modelVersionId']}",
                    "machine": machine["machineType"],
                    "accelerator": machine.get("acceleratorType"),
                    "gpus": machine.get("acceleratorCount", 0) * resources["minReplicaCount"],
                    "began": now(),
                    "ended": None,
                },
            )

    def _unbill(self, endpoint: str, wanted: str) -> None:
        with self._state.changing():
            for record in self._state.deployments.values():
                if (record["endpoint"], record["id"], record["ended"]) == (endpoint, wanted, None):
                    record["ended"] = now()

    def _container(self, endpoint: str, deployed: Record) -> Container:
        spec = self.models.container(deployed["model"], deployed["modelVersionId"])
        identity = endpoint.rsplit("/", 1)[-1]
        # ModelContainerSpec.predict_route and health_route: what they are when not given.
        route = f"/v1/endpoints/{identity}/deployedModels/{deployed['id']}"
        machine = deployed["dedicatedResources"]["machineSpec"]
        given = {each["name"]: each.get("value", "") for each in spec.get("env", [])}
        own = {"AIP_ENDPOINT_ID": identity, "AIP_DEPLOYED_MODEL_ID": deployed["id"]}
        if kind := machine.get("acceleratorType"):
            own["AIP_ACCELERATOR_TYPE"] = kind
        health = spec.get("healthRoute") or route
        return Container(
            artifacts=self._copies.path(deployed["model"], deployed["modelVersionId"]),
            args=spec.get("args", []),
            environment={**given, **own},
            predict_route=spec.get("predictRoute") or f"{route}:predict",
            health_route=health,
            seconds=min(float(spec.get("deploymentTimeout", f"{_START_SECONDS}s").removesuffix("s")), _START_SECONDS),
            startup=probes.startup(spec),
            health_path=probes.health_path(spec, health),
        )

    def _mark(self) -> str:
        return f"{self._prefix}-{uuid.uuid4().hex[:8]}"

    def _is_deployed(self, endpoint: str, wanted: str) -> bool:
        with self._state.reading():
            record = self._state.endpoints.get(endpoint, {})
            return any(each["id"] == wanted for each in record.get("deployedModels", []))


def _exited(operation: Record, words: str) -> VertexError:
    """What a deployment fails with whose model server ended.

    googleapis/python-aiplatform#4559 quotes the sentence; the container's own words are added here.
    """
    logs = _logs(operation["work"]["about"])
    return precondition(f"Model server exited unexpectedly. {logs}. Its last words: {words}")


def _logs(endpoint: str) -> str:
    place = parse(endpoint)
    return (
        f"Model server logs can be found at https://console.cloud.google.com/logs/viewer?project={place.project}"
        f"&resource=aiplatform.googleapis.com%2FEndpoint%2Fendpoint_id%2F{place.rest.rsplit('/', 1)[-1]}"
    )
