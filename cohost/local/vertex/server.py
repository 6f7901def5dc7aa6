"""The emulator as a process: its parts put together, and taken apart in good order."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cohost.errors import CohostError
from cohost.local import process
from cohost.local.process import Child
from cohost.local.sagemaker.http import Server
from cohost.local.triton.server import sweep
from cohost.local.vertex.application import Application
from cohost.local.vertex.artifacts import Artifacts
from cohost.local.vertex.deploying import Deploying
from cohost.local.vertex.deployments import Deployments
from cohost.local.vertex.endpoints import Endpoints
from cohost.local.vertex.limits import Limits
from cohost.local.vertex.operations import Operations
from cohost.local.vertex.predictions import DEDICATED_BYTES, Predictions
from cohost.local.vertex.state import State

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
    prefix = f"cohost-{hashlib.sha256(str(own.resolve()).encode()).hexdigest()[:8]}"
    with _alone(own):
        _clear(own, prefix)
        state, limits = State(own / "state.json"), Limits(folder / "limits.json")
        operations = Operations(state)
        copies = Artifacts(own / "artifacts", storage_url)
        deployments = Deployments(state, operations, copies, limits, folder=own / "instances", prefix=prefix)
        endpoints = Endpoints(state, operations)
        application = Application(
            state=state,
            operations=operations,
            models=deployments.models,
            endpoints=endpoints,
            deploying=Deploying(state, operations, deployments.models, endpoints, limits, begin=deployments.begin),
            predictions=Predictions(state, endpoints, deployments, limits),
            limits=limits,
        )
        server = Server(port, application, max_body=DEDICATED_BYTES)
        threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        deployments.resume()
        process.announce(server.server_port)
        end.wait()
        server.shutdown()
        deployments.end()
        Child.end_all()
        _clear(own, prefix)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the system lets go of it when the process ends, however it does."""
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CohostError(f"another process serves {folder}") from error
        yield


def _clear(folder: Path, prefix: str) -> None:
    """Removes what the model servers of a process that was killed left behind."""
    sweep(prefix)
    for left in (folder / "instances").glob(f"{prefix}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
