"""What callers get when an instance does not do its work: things that a real Triton seldom does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cohost.local.sagemaker.cloud import Cloud
from cohost.local.sagemaker.control import Caller
from cohost.local.sagemaker.errors import ServiceError
from cohost.local.sagemaker.instance import Answer, LoadError
from cohost.local.sagemaker.limits import INSTANCE_TYPES
from cohost.local.sagemaker.meter import Meter, Place
from cohost.local.sagemaker.models import StillLoadingError
from cohost.local.sagemaker.plans import Plan
from cohost.local.sagemaker.runtime import Runtime
from cohost.local.sagemaker.state import State
from cohost.local.sagemaker.telemetry import Telemetry
from cohost.local.sagemaker.traffic import Serving, Traffic
from cohost.local.triton.server import Reply, UnreachableError

CALLER = Caller("eu-west-1", "123456789012")
ARN = CALLER.arn("endpoint", "shared")
PLAN = Plan(
    config="config",
    variant="AllTraffic",
    instance_type="ml.g5.xlarge",
    count=1,
    weight=1.0,
    image="image",
    environment={},
    role="role",
    url="s3://bucket/models/",
    mark="mark",
)
HEADERS = {"x-amzn-sagemaker-target-model": "m.tar.gz", "content-type": "application/json", "x-other": "1"}


class Scripted:
    """A fleet of one instance that does what it is told."""

    def __init__(self, act: Callable[[], Answer]) -> None:
        self.act = act
        self.instances = (self,)
        self.seen: dict[str, str] = {}
        self.gone = 0

    @contextmanager
    def using(self, target: str) -> Iterator[Any]:
        assert target == "m.tar.gz"
        self.gone -= 1
        yield None if self.gone >= 0 else self

    def invoke(self, target: str, body: bytes, headers: dict[str, str], *, seconds: float) -> Answer:
        self.seen = headers
        return self.act()


class Counted(Telemetry):
    """Adds up what is measured."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Cloud("http://127.0.0.1:1", folder))
        self.values: dict[str, float] = {}

    def add(self, series: Any, value: float) -> None:
        self.values[series.name] = self.values.get(series.name, 0) + value


class Bench:
    """A runtime with one endpoint."""

    def __init__(self, folder: Path) -> None:
        self.state, self.traffic, self.counted = State(folder / "state.json"), Traffic(), Counted(folder)
        self.runtime = Runtime(self.state, self.traffic, seconds=0.05)
        self.status("InService")

    def status(self, status: str) -> None:
        self.state.endpoints[ARN] = {"EndpointStatus": status}

    def serve(self, act: Callable[[], Answer]) -> Scripted:
        scripted = Scripted(act)
        place = Place("eu-west-1", "shared", "AllTraffic", "role")
        meter = Meter(self.counted, place, INSTANCE_TYPES["ml.g5.xlarge"])
        self.traffic.switch(ARN, Serving(PLAN, scripted, meter))  # pyright: ignore[reportArgumentType]
        return scripted

    def refusal(self, headers: dict[str, str] = HEADERS) -> ServiceError:
        with pytest.raises(ServiceError) as caught:
            self.runtime.invoke(CALLER, "shared", headers, b"{}")
        return caught.value


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def raising(error: Exception) -> Callable[[], Answer]:
    def act() -> Answer:
        raise error

    return act


def answering(status: int, body: bytes = b"words", **headers: str) -> Callable[[], Answer]:
    return lambda: Answer(Reply(status, headers, body), hit=True, waited=0.0, latency=0.001)


def test_an_answer_carries_the_containers_content_type_and_the_variant(bench: Bench) -> None:
    fleet = bench.serve(lambda: Answer(Reply(200, {"content-type": "x/y", "server": "t"}, b"out"), True, 0.0, 0.001))
    answer = bench.runtime.invoke(CALLER, "shared", HEADERS, b"{}")
    assert (answer.status, answer.body) == (200, b"out")
    assert answer.headers == {"content-type": "x/y", "x-Amzn-Invoked-Production-Variant": "AllTraffic"}
    assert fleet.seen == {"content-type": "application/json", "x-amzn-sagemaker-target-model": "m.tar.gz"}
    assert bench.counted.values["Invocations"] == bench.counted.values["ModelCacheHit"] == 1
    assert bench.counted.values["InvocationModelErrors"] == bench.counted.values["Invocation5XXErrors"] == 0


@pytest.mark.parametrize(
    ("act", "original", "words", "counted"),
    [
        (answering(400), 400, "Received client error (400) from primary", "Invocation4XXErrors"),
        (answering(507), 507, "Received server error (507) from primary", "Invocation5XXErrors"),
        (raising(LoadError(Reply(400, {}, b"no"))), 400, "Received client error (400)", "Invocation4XXErrors"),
        (raising(TimeoutError()), 0, "Your invocation timed out while waiting", "Invocation5XXErrors"),
    ],
)
def test_what_the_container_refuses_or_does_not_answer_is_a_model_error(
    bench: Bench, act: Callable[[], Answer], original: int, words: str, counted: str
) -> None:
    bench.serve(act)
    error = bench.refusal()
    assert (error.code, error.status, error.members["OriginalStatusCode"]) == ("ModelError", 424, original)
    assert words in error.message
    assert bench.counted.values[counted] == bench.counted.values["InvocationModelErrors"] == 1


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (StillLoadingError("m"), "ModelNotReadyException", 429),
        (UnreachableError("gone"), "ServiceUnavailable", 503),
        (ServiceError("ValidationError", "no such key"), "ValidationError", 400),
    ],
)
def test_what_is_not_the_containers_fault_is_no_model_error(
    bench: Bench, error: Exception, code: str, status: int
) -> None:
    bench.serve(raising(error))
    found = bench.refusal()
    assert (found.code, found.status) == (code, status)
    assert bench.counted.values["InvocationModelErrors"] == 0


@pytest.mark.parametrize("status", ["Creating", "Deleting", "Failed"])
def test_an_endpoint_that_does_not_serve_is_not_found(bench: Bench, status: str) -> None:
    bench.serve(answering(200))
    bench.status(status)
    assert bench.refusal().message == "Endpoint shared of account 123456789012 not found."


@pytest.mark.parametrize("status", ["InService", "Updating", "RollingBack"])
def test_an_endpoint_serves_while_it_is_updated(bench: Bench, status: str) -> None:
    bench.serve(answering(200))
    bench.status(status)
    assert bench.runtime.invoke(CALLER, "shared", HEADERS, b"{}").status == 200


def test_a_call_that_meets_a_fleet_just_replaced_goes_to_the_next(bench: Bench) -> None:
    fleet = bench.serve(answering(200))
    fleet.gone = 3
    assert bench.runtime.invoke(CALLER, "shared", HEADERS, b"{}").status == 200


def test_a_call_waits_for_a_fleet_that_is_on_its_way_but_not_for_ever(bench: Bench) -> None:
    assert bench.refusal().code == "ServiceUnavailable"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**HEADERS, "x-amzn-sagemaker-target-model": "a" * 1025},
        {**HEADERS, "x-amzn-sagemaker-target-variant": "other"},
        {**HEADERS, "x-amzn-sagemaker-inference-component": "c"},
    ],
)
def test_a_request_for_what_the_endpoint_does_not_have_reaches_no_instance(
    bench: Bench, headers: dict[str, str]
) -> None:
    fleet = bench.serve(answering(200))
    assert bench.refusal(headers).code == "ValidationError"
    assert fleet.seen == {}
