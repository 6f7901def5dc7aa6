"""Which operation a request is for, and its answer in the form that the operation's protocol has.

AWS JSON 1.1 for the control plane, Service Quotas and ECR, REST JSON for the runtime (smithy.io, AWS protocols); region
and service stand in the credential scope of the request's signature, which is not verified.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from cohost.local.http import Request, Response
from cohost.local.sagemaker import api, runtime
from cohost.local.sagemaker.cloud import Cloud
from cohost.local.sagemaker.control import Caller, Control
from cohost.local.sagemaker.endpoints import Endpoints
from cohost.local.sagemaker.errors import ServiceError, unsupported
from cohost.local.sagemaker.quotas import Quotas
from cohost.local.sagemaker.registry import Registry
from cohost.local.sagemaker.runtime import Runtime
from cohost.local.sagemaker.traffic import Traffic
from cohost.local.tables import Record

_LOG: Final = logging.getLogger(__name__)
_SCOPE: Final = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_INVOCATIONS: Final = re.compile(r"/endpoints/(?P<endpoint>[^/]+)/invocations")
_TARGET: Final = re.compile(r"(?P<prefix>\w+)\.(?P<operation>\w+)")
# Names that requests are signed for.
_SAGEMAKER: Final = "sagemaker"
_SERVICE_QUOTAS: Final = "servicequotas"
_ECR: Final = "ecr"
_MODELS: Final = {_SAGEMAKER: "sagemaker", _SERVICE_QUOTAS: "service-quotas", _ECR: "ecr"}
_PREFIXES: Final = {
    _SAGEMAKER: "SageMaker",
    _SERVICE_QUOTAS: "ServiceQuotasV20190624",
    _ECR: "AmazonEC2ContainerRegistry_V20150921",
}

Operation = Callable[[Caller, Record], Record]


class Application:
    """Answers requests to all these services, and a few of its own below `/-/`."""

    def __init__(
        self,
        *,
        cloud: Cloud,
        control: Control,
        endpoints: Endpoints,
        quotas: Quotas,
        runtime: Runtime,
        traffic: Traffic,
    ) -> None:
        self._cloud, self._runtime, self._traffic = cloud, runtime, traffic
        self._operations: Mapping[str, Mapping[str, Operation]] = {
            _SAGEMAKER: {
                "CreateModel": control.create_model,
                "DescribeModel": control.describe_model,
                "DeleteModel": control.delete_model,
                "ListModels": control.list_models,
                "CreateEndpointConfig": control.create_endpoint_config,
                "DescribeEndpointConfig": control.describe_endpoint_config,
                "DeleteEndpointConfig": control.delete_endpoint_config,
                "ListEndpointConfigs": control.list_endpoint_configs,
                "AddTags": control.add_tags,
                "ListTags": control.list_tags,
                "DeleteTags": control.delete_tags,
                "CreateEndpoint": endpoints.create_endpoint,
                "DescribeEndpoint": endpoints.describe_endpoint,
                "ListEndpoints": endpoints.list_endpoints,
                "UpdateEndpoint": endpoints.update_endpoint,
                "UpdateEndpointWeightsAndCapacities": endpoints.update_endpoint_weights_and_capacities,
                "DeleteEndpoint": endpoints.delete_endpoint,
            },
            _SERVICE_QUOTAS: {
                "GetServiceQuota": quotas.get_service_quota,
                "GetAWSDefaultServiceQuota": quotas.get_aws_default_service_quota,
                "ListServiceQuotas": quotas.list_service_quotas,
                "ListAWSDefaultServiceQuotas": quotas.list_aws_default_service_quotas,
            },
            _ECR: {"BatchGetImage": Registry().batch_get_image},
        }

    def __call__(self, request: Request) -> Response:
        """Answers one request."""
        answer = self._control if "x-amz-target" in request.headers else self._rest
        try:
            if request.path.startswith("/-/"):
                return self._own(request)
            return answer(request)
        except ServiceError as error:
            return _refusal(error, rest=answer == self._rest)
        except Exception as error:
            _LOG.exception("%s %s %s", request.method, request.path, request.headers.get("x-amz-target", ""))
            # Not 5xx: clients would repeat a request that fails the same way each time.
            failure = ServiceError("EmulatorError", f"{type(error).__name__}: {error}")
            return _refusal(failure, rest=answer == self._rest)

    def _control(self, request: Request) -> Response:
        caller, service = self._caller(request)
        target = _TARGET.fullmatch(request.headers["x-amz-target"])
        if not target or _PREFIXES.get(service) != target["prefix"]:
            raise unsupported(f"{request.headers['x-amz-target']} of {service}")
        name, model = target["operation"], _MODELS[service]
        api.operation(model, name)
        operation = self._operations[service].get(name)
        if operation is None:
            raise unsupported(name)
        document = _document(request.body)
        api.validate(model, name, document)
        answer = api.render(model, name, operation(caller, document))
        return _response(200, "application/x-amz-json-1.1", answer)

    def _rest(self, request: Request) -> Response:
        caller, service = self._caller(request)
        if service != _SAGEMAKER:
            raise unsupported(f"A request of {service} without X-Amz-Target")
        found = _INVOCATIONS.fullmatch(request.path)
        if not found or request.method != "POST":
            raise ServiceError(
                "UnknownOperationException",
                f"{request.method} {request.path} is not supported here: this is the local SageMaker, whose runtime "
                "knows InvokeEndpoint alone",
                status=404,
            )
        if request.body is None:
            return runtime.too_large()
        answer = self._runtime.invoke(caller, found["endpoint"], request.headers, request.body)
        return Response(answer.status, {**answer.headers, **_request_id()}, answer.body)

    def _own(self, request: Request) -> Response:
        """Answers what is asked about the emulator itself."""
        if request.method == "GET":
            endpoint = request.query.get("endpoint", "")
            if request.path == "/-/health":
                return _response(200, "application/json", {"ok": True})
            if request.path == "/-/models":
                return _response(200, "application/json", self._models(endpoint))
            if request.path == "/-/evictions":
                return _response(200, "application/json", self._evictions(endpoint))
        return _response(
            404, "application/json", {"message": f"{request.method} {request.path}: there is no such thing"}
        )

    def _models(self, endpoint: str) -> list[dict[str, Any]]:
        return [
            {
                "target": entry.target,
                "bytes": entry.size,
                "loaded": entry.loaded,
                "since": entry.since,
                "instance": instance.mark,
            }
            for instance in self._traffic.instances(endpoint)
            for entry in instance.cache.entries()
        ]

    def _evictions(self, endpoint: str) -> list[dict[str, Any]]:
        found = [eviction for instance in self._traffic.instances(endpoint) for eviction in instance.cache.evictions]
        return [asdict(eviction) for eviction in sorted(found, key=lambda eviction: eviction.time)]

    def _caller(self, request: Request) -> tuple[Caller, str]:
        """Returns where a request belongs and which service it is for.

        Raises:
            ServiceError: It is not signed.
        """
        scope = _SCOPE.search(request.headers.get("authorization", ""))
        if scope is None:
            raise ServiceError(
                "MissingAuthenticationToken",
                "not signed with an Authorization header; presigned URLs are not supported here",
                status=403,
            )
        return Caller(scope["region"], self._cloud.account), scope["service"]


def _document(body: bytes | None) -> Record:
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise ServiceError("SerializationException", f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ServiceError("SerializationException", "the body is not a JSON object")
    return document


def _refusal(error: ServiceError, *, rest: bool) -> Response:
    """An error as the protocol of the request has it."""
    if rest:
        content = {"Message": error.message, **error.members}
        return _response(error.status, "application/json", content, {"x-amzn-ErrorType": error.code})
    content = {"__type": error.code, "message": error.message, **error.members}
    return _response(error.status, "application/x-amz-json-1.1", content)


def _response(status: int, kind: str, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(content).encode()
    return Response(status, {"Content-Type": kind, **_request_id(), **(headers or {})}, body)


def _request_id() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid.uuid4())}
