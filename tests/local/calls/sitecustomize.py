"""Notes every call that a provider's process serves, in the file that CALL_LOG names.

Python imports this module by its name at the start of each process that has this folder in PYTHONPATH: the
providers need to know nothing of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import json_format

SERVICE = "/pulumirpc.ResourceProvider/"
CONSTRUCTOR = grpc.server


class Noting(grpc.ServerInterceptor):
    def __init__(self, log: str) -> None:
        self.log = log

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(SERVICE):
            return handler
        method = handler_call_details.method.removeprefix(SERVICE)

        def serve(request: Any, context: grpc.ServicerContext) -> Any:
            line = json.dumps({"method": method, **json_format.MessageToDict(request)}) + "\n"
            # One write of a file opened for appending: lines of several processes do not mix.
            with open(self.log, "ab", buffering=0) as file:  # noqa: PTH123
                file.write(line.encode())
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(serve, handler.request_deserializer, handler.response_serializer)


def server(*arguments: Any, **options: Any) -> grpc.Server:
    interceptors = [Noting(os.environ["CALL_LOG"]), *(options.pop("interceptors", None) or ())]
    return CONSTRUCTOR(*arguments, interceptors=interceptors, **options)


if "CALL_LOG" in os.environ:
    grpc.server = server
