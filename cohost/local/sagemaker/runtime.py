"""InvokeEndpoint on a multi-model endpoint.

Sources: API reference of InvokeEndpoint; "How multi-model endpoints work" (Amazon SageMaker developer guide); texts
as reported in issues of aws/amazon-sagemaker-examples (#293, #785), aws/sagemaker-tensorflow-serving-container
(#166) and awslabs/realtime-fraud-detection-with-gnn-on-dgl (#1331).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cohost.local.http import Response
from cohost.local.sagemaker.cloud import Location, undownloadable
from cohost.local.sagemaker.control import Caller
from cohost.local.sagemaker.endpoints import SERVING
from cohost.local.sagemaker.errors import ServiceError
from cohost.local.sagemaker.instance import CALL_SECONDS, Answer, Instance, LoadError
from cohost.local.sagemaker.meter import Outcome
from cohost.local.sagemaker.models import StillLoadingError
from cohost.local.sagemaker.plans import Plan
from cohost.local.sagemaker.state import State
from cohost.local.sagemaker.traffic import Serving, Traffic
from cohost.local.triton.server import Reply, UnreachableError

MAX_BODY_BYTES: Final = 6_291_456  # botocore's model, BodyBlob
_MAX_TARGET_LENGTH: Final = 1024  # botocore's model, TargetModelHeader
_TARGET: Final = "x-amzn-sagemaker-target-model"
_VARIANT: Final = "x-amzn-sagemaker-target-variant"
_ATTRIBUTES: Final = "x-amzn-sagemaker-custom-attributes"
_PASSED_ON: Final = ("content-type", "accept", _TARGET, _ATTRIBUTES)
_PASSED_BACK: Final = ("content-type", _ATTRIBUTES)
_PREFIX: Final = "x-amzn-sagemaker-"
_TIMED_OUT: Final = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)


@dataclass
class _Call:
    """One call, and how far it has come."""

    caller: Caller
    endpoint: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    began: float
    answer: Answer | None = None
    model_status: int | None = None


class Runtime:
    """The data plane."""

    def __init__(self, state: State, traffic: Traffic, *, seconds: float = CALL_SECONDS) -> None:
        """Serves what the state holds.

        Args:
            state: The records of endpoints.
            traffic: Which fleet answers for each.
            seconds: How long a call may take.
        """
        self._state, self._traffic, self._seconds = state, traffic, seconds

    def invoke(self, caller: Caller, endpoint: str, headers: Mapping[str, str], body: bytes) -> Response:
        """InvokeEndpoint.

        Args:
            caller: Where the request belongs.
            endpoint: The endpoint's name.
            headers: The request's headers, names in lower case.
            body: The request's body.

        Raises:
            ServiceError: As SageMaker answers.
        """
        began = time.monotonic()
        arn = caller.arn("endpoint", endpoint)
        if not self._serves(arn):
            raise _not_found(caller, endpoint)
        call = _Call(caller, endpoint, _target(headers), headers, body, began)
        while serving := self._traffic.wait(arn, began + self._seconds):
            _check(serving.plan, call)
            with serving.fleet.using(call.target) as instance:
                # None: the endpoint has just got another fleet.
                if instance:
                    with _measured(serving, call):
                        return self._ask(serving.plan, instance, call)
        if self._serves(arn):
            raise ServiceError("ServiceUnavailable", f"Endpoint {endpoint} has no instance yet.", status=503)
        raise _not_found(caller, endpoint)

    def _serves(self, arn: str) -> bool:
        return self._state.endpoints.get(arn, {}).get("EndpointStatus") in SERVING

    def _ask(self, plan: Plan, instance: Instance, call: _Call) -> Response:
        passed = {name: call.headers[name] for name in _PASSED_ON if name in call.headers}
        try:
            answer = instance.invoke(call.target, call.body, passed, seconds=self._seconds)
        except StillLoadingError as error:
            raise _not_ready() from error
        except UnreachableError as error:
            raise ServiceError("ServiceUnavailable", str(error), status=503) from error
        except LoadError as error:
            reply = error.reply
        except TimeoutError:
            reply = Reply(0, {}, _TIMED_OUT.encode())
        else:
            reply, call.answer = answer.reply, answer
        call.model_status = reply.status
        if reply.status != 200:
            raise _model_error(call, reply)
        back = {name: reply.headers[name] for name in _PASSED_BACK if name in reply.headers}
        return Response(200, {**back, "x-Amzn-Invoked-Production-Variant": plan.variant}, reply.body)


@contextmanager
def _measured(serving: Serving, call: _Call) -> Iterator[None]:
    """Counts the call of its block, however that ends."""
    status = 500
    try:
        yield
        status = 200
    except ServiceError as error:
        status = error.status
        raise
    finally:
        model = call.model_status
        serving.meter.invoked(
            Outcome(
                status=status if model is None else model,
                model_failed=model not in (None, 200),
                seconds=time.monotonic() - call.began,
                instances=len(serving.fleet.instances),
                answer=call.answer,
            )
        )


def _target(headers: Mapping[str, str]) -> str:
    """Returns the TargetModel of a request.

    Raises:
        ServiceError: There is none, or something is asked for that a multi-model endpoint does not do.
    """
    for name in headers:
        if name.startswith(_PREFIX) and name not in (_TARGET, _VARIANT, _ATTRIBUTES):
            raise ServiceError(
                "ValidationError", f"The header {name} is not supported here: this is the local SageMaker"
            )
    target = headers.get(_TARGET, "")
    if not target:
        raise ServiceError("ValidationError", f"Request {uuid.uuid4()} is missing a target model header.")
    if len(target) > _MAX_TARGET_LENGTH:
        raise ServiceError("ValidationError", f"TargetModel is longer than {_MAX_TARGET_LENGTH} characters.")
    return target


def _check(plan: Plan, call: _Call) -> None:
    """Checks a request against the fleet that is to answer it.

    Raises:
        ServiceError: It names another variant, or a key that leaves the endpoint's prefix.
    """
    if call.headers.get(_VARIANT, plan.variant) != plan.variant:
        raise ServiceError("ValidationError", f"Variant {call.headers[_VARIANT]} not found.")
    # To S3 these are plain characters of a key, which cannot exist below the prefix; to HTTP they are steps out of it.
    if {".", ".."} & set(call.target.split("/")):
        prefix = Location.parse(plan.url)
        raise undownloadable(Location(prefix.bucket, prefix.key + call.target))


def too_large() -> Response:
    """The answer to a body that is larger than the service takes; like the cloud's, it names no error type."""
    message = {"Message": f"HTTP content length exceeded {MAX_BODY_BYTES} bytes."}
    return Response(413, {"Content-Type": "application/json"}, json.dumps(message).encode())


def _not_found(caller: Caller, endpoint: str) -> ServiceError:
    return ServiceError("ValidationError", f"Endpoint {endpoint} of account {caller.account} not found.")


def _not_ready() -> ServiceError:
    # The words of the error's documentation.
    words = "A multi-model endpoint is still downloading or loading the target model. Wait and try again."
    return ServiceError("ModelNotReadyException", words, status=429)


def _model_error(call: _Call, reply: Reply) -> ServiceError:
    """The answer when the container did not do what it was asked; holds the container's own words."""
    caller = call.caller
    group = f"/aws/sagemaker/Endpoints/{call.endpoint}"
    side = "client" if 400 <= reply.status < 500 else "server"
    console = f"https://{caller.region}.console.aws.amazon.com/cloudwatch/home?region={caller.region}"
    return ServiceError(
        "ModelError",
        f'Received {side} error ({reply.status}) from primary with message "{reply.text}". See '
        f"{console}#logEventViewer:group={group} in account {caller.account} for more information.",
        status=424,
        members={
            "OriginalStatusCode": reply.status,
            "OriginalMessage": reply.text,
            "LogStreamArn": f"arn:aws:logs:{caller.region}:{caller.account}:log-group:{group}",
        },
    )
