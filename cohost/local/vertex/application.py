"""Which method of the API a request is for, and its answer as JSON.

Paths: the `google.api.http` annotations of google.cloud.aiplatform.v1, those of `v1beta1` being the same; operations
also answer below `/ui/`, where the GAPIC clients ask for them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from cohost.local.http import Request, Response
from cohost.local.vertex.beside import Beside
from cohost.local.vertex.deploying import Deploying
from cohost.local.vertex.endpoints import Endpoints
from cohost.local.vertex.errors import VertexError, invalid, unsupported
from cohost.local.vertex.limits import Limits
from cohost.local.vertex.models import Models
from cohost.local.vertex.names import Name, parse
from cohost.local.vertex.operations import Operations
from cohost.local.vertex.predictions import Predictions
from cohost.local.vertex.protos import Record, document
from cohost.local.vertex.state import State

_LOG: Final = logging.getLogger(__name__)
_PATH: Final = re.compile(r"/(?:v1|v1beta1|ui)/(?P<name>projects/[^/]+/locations/[^/:]+(?:/[^:]*)?)(?::(?P<verb>\w+))?")
_MODEL: Final = r"models/[^/]+"
_ENDPOINT: Final = r"endpoints/[^/]+"
_OPERATION: Final = r"(?:(?:models|endpoints)/[^/]+/)?operations/[^/]+"
_OPERATIONS: Final = r"(?:(?:models|endpoints)/[^/]+/)?operations"
_TOKEN_SECONDS: Final = 3600
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True)
class Call:
    """A request, and what it is about.

    Attributes:
        name: The resource, taken apart.
        request: The request itself.
    """

    name: Name
    request: Request

    @property
    def full(self) -> str:
        """The resource's name as Google answers it."""
        return self.name.full

    @property
    def body(self) -> Record:
        """The body.

        Raises:
            VertexError: It is not a JSON object, or larger than the service takes.
        """
        if self.request.body is None:
            raise invalid("Request payload size exceeds the limit.")
        return document(self.request.body)

    def query(self, name: str) -> str:
        """Returns a query parameter, sent in camel case or not; empty where it is missing."""
        snake = re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)
        return self.request.query.get(name) or self.request.query.get(snake, "")


@dataclass(frozen=True)
class Route:
    """One method of the API: by HTTP method, form of the name and custom verb."""

    method: str
    form: str
    verb: str | None
    answer: Callable[[Call], Record | Response]


class Application:
    """Answers requests of the API, for tokens, and a few of its own below `/-/`."""

    def __init__(
        self,
        *,
        state: State,
        operations: Operations,
        models: Models,
        endpoints: Endpoints,
        deploying: Deploying,
        predictions: Predictions,
        limits: Limits,
        beside: Beside,
    ) -> None:
        self._state, self._predictions, self._limits, self._beside = state, predictions, limits, beside
        self._routes = (
            *_of_models(models),
            *_of_endpoints(endpoints, deploying, predictions),
            *_of_operations(operations),
        )

    def __call__(self, request: Request) -> Response:
        """Answers one request."""
        try:
            if request.path.startswith("/-/"):
                return self._own(request)
            if request.path == "/token":
                return _token(request)
            return self._api(request)
        except VertexError as error:
            return _json(error.http, error.body(), error.headers)
        except Exception as error:
            _LOG.exception("%s %s", request.method, request.path)
            # Not 5xx: clients would repeat a request that fails the same way each time.
            failure = invalid(f"EmulatorError: {type(error).__name__}: {error}")
            return _json(failure.http, failure.body())

    def _api(self, request: Request) -> Response:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            raise VertexError(
                "UNAUTHENTICATED",
                "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie "
                "or other valid authentication credential.",
            )
        other = self._beside.answer(request)
        if other is not None:
            return _json(200, other)
        found = _PATH.fullmatch(request.path)
        if not found:
            raise unsupported(f"{request.method} {request.path}")
        call = Call(parse(found["name"]), request)
        for route in self._routes:
            if (route.method, route.verb) == (request.method, found["verb"]) and re.fullmatch(
                route.form, call.name.rest
            ):
                self._check_refusal(call, found["verb"])
                answer = route.answer(call)
                return answer if isinstance(answer, Response) else _json(200, answer)
        raise unsupported(f"{request.method} {request.path}")

    def _check_refusal(self, call: Call, verb: str | None) -> None:
        """Refuses what a test asks to be refused: by custom verb, by "models:upload", or by "GET operations"."""
        parts = call.name.rest.split("/")
        collection = parts[-1] if len(parts) % 2 else parts[-2]
        for method in (verb or "", f"{collection}:{verb}", f"{call.request.method} {collection}"):
            if error := self._limits.refusal(method):
                raise error

    def _own(self, request: Request) -> Response:
        """Answers what is asked about the emulator itself."""
        if request.method == "GET":
            if request.path == "/-/health":
                return _json(200, {"ok": True})
            if request.path == "/-/models":
                return _json(200, self._predictions.models(request.query.get("endpoint", "")))
            if request.path == "/-/deployments":
                with self._state.reading():
                    return _json(200, list(self._state.deployments.values()))
        return _json(404, {"message": f"{request.method} {request.path}: there is no such thing"})


def _of_models(models: Models) -> tuple[Route, ...]:
    return (
        Route("POST", "models", "upload", lambda call: models.upload_model(call.name, _placed(call))),
        Route("GET", "models", None, lambda call: models.list_models(call.name, call.request.query)),
        Route("GET", _MODEL, None, lambda call: models.get_model(call.full)),
        Route("GET", _MODEL, "listVersions", lambda call: models.list_versions(call.full, call.request.query)),
        Route("PATCH", _MODEL, None, lambda call: models.update_model(call.full, call.body, call.query("updateMask"))),
        Route("POST", _MODEL, "mergeVersionAliases", lambda call: models.merge_version_aliases(call.full, call.body)),
        Route("DELETE", _MODEL, None, lambda call: models.delete_model(call.full)),
        Route("DELETE", _MODEL, "deleteVersion", lambda call: models.delete_version(call.full)),
    )


def _of_endpoints(endpoints: Endpoints, deploying: Deploying, predictions: Predictions) -> tuple[Route, ...]:
    return (
        Route(
            "POST",
            "endpoints",
            None,
            lambda call: endpoints.create_endpoint(call.name, call.body, call.query("endpointId")),
        ),
        Route("GET", "endpoints", None, lambda call: endpoints.list_endpoints(call.name, call.request.query)),
        Route("GET", _ENDPOINT, None, lambda call: endpoints.get_endpoint(call.full)),
        Route(
            "PATCH",
            _ENDPOINT,
            None,
            lambda call: endpoints.update_endpoint(call.full, call.body, call.query("updateMask")),
        ),
        Route("DELETE", _ENDPOINT, None, lambda call: endpoints.delete_endpoint(call.full)),
        Route("POST", _ENDPOINT, "deployModel", lambda call: deploying.deploy_model(call.full, call.body)),
        Route("POST", _ENDPOINT, "undeployModel", lambda call: deploying.undeploy_model(call.full, call.body)),
        Route(
            "POST", _ENDPOINT, "mutateDeployedModel", lambda call: deploying.mutate_deployed_model(call.full, call.body)
        ),
        Route(
            "POST",
            _ENDPOINT,
            "rawPredict",
            lambda call: predictions.raw_predict(call.full, call.request.headers, call.request.body),
        ),
        Route("POST", _ENDPOINT, "predict", lambda call: predictions.predict(call.full, call.request.body)),
    )


def _of_operations(operations: Operations) -> tuple[Route, ...]:
    return (
        Route("GET", _OPERATION, None, lambda call: operations.get_operation(call.full)),
        Route("GET", _OPERATIONS, None, _listed(operations)),
        Route("POST", _OPERATION, "wait", lambda call: operations.wait_operation(call.full, _timeout(call))),
        Route("POST", _OPERATION, "cancel", lambda call: operations.cancel_operation(call.full)),
        Route("DELETE", _OPERATION, None, lambda call: operations.delete_operation(call.full)),
    )


def _listed(operations: Operations) -> Callable[[Call], Record]:
    def answer(call: Call) -> Record:
        return operations.list_operations(call.full.removesuffix("operations").rstrip("/"), call.request.query)

    return answer


def _timeout(call: Call) -> str:
    return call.query("timeout") or str(call.body.get("timeout", ""))


def _placed(call: Call) -> Record:
    return {**call.body, "parent": call.name.parent}


def _token(request: Request) -> Response:
    """The token endpoint of a service account (RFC 7523): any assertion is taken."""
    form = parse_qs((request.body or b"").decode(errors="replace"))
    if request.method != "POST" or form.get("grant_type") != [_GRANT] or not form.get("assertion"):
        return _json(400, {"error": "invalid_request", "error_description": f"POST with grant_type={_GRANT}"})
    return _json(200, {"access_token": "local", "expires_in": _TOKEN_SECONDS, "token_type": "Bearer"})


def _json(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    kind = {"Content-Type": "application/json; charset=UTF-8"}
    return Response(status, {**kind, **(headers or {})}, json.dumps(content).encode())
