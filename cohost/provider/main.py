"""The plugin's process: serves the provider protocol until the engine is gone."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import grpc

from cohost import tokens
from cohost.provider.artifact_set import ArtifactSet
from cohost.provider.protocol import provider_pb2_grpc
from cohost.provider.servicer import Servicer

_WATCH_INTERVAL_S: Final = 2.0
_WORKERS: Final = 32


def main() -> None:
    """Serves on a free loopback port and prints its number as the first line of standard output."""
    # Ctrl-C reaches the whole foreground process group; the engine answers it by calling Cancel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The protocol sends a resource's old and new properties in one message; 10,000 models exceed grpc's 4 MB.
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(_WORKERS), options=options)
    servicer = Servicer(_resources(), _project_root(), on_engine=_end_with)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def _resources() -> dict:
    from cohost.provider.active_release import SageMakerActiveRelease
    from cohost.provider.endpoint_name import EndpointName

    return {
        tokens.ARTIFACT_SET: ArtifactSet(),
        tokens.SAGEMAKER_ENDPOINT_NAME: EndpointName(),
        tokens.SAGEMAKER_ACTIVE_RELEASE: SageMakerActiveRelease(),
    }


def _project_root() -> Path:
    """The engine starts a plugin in the plugin's own folder, which lies in the project's."""
    given = os.environ.get("COHOST_PROJECT_ROOT")
    return Path(given).resolve() if given else Path.cwd().parent


def _end_with(engine: str) -> None:
    """Ends this process once the engine is gone: a killed engine must not leave uploads or waits behind."""

    def watch() -> None:
        host, _, port = engine.rpartition(":")
        while True:
            time.sleep(_WATCH_INTERVAL_S)
            try:
                socket.create_connection((host, int(port)), timeout=_WATCH_INTERVAL_S).close()
            except ConnectionRefusedError:
                os._exit(1)
            except OSError:
                continue

    threading.Thread(target=watch, daemon=True, name="engine-watch").start()
