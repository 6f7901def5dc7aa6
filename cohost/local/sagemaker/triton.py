"""A running Triton as SageMaker's multi-model container, and the contract it answers by.

Contract: "Bring your own container for multi-model endpoints" (Amazon SageMaker developer guide,
mms-container-apis) as Triton implements it (triton-inference-server/server, sagemaker_server.cc).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cohost.errors import CohostError
from cohost.local.triton.launch import prepare
from cohost.local.triton.server import THREADS, Reply, TritonServer, free_port

TARGET_MODEL: Final = "X-Amzn-SageMaker-Target-Model"
_MULTI_MODEL: Final = "SAGEMAKER_MULTI_MODEL"
_START_SECONDS: Final = 60.0
_WORDS: Final = 600


class MultiModelTriton(TritonServer):
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
        port, repository = free_port(), folder / "empty"
        repository.mkdir(parents=True, exist_ok=True)
        launch = prepare(
            folder,
            mark=mark,
            port=port,
            flags=_flags(repository.resolve(), port),
            environment={**environment, _MULTI_MODEL: "true"},
        )
        super().__init__(folder / f"{mark}.log", mark=mark, port=port, launch=launch)

    def wait_until_ready(self) -> None:
        """Waits for the first good ping.

        Raises:
            PortTakenError: Somebody else has its port.
            CohostError: It ended, or did not answer in time; the message holds the end of its log.
        """
        if not self._becomes_ready("/ping", _START_SECONDS):
            raise self._ended(f"Triton did not start: {self.tail(_WORDS)}", CohostError)

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


def _flags(repository: Path, port: int) -> list[str]:
    return [
        "--allow-sagemaker=true",
        f"--sagemaker-port={port}",
        f"--sagemaker-thread-count={THREADS}",
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
