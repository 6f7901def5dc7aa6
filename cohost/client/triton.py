"""A plain Triton server, or any other of the V2 inference protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from numpy.typing import NDArray

from cohost.client.errors import BadInput, ModelNotReady, PredictionError, Retry, ServerError, UnknownModel
from cohost.client.tensors import Arrays, decode, encode
from cohost.client.transport import DEFAULT_TIMEOUT, Connections, Reply, with_retries

_HEADER_SIZE: Final = "Inference-Header-Content-Length"


class TritonTransport:
    """Calls `POST /v2/models/<target>/infer`; a model's target is its name."""

    def __init__(self, url: str) -> None:
        """Prepares connections to a server.

        Args:
            url: "http://host:port", with a path before `/v2` where there is one.
        """
        self._connections = Connections(url)
        self._path = urlsplit(url).path.rstrip("/")

    def target(self, model: str, version: str) -> str:
        """Always fails: one server's versions are not this project's artifacts."""
        raise UnknownModel(f"a plain Triton server serves no version but the active one of {model!r}")

    def infer(self, target: str, inputs: Arrays, *, timeout: float = DEFAULT_TIMEOUT) -> dict[str, NDArray[Any]]:
        """See `Transport.infer`."""
        body, header_size = encode(inputs)
        headers = {"Content-Type": "application/octet-stream", _HEADER_SIZE: str(header_size)}
        path = f"{self._path}/v2/models/{quote(target, safe='')}"

        def attempt(seconds: float) -> dict[str, NDArray[Any]]:
            reply = self._connections.send("POST", f"{path}/infer", body=body, headers=headers, timeout=seconds)
            if reply.status == 200:
                size = reply.headers.get(_HEADER_SIZE)
                return decode(reply.body, int(size) if size else None)
            error = _error(reply)
            if isinstance(error, BadInput):
                raise BadInput(f"{error}{self._expected(path, seconds)}")
            raise error

        return with_retries(attempt, timeout)

    def close(self) -> None:
        """See `Transport.close`."""
        self._connections.close()

    def _expected(self, path: str, seconds: float) -> str:
        """The model's inputs as its server describes them, or nothing where it does not."""
        try:
            reply = self._connections.send("GET", path, body=None, headers={}, timeout=seconds)
            inputs = json.loads(reply.body)["inputs"]
            return "; expected: " + ", ".join(describe(tensor) for tensor in inputs)
        except (PredictionError, ValueError, KeyError, TypeError):
            return ""


def describe(tensor: Mapping[str, Any]) -> str:
    """A tensor of a model's metadata in one phrase: "pixels FP32 [-1, 64]"."""
    shape = ", ".join(map(str, tensor["shape"]))
    return f"{tensor['name']} {tensor['datatype']} [{shape}]"


def error_text(body: bytes) -> str:
    """Triton's words from the body of an error, without the request id that nobody gave."""
    try:
        words = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        words = body[:2000].decode(errors="replace").strip()
    return re.sub(r"^\[request id: [^]]*\] *", "", words)


def _error(reply: Reply) -> PredictionError:
    words = error_text(reply.body)
    if reply.status == 404 or "unknown model" in words:
        return UnknownModel(words)
    if "is not ready" in words:
        return ModelNotReady(words, retry=Retry.UNTIL_DEADLINE)
    if reply.status in (400, 413):
        return BadInput(words)
    retry = Retry.UNTIL_DEADLINE if reply.status == 503 else Retry.NEVER
    return ServerError(f"HTTP {reply.status}: {words}", retry=retry)
