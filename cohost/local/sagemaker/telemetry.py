"""Metrics and container logs of endpoints, sent to the local CloudWatch in the background, at best effort."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from cohost.local.sagemaker.cloud import Cloud

_LOG: Final = logging.getLogger(__name__)
_FLUSH_SECONDS: Final = 1.0
# PutMetricData takes at most 1,000 metrics a call (CloudWatch API reference).
_BATCH: Final = 500


@dataclass(frozen=True)
class Series:
    """One metric of one endpoint."""

    region: str
    namespace: str
    name: str
    unit: str
    endpoint: str
    variant: str


@dataclass(frozen=True)
class Stream:
    """One log stream of an endpoint's log group, and the role that writes it."""

    role: str
    region: str
    endpoint: str
    name: str

    @property
    def group(self) -> str:
        """The log group."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"


@dataclass
class _Sum:
    count: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")


class Telemetry:
    """Collects values and lines cheaply and sends them together."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._sums: dict[Series, _Sum] = defaultdict(_Sum)
        self._lines: dict[Stream, list[dict[str, Any]]] = defaultdict(list)
        self._ended = threading.Event()

    def start(self, sample: Callable[[], None]) -> None:
        """Sends what has been collected about once a second, for as long as the process runs.

        Args:
            sample: Called before, to add what has to be asked for.
        """
        threading.Thread(target=self._run, args=(sample,), daemon=True).start()

    def add(self, series: Series, value: float) -> None:
        """Counts one value."""
        with self._lock:
            found = self._sums[series]
            found.count += 1
            found.total += value
            found.low = min(found.low, value)
            found.high = max(found.high, value)

    def log(self, stream: Stream, message: str) -> None:
        """Adds a line to a log stream."""
        event = {"timestamp": int(time.time() * 1000), "message": message}
        with self._lock:
            self._lines[stream].append(event)

    def flush(self) -> None:
        """Sends everything now; what cannot be sent is dropped, as a metric is."""
        with self._flushing:
            with self._lock:
                sums, self._sums = self._sums, defaultdict(_Sum)
                lines, self._lines = self._lines, defaultdict(list)
            self._send_metrics(sums)
            for stream, events in lines.items():
                self._send_lines(stream, events)

    def close(self, seconds: float) -> None:
        """Sends what is left and sends no more; gives up after some seconds."""
        self._ended.set()
        last = threading.Thread(target=self.flush, daemon=True)
        last.start()
        last.join(seconds)

    def _run(self, sample: Callable[[], None]) -> None:
        while not self._ended.wait(_FLUSH_SECONDS):
            try:
                sample()
                self.flush()
            except Exception:
                _LOG.exception("metrics were not sent")

    def _send_metrics(self, sums: dict[Series, _Sum]) -> None:
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

    def _send_lines(self, stream: Stream, events: list[dict[str, Any]]) -> None:
        names = {"logGroupName": stream.group, "logStreamName": stream.name}
        try:
            logs = self._cloud.as_role("logs", stream.role, stream.region)
            try:
                logs.put_log_events(**names, logEvents=events)
            except logs.exceptions.ResourceNotFoundException:
                with suppress(logs.exceptions.ResourceAlreadyExistsException):
                    logs.create_log_group(logGroupName=stream.group)
                with suppress(logs.exceptions.ResourceAlreadyExistsException):
                    logs.create_log_stream(**names)
                logs.put_log_events(**names, logEvents=events)
        except (ClientError, BotoCoreError) as error:
            _LOG.warning("log lines of %s were not sent: %s", stream.group, error)


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
