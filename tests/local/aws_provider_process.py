"""The emulated aws provider as a process of its own, called as an engine calls it, in front of the real emulators."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from cohost.local.aws_provider.wire import to_dict, to_struct
from cohost.provider.protocol import provider_pb2, provider_pb2_grpc, status_pb2
from tests.local.cloud import REGION, Cloud


class Failed(Exception):
    """A call failed; `left` is what the engine is told to record all the same."""

    def __init__(self, error: grpc.RpcError) -> None:
        assert isinstance(error, grpc.Call)
        super().__init__(error.details())
        self.code = error.code()
        self.left: Any = None
        metadata: Any = error.trailing_metadata() or ()
        for key, value in metadata:
            if key == "grpc-status-details-bin":
                self.left = provider_pb2.ErrorResourceInitFailed()
                assert status_pb2.Status.FromString(value).details[0].Unpack(self.left)


@dataclass
class Recorded:
    """A resource as an engine records it."""

    urn: str
    id: str
    inputs: dict[str, Any]
    state: dict[str, Any]


@dataclass(frozen=True)
class Provider:
    """The provider as an engine calls it."""

    stub: Any
    cloud: Cloud
    folder: Path

    def call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.stub, method)(request)
        except grpc.RpcError as error:
            raise Failed(error) from error

    def check(self, urn: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
        request = provider_pb2.CheckRequest(urn=urn, olds=to_struct(dict(olds)), news=to_struct(dict(news)))
        answer = self.call("Check", request)
        assert not answer.failures
        return to_dict(answer.inputs)

    def create(self, token: str, inputs: Mapping[str, Any], *, preview: bool = False) -> Recorded:
        urn = f"urn:pulumi:s::p::{token}::thing"
        checked = self.check(urn, {}, inputs)
        request = provider_pb2.CreateRequest(urn=urn, properties=to_struct(checked), preview=preview)
        answer = self.call("Create", request)
        return Recorded(urn, answer.id, checked, to_dict(answer.properties))

    def changes(self, known: Recorded, news: Mapping[str, Any]) -> dict[str, str]:
        """Path -> kind of change."""
        answer = self.call(
            "Diff",
            provider_pb2.DiffRequest(
                urn=known.urn,
                id=known.id,
                olds=to_struct(known.state),
                old_inputs=to_struct(known.inputs),
                news=to_struct(self.check(known.urn, known.inputs, news)),
            ),
        )
        assert (answer.changes == provider_pb2.DiffResponse.DIFF_SOME) == bool(answer.detailedDiff)
        return {path: provider_pb2.PropertyDiff.Kind.Name(d.kind) for path, d in answer.detailedDiff.items()}

    def update(self, known: Recorded, news: Mapping[str, Any]) -> Recorded:
        checked = self.check(known.urn, known.inputs, news)
        request = provider_pb2.UpdateRequest(
            urn=known.urn,
            id=known.id,
            olds=to_struct(known.state),
            old_inputs=to_struct(known.inputs),
            news=to_struct(checked),
        )
        answer = self.call("Update", request)
        return Recorded(known.urn, known.id, checked, to_dict(answer.properties))

    def refresh(self, known: Recorded) -> Recorded | None:
        request = provider_pb2.ReadRequest(
            urn=known.urn, id=known.id, properties=to_struct(known.state), inputs=to_struct(known.inputs)
        )
        return self._found(known.urn, self.call("Read", request))

    def imported(self, urn: str, import_id: str) -> Recorded | None:
        return self._found(urn, self.call("Read", provider_pb2.ReadRequest(urn=urn, id=import_id)))

    def delete(self, known: Recorded) -> None:
        request = provider_pb2.DeleteRequest(urn=known.urn, id=known.id, properties=to_struct(known.state))
        self.call("Delete", request)

    def limit(self, limits: Mapping[str, Mapping[str, int]]) -> None:
        """Sets what the emulated account may have and the region has to give."""
        (self.folder / "limits.json").write_text(json.dumps(limits))

    def _found(self, urn: str, answer: Any) -> Recorded | None:
        return Recorded(urn, answer.id, to_dict(answer.inputs), to_dict(answer.properties)) if answer.id else None


@contextmanager
def running(folder: Path) -> Iterator[Provider]:
    """Starts both emulators, with their state in a folder, and the provider; ends them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    processes: list[subprocess.Popen[str]] = []

    def start(module: str, *arguments: str) -> str:
        command = [sys.executable, "-m", f"cohost.local.{module}", *arguments]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline()

    def serve(module: str, *arguments: str) -> str:
        line = start(module, "--state", str(folder), "--port", "0", *arguments)
        return f"http://127.0.0.1:{json.loads(line)['port']}"

    try:
        aws = serve("aws")
        sagemaker = serve("sagemaker", "--aws-url", aws)
        key = json.loads((folder / "credentials.json").read_text())
        variables = {
            "AWS_ENDPOINT_URL": aws,
            "AWS_ENDPOINT_URL_SAGEMAKER": sagemaker,
            "AWS_ACCESS_KEY_ID": key["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": key["secret_access_key"],
            "AWS_REGION": REGION,
        }
        environment |= variables
        with grpc.insecure_channel(f"127.0.0.1:{int(start('aws_provider'))}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            stub.Configure(provider_pb2.ConfigureRequest())
            yield Provider(stub, Cloud(variables), folder)
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=60)
