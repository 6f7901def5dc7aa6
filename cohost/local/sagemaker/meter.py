"""What is measured of a production variant, under SageMaker's own names.

Names, units and meanings: "Monitor SageMaker with Amazon CloudWatch" (Amazon SageMaker developer guide), endpoint
invocation metrics, multi-model endpoint metrics and endpoint instance metrics.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from cohost.local.sagemaker.instance import Answer, Instance
from cohost.local.sagemaker.limits import InstanceType
from cohost.local.sagemaker.models import Eviction
from cohost.local.sagemaker.telemetry import Series, Stream, Telemetry

INVOCATIONS: Final = "AWS/SageMaker"
INSTANCES: Final = "/aws/sagemaker/Endpoints"
_MICROSECONDS: Final = 1e6
# As in the cloud; a value that changes is sent at once.
_SAMPLE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Place:
    """Which variant it is, and who writes its logs.

    Attributes:
        region: The endpoint's region.
        endpoint: The endpoint's name.
        variant: The variant's name.
        role: The execution role.
    """

    region: str
    endpoint: str
    variant: str
    role: str


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Attributes:
        status: The container's HTTP status; what SageMaker answers where the container was not asked.
        model_failed: Whether the container was asked and did not answer 2XX.
        seconds: How long it took in all.
        instances: Instances of the variant.
        answer: What the container answered; None where it did not.
    """

    status: int
    model_failed: bool
    seconds: float
    instances: int
    answer: Answer | None


class Meter:
    """The metrics and log lines of one fleet."""

    def __init__(self, telemetry: Telemetry, place: Place, kind: InstanceType) -> None:
        self._telemetry, self._place, self._kind = telemetry, place, kind
        self._sent: dict[str, tuple[float, dict[str, float]]] = {}
        self._busy: dict[str, tuple[float, float]] = {}

    def invoked(self, outcome: Outcome) -> None:
        """Counts one call; a container that did not answer in time counts as 5XX."""
        self._count("Invocations", 1)
        self._count("InvocationsPerInstance", 1 / max(1, outcome.instances))
        self._count("Invocation4XXErrors", 400 <= outcome.status < 500)
        self._count("Invocation5XXErrors", outcome.status >= 500 or outcome.status == 0)
        self._count("InvocationModelErrors", outcome.model_failed)
        answer = outcome.answer
        if answer:
            self._took("ModelLatency", answer.latency)
            self._took("OverheadLatency", max(0.0, outcome.seconds - answer.latency))
            self._count("ModelCacheHit", answer.hit)
            if not answer.hit:
                self._took("ModelLoadingWaitTime", answer.waited)

    def downloaded(self, seconds: float) -> None:
        """See `Observer`."""
        self._took("ModelDownloadingTime", seconds)

    def loaded(self, seconds: float) -> None:
        """See `Observer`."""
        self._took("ModelLoadingTime", seconds)

    def unloaded(self, seconds: float) -> None:
        """See `Observer`."""
        self._took("ModelUnloadingTime", seconds)

    def failed(self, instance: str, target: str, words: str) -> None:
        """See `Observer`."""
        self._log(instance, f"[ERROR] {target} could not be loaded: {words}")

    def evicted(self, instance: str, eviction: Eviction) -> None:
        """See `Observer`."""
        self._log(instance, f"[INFO] {eviction.target} was removed from {eviction.place} to make room")

    def sample(self, instance: Instance) -> None:
        """Measures an instance: models and disk as they are, memory and GPU as they would be on the real one."""
        values = self._measure(instance)
        now = time.monotonic()
        sent, before = self._sent.get(instance.mark, (0.0, {}))
        if values == before and now - sent < _SAMPLE_SECONDS:
            return
        self._sent[instance.mark] = now, values
        for name, value in values.items():
            unit = "Percent" if name.endswith("Utilization") else "None"
            self._telemetry.add(self._series(INSTANCES, name, unit), value)

    def _measure(self, instance: Instance) -> dict[str, float]:
        entries = instance.cache.entries()
        loaded = [entry for entry in entries if entry.loaded]
        return {
            "LoadedModelCount": len(loaded),
            "GPUUtilization": self._busy_share(instance),
            "GPUMemoryUtilization": _percent(sum(entry.memory for entry in loaded), instance.cache.memory()),
            "MemoryUtilization": _percent(sum(entry.size for entry in loaded), self._kind.memory),
            "DiskUtilization": _percent(sum(entry.size for entry in entries), instance.cache.disk()),
        }

    def _busy_share(self, instance: Instance) -> float:
        """The share of the time since the last sample in which the container was answering a call."""
        now, busy = time.monotonic(), instance.busy_seconds
        then, busy_then = self._busy.get(instance.mark, (now - 1.0, 0.0))
        self._busy[instance.mark] = now, busy
        return _percent(busy - busy_then, max(now - then, 1e-3))

    def _count(self, name: str, value: float) -> None:
        self._telemetry.add(self._series(INVOCATIONS, name, "None"), value)

    def _took(self, name: str, seconds: float) -> None:
        self._telemetry.add(self._series(INVOCATIONS, name, "Microseconds"), seconds * _MICROSECONDS)

    def _series(self, namespace: str, name: str, unit: str) -> Series:
        place = self._place
        return Series(place.region, namespace, name, unit, place.endpoint, place.variant)

    def _log(self, instance: str, line: str) -> None:
        place = self._place
        stream = Stream(place.role, place.region, place.endpoint, f"{place.variant}/{instance}")
        self._telemetry.log(stream, line)


def _percent(part: float, whole: float) -> float:
    return min(100.0, 100.0 * part / whole) if whole > 0 else 100.0
