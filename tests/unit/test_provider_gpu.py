"""Whether the GPU is used, as moto's CloudWatch tells it. A minute is a second here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from cohost.errors import DeploymentError
from cohost.provider import gpu
from cohost.provider.context import OperationCancelled
from tests.unit.provider_context import Operation
from tests.unit.runtime_server import use_environment

REGION, VARIANT = "us-east-1", "AllTraffic"
_count = iter(range(100))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    yield "http://{}:{}".format(*moto.get_host_and_port())
    moto.stop()


@pytest.fixture
def endpoint(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    use_environment(monkeypatch, server)
    monkeypatch.setattr(gpu, "_PERIOD_SECONDS", 1)
    return f"endpoint-{next(_count)}"


def tell(endpoint: str, values: dict[float, float], *, variant: str = VARIANT) -> None:
    """Writes values of the metric, by seconds from now."""
    client: Any = boto3.client("cloudwatch", region_name=REGION)
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    for seconds, value in values.items():
        data = {
            "MetricName": "GPUMemoryUtilization",
            "Dimensions": dimensions,
            "Timestamp": datetime.now(UTC) + timedelta(seconds=seconds),
            "Value": value,
        }
        client.put_metric_data(Namespace="/aws/sagemaker/Endpoints", MetricData=[data])


def ensure_used(endpoint: str, operation: Operation) -> None:
    gpu.ensure_used(operation.context(), region=REGION, endpoint=endpoint, variant=VARIANT)


def test_one_value_above_zero_is_enough(endpoint: str) -> None:
    operation = Operation()
    tell(endpoint, {-0.5: 0.0, 0.0: 3.5})
    ensure_used(endpoint, operation)
    assert operation.said[-1] == "the GPU holds the models (GPUMemoryUtilization 3.5 %)"


def test_a_value_that_comes_late_is_waited_for(endpoint: str) -> None:
    tell(endpoint, {0.0: 0.0, 2.0: 1.0})
    ensure_used(endpoint, Operation())


def test_zeros_from_before_the_models_were_called_say_nothing(endpoint: str) -> None:
    tell(endpoint, {-seconds: 0.0 for seconds in range(3, 20)} | {2.0: 1.0})
    ensure_used(endpoint, Operation())


def test_an_empty_gpu_is_a_failure_that_says_where_to_look(endpoint: str) -> None:
    tell(endpoint, {float(seconds): 0.0 for seconds in range(-1, 12)})
    with pytest.raises(
        DeploymentError, match=r"is 0: the models run on the CPU.*instance_group.*verify: \{gpu: false\}"
    ):
        ensure_used(endpoint, Operation())


def test_another_variant_and_another_endpoint_say_nothing(endpoint: str) -> None:
    tell(endpoint, {0.0: 5.0}, variant="Other")
    tell("another", {0.0: 5.0})
    with pytest.raises(OperationCancelled, match="the time for waiting for CloudWatch"):
        ensure_used(endpoint, Operation(seconds=1.0))


def test_a_metric_that_never_comes_is_a_failure(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_PATIENCE_SECONDS", 0.3)
    with pytest.raises(DeploymentError, match="was not told by CloudWatch"):
        ensure_used(endpoint, Operation())
