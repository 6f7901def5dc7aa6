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

import grpc

from cohost.provider.protocol import provider_pb2, provider_pb2_grpc
from tests.local.cloud import REGION, Cloud
from tests.local.provider_calls import Calls


@dataclass(frozen=True)
class Provider(Calls):
    """The provider as an engine calls it."""

    cloud: Cloud
    folder: Path

    def limit(self, limits: Mapping[str, Mapping[str, int]]) -> None:
        """Sets what the emulated account may have and the region has to give."""
        (self.folder / "limits.json").write_text(json.dumps(limits))


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
