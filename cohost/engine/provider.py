"""One provider process and its calls, in the engine's own values.

The protocol: pulumi/pulumi, proto/pulumi/provider.proto; what the engine sends: pkg/resource/plugin/provider_plugin.go.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from cohost.engine.model import Launch
from cohost.engine.processes import Processes, forward
from cohost.engine.state import PROVIDER_PREFIX, ResourceState
from cohost.engine.values import (
    Properties,
    from_struct,
    has_secret,
    keep_secrets,
    reveal,
    to_struct,
)
from cohost.errors import CohostError

GRPC_OPTIONS: Final = [
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.max_send_message_length", 400 << 20),
    # What is left of a resource that failed half-way comes as metadata, which gRPC would cut at 16 KiB; 16 MiB is
    # what the real engine takes (grpc-go, defaultClientMaxHeaderListSize).
    ("grpc.max_metadata_size", 16 << 20),
    ("grpc.absolute_max_metadata_size", 16 << 20),
    # Providers are on this machine; gRPC would ask a configured proxy for them.
    ("grpc.enable_http_proxy", 0),
]
_START_S: Final = 120.0
_REPLACING: Final = {
    provider_pb2.PropertyDiff.ADD_REPLACE,
    provider_pb2.PropertyDiff.DELETE_REPLACE,
    provider_pb2.PropertyDiff.UPDATE_REPLACE,
}
_T = TypeVar("_T")


class ProviderError(CohostError):
    """A provider refused or failed a call; the message is its own."""


class InitError(ProviderError):
    """A call that left something behind: a resource that exists but is not ready."""

    def __init__(self, detail: provider_pb2.ErrorResourceInitFailed) -> None:
        self.id = detail.id
        self.outputs = from_struct(detail.properties)
        self.inputs = from_struct(detail.inputs) if detail.HasField("inputs") else None
        self.reasons = tuple(detail.reasons)
        super().__init__("; ".join(self.reasons) or "the resource is not ready")


@dataclass(frozen=True)
class Diff:
    """A provider's answer to old and new inputs.

    Attributes:
        changed: Whether anything differs.
        replace: Whether the difference needs a new resource.
        delete_first: Whether the old one must go before the new one comes.
        keys: The top-level properties that differ.
        paths: The property paths that differ, for people.
    """

    changed: bool
    replace: bool = False
    delete_first: bool = False
    keys: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """A resource as it really is; an empty id means it is gone. `inputs` is None where the provider tells none."""

    id: str
    inputs: Properties | None
    outputs: Properties
    init_errors: tuple[str, ...] = ()


class Provider:
    """A started provider process."""

    def __init__(
        self, package: str, launch: Launch, processes: Processes, engine: str, log: Callable[[str], None]
    ) -> None:
        """Starts the process and shakes hands.

        Args:
            package: The package it serves, for messages.
            launch: How to start it.
            processes: What ends it.
            engine: Address of the engine service it may log to.
            log: Takes each line that it writes.

        Raises:
            CohostError: It did not start.
        """
        self.package = package
        port = start(f"provider {package}", launch, processes, log)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=GRPC_OPTIONS)
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self._secrets = self._shake_hands(engine, str(launch.cwd))

    def _shake_hands(self, engine: str, folder: str) -> bool:
        """Tells the provider where the engine is; whether it takes secrets as such."""
        request = provider_pb2.ProviderHandshakeRequest(
            engine_address=engine,
            root_directory=folder,
            program_directory=folder,
            configure_with_urn=True,
            invoke_with_preview=True,
        )
        try:
            answer = self._stub.Handshake(request, timeout=_START_S, wait_for_ready=True)
        except grpc.RpcError as error:
            raise ProviderError(f"provider {self.package} does not answer: {error.details()}") from error
        return answer.accept_secrets

    def check_config(self, urn: str, old: Properties | None, inputs: Properties) -> dict[str, Any]:
        """The configuration as the provider completes it; compared with a former one.

        Raises:
            ProviderError: It is refused, or the change would replace every resource.
        """
        names, wire, was = self._config_names(urn), to_struct(inputs), to_struct(old or {})
        answer = self._optional(self._stub.CheckConfig, provider_pb2.CheckRequest(**names, olds=was, news=wire))
        if answer is not None:
            if answer.failures:
                raise ProviderError("; ".join(_failure(f) for f in answer.failures))
            wire = answer.inputs
        if old is not None:
            request = provider_pb2.DiffRequest(**names, olds=was, old_inputs=was, news=wire)
            diff = self._optional(self._stub.DiffConfig, request)
            if diff is not None and diff.replaces:
                keys = ", ".join(diff.replaces)
                raise ProviderError(
                    f"another {keys} of provider {self.package} replaces all its resources, which the embedded engine "
                    "does not do: destroy the stack first"
                )
        return from_struct(wire)

    def configure(self, urn: str, id: str, inputs: Properties) -> None:
        """Gives the provider its configuration, before any call of a resource.

        Raises:
            ProviderError: The provider refuses it.
        """
        variables = {
            f"{self.package}:config:{key}": _text(reveal(value)) for key, value in inputs.items() if key != "version"
        }
        self._call(
            self._stub.Configure,
            provider_pb2.ConfigureRequest(
                **self._config_names(urn), id=id, variables=variables, args=to_struct(inputs), acceptSecrets=True,
                acceptResources=True, sends_old_inputs=True, sends_old_inputs_to_delete=True,
            ),
        )  # fmt: skip

    def _config_names(self, urn: str) -> dict[str, Any]:
        return {"urn": urn, "name": urn.split("::", 3)[3], "type": f"{PROVIDER_PREFIX}{self.package}"}

    def check(self, new: ResourceState, olds: Properties | None, news: Properties) -> tuple[dict[str, Any], list[str]]:
        """The inputs as the provider completes them, and what is wrong with them."""
        answer = self._call(
            self._stub.Check,
            provider_pb2.CheckRequest(
                **_names(new), olds=self._wire(olds or {}), news=self._wire(news), randomSeed=os.urandom(32)
            ),
        )
        return self._values(answer.inputs, news), [_failure(failure) for failure in answer.failures]

    def diff(self, old: ResourceState, news: Properties, ignored: tuple[str, ...], *, urn: str = "") -> Diff:
        """What a change from the old state to new inputs means; `urn` is the new one of an aliased resource."""
        names = _names(old) if not urn else {"urn": urn, "name": urn.split("::", 3)[3], "type": old.type}
        answer = self._call(
            self._stub.Diff,
            provider_pb2.DiffRequest(
                **names, id=old.id, olds=self._wire(old.outputs), old_inputs=self._wire(old.inputs),
                news=self._wire(news), ignoreChanges=ignored,
            ),
        )  # fmt: skip
        detailed = dict(answer.detailedDiff)
        replacing = any(change.kind in _REPLACING for change in detailed.values())
        keys = tuple(answer.diffs) or tuple(sorted({*answer.replaces}))
        return Diff(
            changed=answer.changes == provider_pb2.DiffResponse.DIFF_SOME,
            replace=bool(answer.replaces) or replacing,
            delete_first=answer.deleteBeforeReplace,
            keys=keys,
            paths=tuple(sorted(detailed)) or keys,
        )

    def create(self, new: ResourceState, *, preview: bool) -> tuple[str, dict[str, Any]]:
        """Makes the resource: its id (empty in a preview) and outputs."""
        answer = self._call(
            self._stub.Create,
            provider_pb2.CreateRequest(
                **_names(new), properties=self._wire(new.inputs), preview=preview,
                timeout=new.custom_timeouts.get("create", 0),
            ),
        )  # fmt: skip
        if not answer.id and not preview:
            raise ProviderError("the provider gave no id for what it created")
        return answer.id, self._values(answer.properties, new.inputs)

    def update(self, old: ResourceState, new: ResourceState, *, preview: bool) -> dict[str, Any]:
        """Changes the resource in place: its outputs."""
        answer = self._call(
            self._stub.Update,
            provider_pb2.UpdateRequest(
                **_names(new), id=old.id, olds=self._wire(old.outputs), old_inputs=self._wire(old.inputs),
                news=self._wire(new.inputs), preview=preview, ignoreChanges=new.ignore_changes,
                timeout=new.custom_timeouts.get("update", 0),
            ),
        )  # fmt: skip
        return self._values(answer.properties, new.inputs)

    def delete(self, old: ResourceState) -> None:
        """Removes the resource."""
        self._call(
            self._stub.Delete,
            provider_pb2.DeleteRequest(
                **_names(old), id=old.id, properties=self._wire(old.outputs), old_inputs=self._wire(old.inputs),
                timeout=old.custom_timeouts.get("delete", 0),
            ),
        )  # fmt: skip

    def read(self, resource: ResourceState, id: str) -> Read:
        """The resource as it is; without inputs and outputs in `resource` it is an import."""
        request = provider_pb2.ReadRequest(
            **_names(resource), id=id, properties=self._wire(resource.outputs),
            timeout=resource.custom_timeouts.get("read", 0),
        )  # fmt: skip
        if resource.id:
            request.inputs.CopyFrom(self._wire(resource.inputs))
        try:
            answer = self._call(self._stub.Read, request)
        except InitError as error:
            return Read(error.id, error.inputs, error.outputs, error.reasons)
        inputs = self._values(answer.inputs, resource.inputs) if answer.HasField("inputs") else None
        return Read(answer.id, inputs, self._values(answer.properties, resource.outputs))

    def invoke(self, request: provider_pb2.InvokeRequest) -> provider_pb2.InvokeResponse:
        """A function of the provider, for the program; arguments in the clear where it takes no secrets."""
        if not self._secrets:
            request.args.CopyFrom(to_struct(from_struct(request.args), secrets=False))
        return self._call(self._stub.Invoke, request)

    def cancel(self) -> None:
        """Asks it to stop what it does."""
        self._optional(self._stub.Cancel, empty_pb2.Empty(), timeout=5)

    def close(self) -> None:
        """Closes the connection; the process is ended by `Processes`."""
        self._channel.close()

    def _wire(self, properties: Properties) -> Any:
        return to_struct(properties, secrets=self._secrets)

    def _values(self, struct: Any, given: Properties) -> dict[str, Any]:
        values = from_struct(struct)
        return values if self._secrets or not has_secret(given) else keep_secrets(values, given)

    def _call(self, method: Callable[..., _T], request: object) -> _T:
        try:
            return method(request)
        except grpc.RpcError as error:
            raise _translate(error, self.package) from error

    def _optional(self, method: Callable[..., _T], request: object, **options: Any) -> _T | None:
        try:
            return method(request, **options)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DEADLINE_EXCEEDED):
                return None
            raise _translate(error, self.package) from error


def start(what: str, launch: Launch, processes: Processes, log: Callable[[str], None]) -> int:
    """Starts the process of a provider or a policy pack, called `what` in messages; the port it serves.

    Raises:
        ProviderError: It does not come up; its last words are in the message.
    """
    try:
        process = processes.start(launch.command, cwd=launch.cwd, env=launch.env)
    except OSError as error:
        raise ProviderError(f"{what} cannot be started: {error}") from error
    assert process.stdout is not None
    last: list[str] = []

    def keep(line: str) -> None:
        last[:] = [*last[-20:], line]
        log(line)

    errors = forward(process.stderr, keep)
    timer = threading.Timer(_START_S, process.kill)
    timer.start()
    line = process.stdout.readline().strip()
    timer.cancel()
    if not line.isdigit():
        processes.end(process)
        errors.join(1)
        said = "\n".join([line, *last]).strip()
        raise ProviderError(f"{what} did not print its port; it said: {said or 'nothing'}")
    forward(process.stdout, log)
    return int(line)


def _translate(error: Any, package: str) -> ProviderError:
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if packed:
        for detail in status_pb2.Status.FromString(packed).details:
            partial = provider_pb2.ErrorResourceInitFailed()
            if detail.Unpack(partial):
                return InitError(partial)
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        return ProviderError(f"the process of provider {package} ended: {error.details()}")
    return ProviderError(error.details() or "no reason given")


def _names(resource: ResourceState) -> dict[str, Any]:
    return {"urn": resource.urn, "name": resource.name, "type": resource.type}


def _failure(failure: provider_pb2.CheckFailure) -> str:
    return f"{failure.property}: {failure.reason}" if failure.property else failure.reason


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
