"""Running an emulated provider: it prints its port on the first line, and serves until SIGTERM."""

from __future__ import annotations

import argparse
import logging
from concurrent import futures

import grpc

from cohost.local import process
from cohost.local.bridge.servicer import BridgedProvider
from cohost.provider.protocol import provider_pb2_grpc

_MESSAGE_BYTES = 400 * 1024 * 1024  # as the engine's own limit


def serve(provider: BridgedProvider, description: str) -> None:
    """Reads the command line and serves.

    Args:
        provider: The provider.
        description: What it is, for --help.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port on 127.0.0.1; 0 = any free one")
    # The engine passes the address of its own service.
    arguments, _ = parser.parse_known_args()
    # Of the cloud's client, only what is wrong: the engine shows this log to the user.
    process.log_to_stderr(logging.WARNING)
    ended = process.on_termination()
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=32),
        options=[("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port(f"{process.LOOPBACK}:{arguments.port}")
    server.start()
    print(port, flush=True)
    ended.wait()
    server.stop(grace=None).wait()
