"""Vertex AI's rawPredict on an endpoint whose deployed models are Triton with a repository of many models.

Sources: "Serve predictions with NVIDIA Triton" and "Use dedicated public endpoints" (Vertex AI documentation);
headers and content types: `src/vertex_ai_server.cc` of triton-inference-server/server, and the answers of
Triton 2.51; errors: google.rpc.Status in the JSON of Google's APIs ("Errors", cloud.google.com/apis/design).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
from cohost.client.google_auth import GoogleAuthorization
from cohost.client.tensors import Arrays, decode, encode
from cohost.client.transport import DEFAULT_TIMEOUT, Connections, Reply, with_retries
from cohost.client.triton import error_text
from cohost.errors import InputError, Problem
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from cohost.vertex_endpoint import DEDICATED_BYTES, SHARED_BYTES

CONTENT_TYPE: Final = "application/vnd.vertex-ai-triton.binary+json;json-header-size="
REDIRECT: Final = "X-Vertex-Ai-Triton-Redirect"
DEPLOYED_MODEL: Final = "X-Vertex-AI-Deployed-Model-Id"
# gcloud's own property `api_endpoint_overrides/aiplatform` as a variable: each can be given as
# CLOUDSDK_<SECTION>_<PROPERTY> (cloud.google.com/sdk/docs/properties).

_ENDPOINT: Final = re.compile(r"projects/[^/]+/locations/(?P<region>[a-z0-9-]+)/endpoints/[^/:]+")
_HEADER_SIZE: Final = re.compile(r"json-header-size=(\d+)")
_PREDICT: Final = "the caller needs aiplatform.endpoints.predict (in roles/aiplatform.user)"


@dataclass(frozen=True)
class VertexReply:
    """The outputs of one call, and who answered.

    Attributes:
        outputs: Array by output name.
        deployed_model: The id of the deployed model that answered; "" where Vertex AI does not tell.
    """

    outputs: dict[str, NDArray[Any]]
    deployed_model: str


class VertexTransport:
    """Calls one endpoint; a model's target is its name. Which deployed model answers is the traffic split's choice.

    Attributes:
        url: Scheme and host of where it answers.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        dedicated_dns: str | None = None,
        private_address: str | None = None,
        credentials: Any = None,
    ) -> None:
        """Prepares connections; calls nothing and looks for no credentials yet.

        Args:
            endpoint: Full resource name, "projects/P/locations/L/endpoints/E".
            dedicated_dns: The endpoint's own DNS name, of a dedicated endpoint, which answers at no other; None = a
                shared endpoint.
            private_address: Where an endpoint by private service connect answers, "http://10.128.0.5" or "https://"
                and the name of a DNS record; its certificate, which no public authority signed, must be among those
                that this machine trusts. gcloud's CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM goes before all.
            credentials: google-auth's credentials; None = Application Default Credentials of the environment.

        Raises:
            InputError: `endpoint` is no endpoint's full name.
        """
        region = endpoint_region(endpoint)
        host = dedicated_dns or f"{region}-aiplatform.googleapis.com"
        self.url = os.environ.get(VERTEX_ENDPOINT_OVERRIDE, "").rstrip("/") or private_address or f"https://{host}"
        self._endpoint = endpoint
        self._limit = DEDICATED_BYTES if dedicated_dns or private_address else SHARED_BYTES
        self._authorization = GoogleAuthorization(credentials)
        self._connections = Connections(self.url)
        self._path = f"/v1/{quote(endpoint, safe='/:')}:rawPredict"

    def target(self, model: str, version: str) -> str:
        """Always fails: a deployed model holds one version of each model, and the traffic split chooses among them."""
        raise UnknownModel(
            f"version {version!r} of {model!r} cannot be asked for: Vertex AI reaches only the active release's models"
        )

    def infer(self, target: str, inputs: Arrays, *, timeout: float = DEFAULT_TIMEOUT) -> dict[str, NDArray[Any]]:
        """See `Transport.infer`; `target` is the model's name."""
        return self.infer_reply(target, inputs, timeout=timeout).outputs

    def infer_reply(self, target: str, inputs: Arrays, *, timeout: float = DEFAULT_TIMEOUT) -> VertexReply:
        """As `infer`, and tells which deployed model answered."""
        body, header_size = encode(inputs)
        if len(body) > self._limit:
            raise BadInput(_too_large(len(body), self._limit))
        path = f"v2/models/{quote(target, safe='')}/infer"
        reply = self._send(path, body, f"{CONTENT_TYPE}{header_size}", timeout)
        return VertexReply(decode(reply.body, _header_size(reply)), reply.headers.get(DEPLOYED_MODEL, ""))

    def read(self, path: str, *, timeout: float = DEFAULT_TIMEOUT) -> tuple[bytes, str]:
        """What Triton answers at another of its paths, on whichever replica the call comes to.

        Args:
            path: One that its Vertex AI front end takes, without a leading slash: "metrics", "v2/repository/index".
            timeout: Seconds for everything, retries included.

        Returns:
            The body, and the id of the deployed model that answered.

        Raises:
            PredictionError: As its subclasses tell.
        """
        reply = self._send(path, b"", "application/json", timeout)
        return reply.body, reply.headers.get(DEPLOYED_MODEL, "")

    def close(self) -> None:
        """See `Transport.close`."""
        self._connections.close()

    def _send(self, path: str, body: bytes, content_type: str, timeout: float) -> Reply:
        headers = {"Content-Type": content_type, REDIRECT: path}

        def attempt(seconds: float) -> Reply:
            authorization = self._authorization.headers()
            reply = self._post(body, {**headers, **authorization}, seconds)
            if reply.status == 401 and self._authorization.renew(authorization):
                reply = self._post(body, {**headers, **self._authorization.headers()}, seconds)
            if reply.status != 200:
                raise _error(reply, self._endpoint)
            return reply

        return with_retries(attempt, timeout)

    def _post(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        return self._connections.send("POST", self._path, body=body, headers=headers, timeout=seconds)


def endpoint_region(endpoint: str) -> str:
    """The region in an endpoint's full resource name.

    Raises:
        InputError: It is no such name.
    """
    found = _ENDPOINT.fullmatch(endpoint)
    if found is None:
        message = f"is {endpoint!r}; it must be projects/<project>/locations/<region>/endpoints/<id>"
        raise InputError([Problem("", "endpoint", message)])
    return found["region"]


def _too_large(size: int, limit: int) -> str:
    words = f"the request has {size:,} bytes, and Vertex AI takes {limit:,} at this kind of endpoint"
    larger = f", or deploy a dedicated endpoint, which takes {DEDICATED_BYTES:,}" if limit < DEDICATED_BYTES else ""
    return f"{words}: send fewer rows a call{larger}"


def _header_size(reply: Reply) -> int | None:
    """How many bytes of the body are the JSON header; None = all.

    Triton says so in a header of its own, not in the content type that its documentation names (2.51, executed). A
    header that is none of Google's may get lost on the way, since rawPredict's HttpBody keeps the content type alone:
    then the end of the JSON document tells.
    """
    kind = reply.headers.get("Content-Type", "")
    if kind.startswith("application/json"):
        return None
    found = _HEADER_SIZE.search(kind)
    size = found[1] if found else reply.headers.get("Inference-Header-Content-Length")
    if size and size.isdecimal():
        return int(size)
    try:
        # One character a byte, so that the document's end is counted in bytes.
        return json.JSONDecoder().raw_decode(reply.body.decode("latin-1"))[1]
    except ValueError:
        return None


def _error(reply: Reply, endpoint: str) -> PredictionError:
    """The error of a response, with whose it is where a header tells."""
    error = _kind(reply, endpoint)
    error.deployed_model = reply.headers.get(DEPLOYED_MODEL, "")
    return error


def _kind(reply: Reply, endpoint: str) -> PredictionError:
    """The error of a response of Triton, whose `error` is text, or of Google, whose `error` is a Status."""
    status = _status(reply.body)
    code, words = reply.status, _words(reply.body, status)
    if code == 429:
        return Throttled(words, retry=Retry.UNTIL_DEADLINE)
    if code in (401, 403):
        return AccessDenied(f"{endpoint}: {words}; {_PREDICT}")
    if "unknown model" in words:
        return UnknownModel(words)
    if "is not ready" in words:
        return ModelNotReady(words, retry=Retry.UNTIL_DEADLINE)
    if code == 404:
        remedy = "is it deleted? A dedicated endpoint answers at its own DNS name only"
        return ServerError(f"{endpoint}: HTTP 404: {words}; {remedy}")
    # A failed precondition is an endpoint without a deployed model, or one that answers at another address.
    if code in (400, 413) and status.get("status") != "FAILED_PRECONDITION":
        return BadInput(words)
    return ServerError(f"{endpoint}: HTTP {code}: {words}", retry=Retry.UNTIL_DEADLINE if code == 503 else Retry.NEVER)


def _words(body: bytes, status: Mapping[str, Any]) -> str:
    """What an error says, in one line: it may be a page of HTML, and Google's message may be Triton's whole answer."""
    message = str(status.get("message", ""))
    words = " ".join(error_text(message.encode() or body).split())
    return words[:1000] or "no words in the answer"


def _status(body: bytes) -> Mapping[str, Any]:
    """Google's Status in the body of an error; empty where it is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {}
