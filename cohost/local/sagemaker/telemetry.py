"""Metrics and container logs of endpoints, sent to the local CloudWatch in the background, at best effort."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from cohost.local.sagemaker.cloud import Cloud

_LOG: Final = logging.getLogger(__name__)
_FLUSH_SECONDS: Final = 5.0
# PutMetricData takes at most 1,000 metrics a call (CloudWatch API reference).
_BATCH: Final = 500
INVOCATIONS: Final = "AWS/SageMaker"
INSTANCES: Final = "/aws/sagemaker/Endpoints"


@dataclass(frozen=True)
class Series:
    """One metric of one endpoint."""

    region: str
    namespace: str
    name: str
    unit: str
    endpoint: str
    variant: str


@dataclass
class _Sum:
    count: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")


class Telemetry:
    """Collects values cheaply and sends them together."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._sums: dict[Series, _Sum] = defaultdict(_Sum)
        self._streams: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Sends what has been collected every few seconds, for as long as the process runs."""
        threading.Thread(target=self._run, daemon=True).start()

    def add(self, series: Series, value: float) -> None:
        """Counts one value."""
        with self._lock:
            found = self._sums[series]
            found.count += 1
            found.total += value
            found.low = min(found.low, value)
            found.high = max(found.high, value)

    def flush(self) -> None:
        """Sends everything now; what cannot be sent is dropped, as a metric is."""
        with self._lock:
            sums, self._sums = self._sums, defaultdict(_Sum)
        by_target: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for series, found in sums.items():
            by_target[series.region, series.namespace].append(_datum(series, found))
        for (region, namespace), data in by_target.items():
            for start in range(0, len(data), _BATCH):
                batch = data[start : start + _BATCH]
                try:
                    client = self._cloud.as_service("cloudwatch", region)
                    client.put_metric_data(Namespace=namespace, MetricData=batch)
                except (ClientError, BotoCoreError) as error:
                    _LOG.warning("metrics were not sent: %s", error)

    def log(self, role: str, region: str, endpoint: str, stream: str, message: str) -> None:
        """Writes to the endpoint's log group as the execution role, in the background."""
        arguments = (role, region, f"/aws/sagemaker/Endpoints/{endpoint}", stream, message)
        threading.Thread(target=self._log, args=arguments, daemon=True).start()

    def _log(self, role: str, region: str, group: str, stream: str, message: str) -> None:
        try:
            logs = self._cloud.as_role("logs", role, region)
            if (group, stream) not in self._streams:
                with suppress(logs.exceptions.ResourceAlreadyExistsException):
                    logs.create_log_group(logGroupName=group)
                with suppress(logs.exceptions.ResourceAlreadyExistsException):
                    logs.create_log_stream(logGroupName=group, logStreamName=stream)
                self._streams.add((group, stream))
            event = {"timestamp": int(time.time() * 1000), "message": message}
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
        except (ClientError, BotoCoreError) as error:
            self._streams.discard((group, stream))
            _LOG.warning("a log line of %s was not sent: %s", group, error)

    def _run(self) -> None:
        while True:
            time.sleep(_FLUSH_SECONDS)
            self.flush()


def _datum(series: Series, found: _Sum) -> dict[str, Any]:
    return {
        "MetricName": series.name,
        "Dimensions": [
            {"Name": "EndpointName", "Value": series.endpoint},
            {"Name": "VariantName", "Value": series.variant},
        ],
        "Unit": series.unit,
        "StatisticValues": {
            "SampleCount": found.count,
            "Sum": found.total,
            "Minimum": found.low,
            "Maximum": found.high,
        },
    }
