"""An emulated provider as an engine calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from cohost.local.bridge.wire import to_dict, to_struct
from cohost.provider.protocol import provider_pb2, status_pb2


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
class Calls:
    """A provider as an engine calls it."""

    stub: Any

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

    def _found(self, urn: str, answer: Any) -> Recorded | None:
        return Recorded(urn, answer.id, to_dict(answer.inputs), to_dict(answer.properties)) if answer.id else None
