"""The plugin's process: serves the provider protocol until the engine is gone."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import grpc

from cohost import tokens
from cohost.provider.active_release import SageMakerActiveRelease
from cohost.provider.artifact_set import ArtifactSet
from cohost.provider.endpoint_name import EndpointName
from cohost.provider.protocol import provider_pb2_grpc
from cohost.provider.resource import Resource
from cohost.provider.servicer import Servicer
from cohost.provider.vertex.active_release import VertexActiveRelease
from cohost.provider.vertex.deployed_model import DeployedModel
from cohost.provider.vertex.endpoint_drain import EndpointDrain
from cohost.provider.vertex.model import Model
from cohost.provider.vertex.model_set import ModelSet

_WATCH_INTERVAL_S: Final = 2.0
# For operations to end and to remove their scratch files, once nobody waits for them any more.
_GRACE_S: Final = 10.0
_WORKERS: Final = 32


def main(*, project: Path) -> None:
    """Serves on a free loopback port and prints its number as the first line of standard output.

    Args:
        project: The folder of Pulumi.yaml, which paths in inputs are relative to. Not the working folder: where an
            engine starts a plugin is its own choice.
    """
    # Ctrl-C reaches the whole foreground process group; the engine answers it by calling Cancel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The protocol sends old inputs, old outputs and new inputs in one message; 10,000 models come to grpc's 4 MB.
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    workers = ThreadPoolExecutor(_WORKERS)
    server = grpc.server(workers, options=options)
    engine = _EngineWatch()
    servicer = Servicer(_resources(), project, on_engine=engine.watch)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: engine.tell())
    print(port, flush=True)
    engine.gone.wait()
    servicer.cancel()
    ending = threading.Thread(target=workers.shutdown, daemon=True)
    ending.start()
    ending.join(_GRACE_S)
    os._exit(1)


def _resources() -> Mapping[str, Resource]:
    return {
        tokens.ARTIFACT_SET: ArtifactSet(),
        tokens.SAGEMAKER_ENDPOINT_NAME: EndpointName(),
        tokens.SAGEMAKER_ACTIVE_RELEASE: SageMakerActiveRelease(),
        tokens.VERTEX_MODEL: Model(),
        tokens.VERTEX_MODEL_SET: ModelSet(),
        tokens.VERTEX_DEPLOYED_MODEL: DeployedModel(),
        tokens.VERTEX_ENDPOINT_DRAIN: EndpointDrain(),
        tokens.VERTEX_ACTIVE_RELEASE: VertexActiveRelease(),
    }


class _EngineWatch:
    """Knows when the engine is gone: a killed engine must not leave uploads or waits behind.

    Attributes:
        gone: Set when it is.
    """

    def __init__(self) -> None:
        self.gone = threading.Event()

    def tell(self) -> None:
        """Ends the watch; safe in a signal handler, which may have interrupted `gone.wait` with its lock held."""
        threading.Thread(target=self.gone.set).start()

    def watch(self, engine: str) -> None:
        """Looks every few seconds whether anything still listens at the engine's address."""
        host, _, port = engine.rpartition(":")
        threading.Thread(target=self._run, args=(host, int(port)), daemon=True, name="engine-watch").start()

    def _run(self, host: str, port: int) -> None:
        while not self.gone.is_set():
            time.sleep(_WATCH_INTERVAL_S)
            try:
                socket.create_connection((host, port), timeout=_WATCH_INTERVAL_S).close()
            except ConnectionRefusedError:
                self.gone.set()
            except OSError:
                continue
