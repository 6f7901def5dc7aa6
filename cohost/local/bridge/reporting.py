"""Errors of a handler as the statuses the engine understands."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage

from cohost.errors import CohostError
from cohost.local.bridge.resource import Gone
from cohost.local.bridge.wire import to_struct
from cohost.provider.protocol import provider_pb2, status_pb2

log = logging.getLogger(__name__)


class Unfinished(CohostError):
    """A creation or an update failed halfway; its inputs are recorded with the reason, as the real provider does.

    Attributes:
        resource_id: The resource.
        state: What to record of it.
        inputs: The inputs to record.
    """

    def __init__(self, resource_id: str, state: dict[str, Any], inputs: dict[str, Any], reason: str) -> None:
        super().__init__(reason)
        self.resource_id = resource_id
        self.state = state
        self.inputs = inputs


def reported(handler: Callable[[Any, Any], Any]) -> Any:
    """Gives a handler the form gRPC calls, errors turned into statuses with a message for the user."""

    @functools.wraps(handler)
    def call(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return handler(self, request)
        except Unfinished as error:
            status, message = grpc.StatusCode.UNKNOWN, _message(handler, request, error)
            context.set_trailing_metadata((("grpc-status-details-bin", _details(error, message)),))
        except NotImplementedError as error:
            status, message = grpc.StatusCode.UNIMPLEMENTED, str(error)
        except (*self.failures, ValueError, Gone) as error:
            status, message = grpc.StatusCode.UNKNOWN, _message(handler, request, error)
        except Exception as error:
            log.exception("%s", handler.__name__)
            status, message = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
        return context.abort(status, message)

    return call


def _message(handler: Callable[..., Any], request: Any, error: Exception) -> str:
    subject = getattr(request, "urn", "") or getattr(request, "tok", "")
    return f"{handler.__name__.lower()} {subject}: {error}" if subject else str(error)


def _details(error: Unfinished, message: str) -> bytes:
    """Packs ErrorResourceInitFailed as gRPC's details of a status."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.resource_id,
        properties=to_struct(error.state),
        inputs=to_struct(error.inputs),
        reasons=[message],
    )
    packed = AnyMessage()
    packed.Pack(detail)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[packed])
    return status.SerializeToString()
