"""The provider plugin as an engine starts it: its own process, its port on the first line, gRPC from then on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

CHECKOUT = Path(__file__).resolve().parents[2]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIZE = 400 << 20
# As the real engine's: grpc-go takes 16 MB of trailing metadata, which hold the properties of a partial failure.
_OPTIONS = [
    ("grpc.max_receive_message_length", _SIZE),
    ("grpc.max_send_message_length", _SIZE),
    ("grpc.max_metadata_size", 16 << 20),
    ("grpc.absolute_max_metadata_size", 16 << 20),
]


def secret(value: Any) -> dict[str, Any]:
    """A secret as it goes over the wire."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


def struct(values: Mapping[str, Any] | None) -> struct_pb2.Struct:
    return json_format.ParseDict(dict(values or {}), struct_pb2.Struct())


def plain(message: struct_pb2.Struct) -> dict[str, Any]:
    return json_format.MessageToDict(message)


@dataclass
class Refused(Exception):
    """A call that failed.

    Attributes:
        message: What the user reads.
        partial: What the resource is in spite of it: id and outputs; None where nothing was made.
    """

    message: str
    partial: tuple[str, dict[str, Any]] | None = None


@dataclass
class Engine(engine_pb2_grpc.EngineServicer):
    """The engine's side: takes log lines."""

    said: list[str] = field(default_factory=list)
    address: str = ""

    def Log(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        self.said.append(request.message)
        return empty_pb2.Empty()


@contextmanager
def engine() -> Iterator[Engine]:
    server, made = grpc.server(ThreadPoolExecutor(4)), Engine()
    engine_pb2_grpc.add_EngineServicer_to_server(made, server)
    made.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield made
    finally:
        server.stop(None).wait()


class Plugin:
    """A running plugin, and one resource of it under test."""

    def __init__(self, project: Path, environment: Mapping[str, str], token: str = "") -> None:
        """Starts it.

        Args:
            project: The project's folder.
            environment: What is added to this process's environment, which loses its AWS variables.
            token: Type of the resource that the calls are about.
        """
        self.token = token
        self.urn = f"urn:pulumi:test::shared-endpoint::{token}::models"
        (project / "provider").mkdir(exist_ok=True)
        for file in (CHECKOUT / "provider").glob("*.*"):
            (project / "provider" / file.name).write_bytes(file.read_bytes())
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
        self.process = subprocess.Popen(
            [sys.executable, "__main__.py"],
            cwd=project / "provider",
            env={**own, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{int(self.first_line)}", options=_OPTIONS)
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def handshake(self, address: str) -> Any:
        return self.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address=address), wait_for_ready=True)

    def configure(self, **values: Any) -> None:
        self.stub.Configure(provider_pb2.ConfigureRequest(args=struct(values), acceptSecrets=True))

    def check(self, news: Mapping[str, Any], olds: Mapping[str, Any] | None = None) -> dict[str, str]:
        """What is wrong with inputs, by property path."""
        request = provider_pb2.CheckRequest(**self._names(), olds=struct(olds), news=struct(news))
        answer = self._call(self.stub.Check, request)
        assert answer.inputs == request.news
        return {failure.property: failure.reason for failure in answer.failures}

    def diff(self, olds: Mapping[str, Any], news: Mapping[str, Any], *, ignored: tuple[str, ...] = ()) -> Any:
        request = provider_pb2.DiffRequest(
            **self._names(),
            id="id",
            olds=struct(olds),
            old_inputs=struct(olds),
            news=struct(news),
            ignoreChanges=ignored,
        )
        return self._call(self.stub.Diff, request)

    def create(
        self, inputs: Mapping[str, Any], *, preview: bool = False, timeout: float = 0
    ) -> tuple[str, dict[str, Any]]:
        """The id and the outputs; fails as `Refused`."""
        request = provider_pb2.CreateRequest(
            **self._names(), properties=struct(inputs), preview=preview, timeout=timeout
        )
        answer = self._call(self.stub.Create, request)
        return answer.id, plain(answer.properties)

    def update(self, olds: Mapping[str, Any], news: Mapping[str, Any], *, preview: bool = False) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(
            **self._names(), id="id", olds=struct(olds), old_inputs=struct(olds), news=struct(news), preview=preview
        )
        return plain(self._call(self.stub.Update, request).properties)

    def read(self, id: str, outputs: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Inputs and outputs as they really are; None = there is no such resource. Without outputs an import."""
        request = provider_pb2.ReadRequest(**self._names(), id=id, properties=struct(outputs))
        answer = self._call(self.stub.Read, request)
        return (plain(answer.inputs), plain(answer.properties)) if answer.id else None

    def delete(self, outputs: Mapping[str, Any]) -> None:
        """Deletes in a run of its own: within one, what the program has asked for stays."""
        self.configure()
        self._call(self.stub.Delete, provider_pb2.DeleteRequest(**self._names(), id="id", properties=struct(outputs)))

    def cancel(self) -> None:
        self.stub.Cancel(empty_pb2.Empty())

    def close(self) -> None:
        self._channel.close()
        self.process.kill()
        self.process.wait()

    def _names(self) -> dict[str, Any]:
        return {"urn": self.urn, "name": "models", "type": self.token}

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, wait_for_ready=True)
        except grpc.RpcError as error:
            raise _refused(error) from error


@contextmanager
def plugin(project: Path, environment: Mapping[str, str], token: str = "", *, engine: str = "") -> Iterator[Plugin]:
    """A plugin, ended afterwards; it logs to the engine at the address, if any."""
    started = Plugin(project, environment, token)
    try:
        if engine:
            started.handshake(engine)
        started.configure()
        yield started
    finally:
        started.close()


def _refused(error: Any) -> Refused:
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    detail = provider_pb2.ErrorResourceInitFailed()
    if packed and status_pb2.Status.FromString(packed).details[0].Unpack(detail):
        return Refused("; ".join(detail.reasons), (detail.id, plain(detail.properties)))
    assert error.code() == grpc.StatusCode.UNKNOWN, error
    return Refused(error.details())
