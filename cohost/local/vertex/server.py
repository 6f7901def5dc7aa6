"""The emulator as a process: its parts put together, and taken apart in good order."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from cohost.local import process
from cohost.local.gcp_provider.ledger import Ledger
from cohost.local.http import Server
from cohost.local.process import Child, alone
from cohost.local.triton.server import clear, prefix_of
from cohost.local.vertex.application import Application
from cohost.local.vertex.artifacts import Artifacts
from cohost.local.vertex.beside import Beside
from cohost.local.vertex.deploying import Deploying
from cohost.local.vertex.deployments import Deployments
from cohost.local.vertex.endpoints import Endpoints
from cohost.local.vertex.limits import Limits
from cohost.local.vertex.operations import Operations
from cohost.local.vertex.predictions import Predictions
from cohost.local.vertex.state import State
from cohost.vertex_endpoint import DEDICATED_BYTES

_POLL_SECONDS: Final = 0.05


def serve(folder: Path, port: int, storage_url: str, end: threading.Event) -> None:
    """Serves the projects kept in a folder, and prints the ready line.

    Args:
        folder: The state folder, shared with the emulators of other services; made when missing.
        port: Port on 127.0.0.1; 0 for any free one.
        storage_url: Where Cloud Storage answers.
        end: Ends the service, every model server with it, when set.

    Raises:
        CohostError: Another process serves the folder.
        OSError: The port is taken.
        ValueError: The state is not readable.
    """
    own = folder / "vertex"
    own.mkdir(parents=True, exist_ok=True)
    instances, prefix = own / "instances", prefix_of(own)
    with alone(own):
        clear(instances, prefix)
        state, limits = State(own / "state.json"), Limits(folder / "limits.json")
        operations = Operations(state)
        copies = Artifacts(own / "artifacts", storage_url)
        deployments = Deployments(state, operations, copies, limits, folder=instances, prefix=prefix)
        endpoints = Endpoints(state, operations)
        application = Application(
            state=state,
            operations=operations,
            models=deployments.models,
            endpoints=endpoints,
            deploying=Deploying(state, operations, deployments.models, endpoints, limits, begin=deployments.begin),
            predictions=Predictions(state, endpoints, deployments, limits),
            limits=limits,
            beside=Beside(limits, Ledger(folder / "provider")),
        )
        server = Server(port, application, max_body=DEDICATED_BYTES)
        threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        deployments.resume()
        process.announce(server.server_port)
        end.wait()
        server.shutdown()
        deployments.end()
        Child.end_all()
        clear(instances, prefix)
