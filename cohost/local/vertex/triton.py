"""A running Triton as the container of a Vertex AI model, and the contract it answers by.

Contract: "Custom container requirements" (Vertex AI documentation) as Triton implements it
(triton-inference-server/server, vertex_ai_server.cc and docker/entrypoint.d/99-check-run-aip-mode.sh).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cohost.errors import CohostError
from cohost.local.process import LOOPBACK
from cohost.local.triton.launch import prepare
from cohost.local.triton.server import THREADS, TritonServer, free_port
from cohost.local.vertex.probes import Startup

REDIRECT: Final = "X-Vertex-Ai-Triton-Redirect"
_WORDS: Final = 1500


@dataclass(frozen=True, kw_only=True)
class Container:
    """What a model server is started with.

    Attributes:
        artifacts: The frozen copy of the model's artifacts: a Triton model repository.
        args: The container's arguments.
        environment: Its variables, those that Vertex AI sets included.
        predict_route: Where predictions are asked for.
        health_route: What it is told to tell its health by.
        seconds: How long it may take to become ready.
        startup: What it must answer first, if anything.
        health_path: Where it is asked whether it is ready; "" = at the health route.
    """

    artifacts: Path
    args: Sequence[str]
    environment: Mapping[str, str]
    predict_route: str
    health_route: str
    seconds: float
    startup: Startup | None = None
    health_path: str = ""


class ExitedError(CohostError):
    """The server ended before it was ready."""


class VertexTriton(TritonServer):
    """One Triton process behind its Vertex AI front end, on a loopback port of its own."""

    def __init__(self, folder: Path, *, mark: str, container: Container) -> None:
        """Starts the server; it answers once `wait_until_ready` returns.

        Args:
            folder: Holds the assembled server (shared), and this one's log.
            mark: Name of this server in file names and shared memory: letters, digits and hyphens.
            container: What it is started with.

        Raises:
            CohostError: There is no Triton for this machine.
        """
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self._startup, self._seconds = container.startup, container.seconds
        self._health = container.health_path or container.health_route
        own = {
            "AIP_MODE": "PREDICTION",
            "AIP_HTTP_PORT": str(port),
            "AIP_HEALTH_ROUTE": container.health_route,
            "AIP_PREDICT_ROUTE": container.predict_route,
            "AIP_STORAGE_URI": str(container.artifacts.resolve()),
        }
        launch = prepare(
            folder,
            mark=mark,
            port=port,
            flags=[*container.args, *_flags(port)],
            environment={**container.environment, **own},
            repositories=[container.artifacts],
        )
        super().__init__(folder / f"{mark}.log", mark=mark, port=port, launch=launch)

    def wait_until_ready(self, stay: Callable[[], None] = lambda: None) -> None:
        """Waits until the server says that it is ready.

        Args:
            stay: Called again and again; ends the waiting by an exception.

        Raises:
            PortTakenError: Somebody else has its port.
            ExitedError: It ended; the message holds the end of its log.
            TimeoutError: It was not ready in time; so does this message.
        """
        deadline = time.monotonic() + self._seconds
        startup = self._startup
        if startup and not self._becomes_ready(startup.path, min(startup.seconds, self._seconds), stay):
            raise self._failed(f"The startup probe, GET {startup.path}, did not succeed in time. ")
        if not self._becomes_ready(self._health, deadline - time.monotonic(), stay):
            raise self._failed("")

    def _failed(self, why: str) -> Exception:
        words = self.tail(_WORDS)
        return TimeoutError(f"{why}{words}") if self.running() else self._ended(words, ExitedError)


def _flags(port: int) -> list[str]:
    """Flags that keep it to this machine; after the container's own, so that they have the last word."""
    return [
        "--allow-vertex-ai=true",
        f"--vertex-ai-port={port}",
        f"--vertex-ai-thread-count={THREADS}",
        "--allow-http=false",
        "--allow-grpc=false",
        f"--metrics-address={LOOPBACK}",
        f"--metrics-port={free_port()}",
    ]
