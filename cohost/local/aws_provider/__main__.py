"""Runs the provider: `python -m cohost.local.aws_provider [--port N]` prints its port on the first line."""

from __future__ import annotations

import argparse
import logging
from concurrent import futures

import grpc

from cohost.local import process
from cohost.local.aws_provider.servicer import AwsProvider
from cohost.provider.protocol import provider_pb2_grpc

_MESSAGE_BYTES = 400 * 1024 * 1024  # as the engine's own limit


def main() -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(description="Pulumi's aws provider, for the local emulators")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port on 127.0.0.1; 0 = any free one")
    # The engine passes the address of its own service.
    arguments, _ = parser.parse_known_args()
    # Of boto3, only what is wrong: the engine shows this log to the user.
    process.log_to_stderr(logging.WARNING)
    ended = process.on_termination()
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=32),
        options=[("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(AwsProvider(), server)
    port = server.add_insecure_port(f"{process.LOOPBACK}:{arguments.port}")
    server.start()
    print(port, flush=True)
    ended.wait()
    server.stop(grace=None).wait()


if __name__ == "__main__":
    main()
