"""A running Triton as SageMaker's multi-model container, and the contract it answers by.

Contract: "Bring your own container for multi-model endpoints" (Amazon SageMaker developer guide,
mms-container-apis) as Triton implements it (triton-inference-server/server, sagemaker_server.cc).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import urllib3

from cohost.errors import CohostError
from cohost.local.process import LOOPBACK, Child
from cohost.local.triton import install

TARGET_MODEL: Final = "X-Amzn-SageMaker-Target-Model"
_SHARED_MEMORY: Final = Path("/dev/shm")
_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02
# Front-end threads: one request each, so this is how many requests run at once (its own default is 8).
_THREADS: Final = 16


@dataclass(frozen=True)
class Reply:
    """What Triton answered.

    Attributes:
        status: HTTP status.
        headers: Lower-case header names to values.
        body: The body as sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


class UnreachableError(CohostError):
    """Triton did not answer: it is starting, or it died."""


class PortTakenError(CohostError):
    """Somebody else took the port before Triton did: another one will do."""


class TritonServer:
    """One Triton process in multi-model mode, on a loopback port of its own."""

    def __init__(self, folder: Path, *, mark: str, environment: Mapping[str, str]) -> None:
        """Starts the server; it answers once `wait_until_ready` returns.

        Args:
            folder: Holds the assembled server (shared), and below `mark` this one's log and empty repository.
            mark: Name of this server in file names and shared memory: letters, digits and hyphens.
            environment: Variables of the SageMaker model's container.

        Raises:
            CohostError: There is no Triton for this machine.
        """
        self.port = _free_port()
        self._mark = mark
        self.log = folder / f"{mark}.log"
        repository = folder / "empty"
        repository.mkdir(parents=True, exist_ok=True)
        command, self._container, variables = _command(folder, repository, self.port, mark)
        with self.log.open("ab") as output:
            self._child = Child(command, env={**os.environ, **environment, **variables}, output=output)
        self._pool = urllib3.HTTPConnectionPool(
            LOOPBACK,
            self.port,
            maxsize=_THREADS,
            block=False,
            retries=False,
            timeout=urllib3.Timeout(read=60),
        )

    def wait_until_ready(self) -> None:
        """Waits for the first good ping.

        Raises:
            PortTakenError: Somebody else has its port.
            CohostError: It ended, or did not answer in time; the message holds the end of its log.
        """
        deadline = time.monotonic() + _START_SECONDS
        while self._child.running() and time.monotonic() < deadline:
            with suppress(UnreachableError):
                if self.request("GET", "/ping").status == 200:
                    return
            time.sleep(_POLL_SECONDS)
        words = self.tail(600)
        raise (PortTakenError if "already in use" in words else CohostError)(f"Triton did not start: {words}")

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float = 60.0,
    ) -> Reply:
        """Sends one request.

        Raises:
            UnreachableError: No answer; a request may or may not have been carried out.
            TimeoutError: No answer within `seconds`.
        """
        try:
            answer = self._pool.request(
                method, path, body=body, headers=headers, timeout=urllib3.Timeout(connect=5, read=seconds)
            )
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TimeoutError(f"Triton took longer than {seconds:.0f} s") from error
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"Triton does not answer: {error}") from error
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, found, answer.data)

    def load(self, model: str, folder: Path, *, target: str, seconds: float) -> Reply:
        """Loads a folder's model: 200, 409 (already loaded), 507 (no memory) or an error.

        Args:
            model: The name it has in the contract.
            folder: Where it is.
            target: The caller's name of it, which Triton then knows it by: every other request must have it too.
            seconds: How long it may take.
        """
        body = json.dumps({"model_name": model, "url": str(folder)}).encode()
        return self.request("POST", "/models", body, {TARGET_MODEL: target}, seconds=seconds)

    def unload(self, model: str, *, target: str) -> Reply:
        """Unloads a model; 200, or 404 when it is not loaded."""
        return self.request("DELETE", f"/models/{model}", headers={TARGET_MODEL: target}, seconds=350)

    def running(self) -> bool:
        """Tells whether the process still runs."""
        return self._child.running()

    def wait(self) -> None:
        """Waits for the end of the process, whoever brings it."""
        self._child.wait()

    def tail(self, length: int = 2000) -> str:
        """Returns the end of the log, for a message."""
        with suppress(OSError):
            return self.log.read_bytes()[-length:].decode(errors="replace").strip()
        return ""

    def kill(self) -> None:
        """Ends the server and its model processes at once, and gives back their shared memory."""
        if self._container:
            _remove_containers([self._container])
        self._child.kill()
        self._pool.close()
        sweep(self._mark)


def sweep(mark: str) -> None:
    """Removes shared memory that killed servers with this mark, or one that begins so, left behind."""
    with suppress(OSError):
        for region in _SHARED_MEMORY.glob(f"{mark}*"):
            region.unlink(missing_ok=True)


def sweep_containers(mark: str) -> None:
    """Removes containers that killed servers with a mark beginning so left running (docker only)."""
    docker = install.docker()
    if install.wheel() or not docker:
        return
    listing = [docker, "ps", "-a", "--filter", f"name=^{mark}", "--format", "{{.Names}}"]
    found = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
    _remove_containers(found)


def _remove_containers(names: Iterable[str]) -> None:
    docker, found = install.docker(), list(names)
    if docker and found:
        subprocess.run([docker, "rm", "-f", *found], capture_output=True, check=False)


def _command(folder: Path, repository: Path, port: int, mark: str) -> tuple[list[str], str | None, dict[str, str]]:
    """Returns command, container name if any, and variables: the wheel's Triton, or else the container's."""
    server = install.wheel()
    if server:
        triton = install.from_wheel(server, folder)
        flags = [f"--backend-directory={triton.backends}"]
        flags += [f"--backend-config={backend},shm-region-prefix-name={mark}" for backend in ("python", "onnxruntime")]
        variables = {**triton.environment, "SAGEMAKER_MULTI_MODEL": "true"}
        return [*triton.command, *_flags(repository, port), *flags], None, variables
    docker = install.docker()
    if not docker:
        raise CohostError(
            "no Triton for this machine: install nvidia-pytriton (Linux, x86-64), or docker for its container"
        )
    name = f"{mark}-{uuid.uuid4().hex[:8]}"
    root = folder.resolve()
    run = [docker, "run", "--rm", "--name", name, "-e", "SAGEMAKER_MULTI_MODEL=true"]
    run += [
        "-p",
        f"{LOOPBACK}:{port}:{port}",
        "-v",
        f"{root}:{root}",
        install.CONTAINER_IMAGE,
        "tritonserver",
    ]
    return [*run, *_flags(repository.resolve(), port)], name, {}


def _flags(repository: Path, port: int) -> list[str]:
    return [
        "--allow-sagemaker=true",
        f"--sagemaker-port={port}",
        f"--sagemaker-thread-count={_THREADS}",
        "--allow-http=false",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--model-control-mode=explicit",
        f"--model-repository={repository}",
        # As in AWS's image (triton-inference-server/server, docker/sagemaker/serve): without it two versions of an
        # ensemble cannot be loaded at once, since their step models have the same names.
        "--model-namespacing=true",
        "--log-verbose=0",
    ]


_given: set[int] = set()
_giving = threading.Lock()


def _free_port() -> int:
    """Returns a free port, never the same twice: Triton shares a port with another Triton without a word."""
    with _giving:
        while True:
            with socket.socket() as probe:
                probe.bind((LOOPBACK, 0))
                port = probe.getsockname()[1]
            if port not in _given:
                _given.add(port)
                return port
