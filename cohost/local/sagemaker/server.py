"""The emulator as a process: its parts put together, and taken apart in good order."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from cohost.local import process
from cohost.local.http import Server
from cohost.local.process import Child, alone
from cohost.local.sagemaker.application import Application
from cohost.local.sagemaker.cloud import Cloud
from cohost.local.sagemaker.control import Control
from cohost.local.sagemaker.deployments import Deployments
from cohost.local.sagemaker.endpoints import Endpoints
from cohost.local.sagemaker.fleets import Fleets
from cohost.local.sagemaker.limits import Limits
from cohost.local.sagemaker.quotas import Quotas
from cohost.local.sagemaker.runtime import MAX_BODY_BYTES, Runtime
from cohost.local.sagemaker.state import State
from cohost.local.sagemaker.telemetry import Telemetry
from cohost.local.sagemaker.traffic import Traffic
from cohost.local.triton.server import clear, prefix_of

_POLL_SECONDS: Final = 0.05
_LAST_WORDS_SECONDS: Final = 2.0


def serve(folder: Path, port: int, aws_url: str, end: threading.Event) -> None:
    """Serves the account kept in a folder, and prints the ready line.

    Args:
        folder: The state folder, shared with the emulator of the other services; made when missing.
        port: Port on 127.0.0.1; 0 for any free one.
        aws_url: Where the other services answer.
        end: Ends the service, every Triton with it, when set.

    Raises:
        CohostError: Another process serves the folder.
        OSError: The port is taken.
        ValueError: The state is not readable.
    """
    own = folder / "sagemaker"
    own.mkdir(parents=True, exist_ok=True)
    instances, prefix = own / "instances", prefix_of(folder)
    with alone(own):
        clear(instances, prefix)
        state, cloud, limits = State(own / "state.json"), Cloud(aws_url, folder), Limits(folder / "limits.json")
        telemetry, traffic = Telemetry(cloud), Traffic()
        fleets = Fleets(instances, prefix, cloud, limits, telemetry)
        deployments = Deployments(state, cloud, fleets, traffic, telemetry)
        control = Control(state, cloud)
        application = Application(
            cloud=cloud,
            control=control,
            endpoints=Endpoints(state, control, cloud, limits, new_mark=fleets.new_mark, begin=deployments.begin),
            quotas=Quotas(limits),
            runtime=Runtime(state, traffic),
            traffic=traffic,
        )
        server = Server(port, application, max_body=MAX_BODY_BYTES)
        threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        deployments.resume()
        telemetry.start(deployments.sample)
        process.announce(server.server_port)
        end.wait()
        server.shutdown()
        deployments.end()
        traffic.close()
        fleets.abandon()
        Child.end_all()
        telemetry.close(_LAST_WORDS_SECONDS)
        clear(instances, prefix)
