"""Messages to the user, through the engine that started this process."""

from __future__ import annotations

import sys
from typing import Final

import grpc

from cohost.provider.protocol import engine_pb2, engine_pb2_grpc

_SEVERITY: Final = {
    "info": engine_pb2.INFO,
    "warning": engine_pb2.WARNING,
}
_TIMEOUT_S: Final = 5.0


class EngineLog:
    """The engine's log, or standard error while no engine is known."""

    def __init__(self) -> None:
        self._stub: engine_pb2_grpc.EngineStub | None = None
        self._address = ""

    def connect(self, address: str) -> None:
        """Uses the engine at `address` ("127.0.0.1:4711") from now on."""
        if address and address != self._address:
            self._address = address
            # The engine is on this machine; gRPC would ask a configured proxy for it.
            channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
            self._stub = engine_pb2_grpc.EngineStub(channel)

    def __call__(self, severity: str, message: str, *, urn: str, ephemeral: bool) -> None:
        """Shows a message; one that cannot be shown never ends an operation."""
        if self._stub is None:
            print(f"{severity}: {message}", file=sys.stderr)
            return
        request = engine_pb2.LogRequest(severity=_SEVERITY[severity], message=message, urn=urn, ephemeral=ephemeral)
        try:
            self._stub.Log(request, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            print(f"{severity}: {message} (not shown: {error})", file=sys.stderr)
