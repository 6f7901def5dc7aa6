"""SageMaker's InvokeEndpoint on a multi-model endpoint that runs Triton.

Sources: API reference of InvokeEndpoint and of its errors; botocore's `sagemaker-runtime` service model,
whose words on each error say whether to try again; content types: `src/sagemaker_server.cc` of
triton-inference-server/server.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import quote

from numpy.typing import NDArray

from cohost.client.errors import (
    AccessDenied,
    BadInput,
    ModelNotReady,
    PredictionError,
    Retry,
    ServerError,
    Throttled,
    UnknownModel,
)
from cohost.client.signing import AwsRuntime
from cohost.client.tensors import Arrays, decode, encode
from cohost.client.transport import DEFAULT_TIMEOUT, Connections, Reply, with_retries
from cohost.client.triton import error_text
from cohost.manifest import is_digest
from cohost.release import target

CONTENT_TYPE: Final = "application/vnd.sagemaker-triton.binary+json;json-header-size="

_HEADER_SIZE: Final = re.compile(r"json-header-size=(\d+)")
_THROTTLED: Final = {"ThrottlingException", "Throttling", "TooManyRequestsException"}
_DENIED: Final = {
    "AccessDeniedException",
    "AccessDenied",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


class SageMakerTransport:
    """Calls one endpoint; a model's target is the key of its archive below the endpoint's model prefix."""

    def __init__(
        self,
        endpoint: str,
        region: str | None = None,
        *,
        endpoint_url: str | None = None,
        credentials: Any = None,
    ) -> None:
        """Prepares connections and credentials; calls nothing yet.

        Args:
            endpoint: The endpoint's name.
            region: Its region; None = as the environment says.
            endpoint_url: The runtime's URL; None = as botocore resolves it (`AWS_ENDPOINT_URL_…` included).
            credentials: botocore's credentials; None = those of the environment.

        Raises:
            PredictionError: There is no region, or botocore refuses the configuration.
        """
        self._runtime = AwsRuntime(region, endpoint_url=endpoint_url, credentials=credentials)
        self._connections = Connections(self._runtime.url, ca_bundle=self._runtime.ca_bundle)
        self._path = f"/endpoints/{quote(endpoint, safe='')}/invocations"

    def target(self, model: str, version: str) -> str:
        """The TargetModel of a model at a version, which is the digest of an artifact.

        Raises:
            UnknownModel: `version` is no digest.
        """
        if not is_digest(version):
            raise UnknownModel(f"version {version!r} of {model!r} is not an artifact's digest (64 hex digits)")
        return target(model, version)

    def infer(self, target: str, inputs: Arrays, *, timeout: float = DEFAULT_TIMEOUT) -> dict[str, NDArray[Any]]:
        """See `Transport.infer`; `target` is a TargetModel. While SageMaker loads the model, it waits."""
        body, header_size = encode(inputs)
        headers = {
            "Content-Type": f"{CONTENT_TYPE}{header_size}",
            "X-Amzn-SageMaker-Target-Model": target,
        }

        def attempt(seconds: float) -> dict[str, NDArray[Any]]:
            signed = self._runtime.sign("POST", self._path, body, headers)
            reply = self._connections.send("POST", self._path, body=body, headers=signed, timeout=seconds)
            if reply.status != 200:
                raise _error(reply, target)
            size = _HEADER_SIZE.search(reply.headers.get("Content-Type", ""))
            return decode(reply.body, int(size[1]) if size else None)

        return with_retries(attempt, timeout)

    def close(self) -> None:
        """See `Transport.close`."""
        self._connections.close()


def _error(reply: Reply, target: str) -> PredictionError:
    """The error of a response, with `retry` where SageMaker's own words say to try again."""
    document = _document(reply.body)
    code = _code(reply, document)
    message = str(document.get("message") or document.get("Message") or reply.body[:500].decode(errors="replace"))
    words = f"{code}: {message}"
    if code == "ModelNotReadyException":
        return ModelNotReady(f"{target}: {words}", retry=Retry.UNTIL_DEADLINE)
    if code in _THROTTLED:
        return Throttled(words, retry=Retry.UNTIL_DEADLINE)
    if code in ("ServiceUnavailable", "ServiceUnavailableException"):
        return ServerError(words, retry=Retry.UNTIL_DEADLINE)
    if code == "ModelError":
        return _model_error(document, target)
    if code in ("ValidationError", "ValidationException"):
        return _validation_error(message, target)
    if code in _DENIED:
        return AccessDenied(words)
    if reply.status == 413:
        return BadInput(f"the request is too large for SageMaker: {words}")
    request = reply.headers.get("x-amzn-RequestId", "none")
    return ServerError(f"{words} (HTTP {reply.status}, request id {request})")


def _model_error(document: dict[str, Any], target: str) -> PredictionError:
    """An error of the container itself: Triton's own words and status."""
    status = int(document.get("OriginalStatusCode") or 500)
    message = str(document.get("OriginalMessage") or document.get("Message") or "")
    words = error_text(message.encode())
    # Triton answers 400 to a model that it cannot load, too; that is not the caller's fault.
    if "failed to load" in words or "load failed" in words:
        return ServerError(f"{target} cannot be loaded: {words}")
    if 400 <= status < 500:
        return BadInput(f"{target}: {words}")
    return ServerError(f"{target}: HTTP {status} from the model: {words}")


def _validation_error(message: str, target: str) -> PredictionError:
    if "Failed to download model data" in message:
        return UnknownModel(f"{target}: {message}")
    if re.search(r"[Ee]ndpoint .* not found", message):
        return ServerError(message)
    return BadInput(f"{target}: {message}")


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _code(reply: Reply, document: dict[str, Any]) -> str:
    """The error's code, from where the AWS REST-JSON protocol puts it, without namespace and address.

    Source: smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html, "Operation error serialization".
    """
    code = reply.headers.get("x-amzn-ErrorType") or document.get("code") or document.get("__type")
    if not code:
        return {429: "ThrottlingException", 503: "ServiceUnavailable"}.get(reply.status, f"HTTP {reply.status}")
    return str(code).partition(":")[0].rpartition("#")[2]
