"""Notes every call that a provider's process serves, in the file that CALL_LOG names, and in that of REQUEST_LOG what
it sends by `requests`, which is how our provider calls Google.

Python imports this module by its name at the start of each process that has this folder in PYTHONPATH: the
providers need to know nothing of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import grpc
import requests
from google.protobuf import json_format

SERVICE = "/pulumirpc.ResourceProvider/"
CONSTRUCTOR = grpc.server
SEND = requests.Session.send


def note(log: str, entry: dict[str, Any]) -> None:
    # One write of a file opened for appending: lines of several processes do not mix.
    with open(log, "ab", buffering=0) as file:  # noqa: PTH123
        file.write((json.dumps(entry) + "\n").encode())


class Noting(grpc.ServerInterceptor):
    def __init__(self, log: str) -> None:
        self.log = log

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(SERVICE):
            return handler
        method = handler_call_details.method.removeprefix(SERVICE)

        def serve(request: Any, context: grpc.ServicerContext) -> Any:
            note(self.log, {"method": method, **json_format.MessageToDict(request)})
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(serve, handler.request_deserializer, handler.response_serializer)


def server(*arguments: Any, **options: Any) -> grpc.Server:
    interceptors = [Noting(os.environ["CALL_LOG"]), *(options.pop("interceptors", None) or ())]
    return CONSTRUCTOR(*arguments, interceptors=interceptors, **options)


def send(self: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
    # What is sent as a stream is no JSON, and not noted.
    body = request.body.decode(errors="replace") if isinstance(request.body, bytes) else request.body
    entry = {"method": request.method, "url": request.url, "body": body if isinstance(body, str) else ""}
    note(os.environ["REQUEST_LOG"], entry)
    return SEND(self, request, **kwargs)


if "CALL_LOG" in os.environ:
    grpc.server = server
if "REQUEST_LOG" in os.environ:
    requests.Session.send = send
