"""One machine of a multi-model endpoint, event by event: calls, loads, evictions and the shared GPU.

A call for a model in memory joins the queue of that model; one for another waits until that is stored and loaded. A
model answers one call after the other, as with one Triton instance of it (`instance_group count: 1`), and the models
that work share the GPU evenly. A model in use cannot go; a load without room waits for one that can. Only so many loads
go on at once; they do not slow each other or the calls.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cohost.plan.cache import Extent, ModelCache
from cohost.plan.traffic import Call, Source

_ARRIVES: Final = 0
_LOADED: Final = 1
_ANSWERS: Final = 2
# SageMaker ends a call after so long ("How multi-model endpoints work").
PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        extent: What it takes.
        service: Seconds of the GPU that a call takes, on average.
        store: Seconds until its files are on the disk.
        load: Seconds from the disk into memory.
    """

    extent: Extent
    service: float
    store: float = 0.0
    load: float = 0.0


@dataclass(frozen=True)
class Machine:
    """One machine.

    Attributes:
        memory: Bytes of GPU memory for models.
        disk: Bytes of disk for models.
        slots: How many models the GPU works for at full speed; more share it.
        loaders: How many models are stored and loaded at once; others wait.
        overhead: Seconds that a call takes beside the GPU: network, front end, reading and writing of tensors.
        varies: Whether the time on the GPU is exponential about its mean, and not always the same.
    """

    memory: int
    disk: int
    slots: int = 1
    loaders: int = 4
    overhead: float = 0.0
    varies: bool = True


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of the calls after the warm-up.

    Attributes:
        latencies: Seconds of each call, in the order of the answers.
        hits: How many found their model in memory.
        loads: How many models were loaded.
        resident: Models in memory as a call arrived, on average.
        seconds: From the first call to the last answer.
        busy: The share of that time, and of the slots, in which the GPU answered.
        late: How many took more than a minute, which SageMaker refuses.
    """

    latencies: np.ndarray
    hits: int
    loads: int
    resident: float
    seconds: float
    busy: float
    late: int

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return len(self.latencies)

    @property
    def hit_ratio(self) -> float:
        """The share of calls that found their model in memory."""
        return self.hits / self.calls

    def percentile(self, percent: float) -> float:
        """Returns a percentile of the latencies, in seconds."""
        return float(np.percentile(self.latencies, percent))


def simulate(
    models: Mapping[str, Model], machine: Machine, source: Source, *, seed: int, skipped: int = 0, full: bool = False
) -> Outcome:
    """Simulates one machine until its last call is answered.

    Args:
        models: By name.
        machine: The machine.
        source: The calls; all for such models.
        seed: For the times on the GPU.
        skipped: Calls at the beginning that are not counted.
        full: Begin with as many models in memory as fit, in the order of `models`, and not with none.

    Raises:
        ValueError: A model does not fit, or no call is counted.
    """
    run = _Run(models, machine, source, np.random.default_rng(seed), skipped)
    if full:
        run.fill()
    return run.outcome()


@dataclass
class _Counts:
    """What has been counted since the warm-up."""

    latencies: list[float] = field(default_factory=list)
    hits: int = 0
    arrivals: int = 0
    resident: int = 0
    loads: int = 0
    late: int = 0
    busy: float = 0.0
    since: float | None = None
    until: float = 0.0


class _Run:
    def __init__(
        self, models: Mapping[str, Model], machine: Machine, source: Source, random: np.random.Generator, skipped: int
    ) -> None:
        self._models, self._machine, self._source, self._random = models, machine, source, random
        extents = {name: model.extent for name, model in models.items()}
        self.cache = ModelCache(machine.memory, machine.disk, extents)
        self._skipped = skipped
        self._arrived = 0
        self._counts = _Counts()
        self._events: list[tuple[float, int, int, Call | str]] = []
        self._sequence = self._expected = 0
        self._users: Counter[str] = Counter()
        # Calls that wait for a model, by model; the models among them that are being loaded, and those that wait to be.
        self._waiting: dict[str, list[Call]] = {}
        self._loading: set[str] = set()
        self._unbegun: deque[str] = deque()
        # A model's calls; the first of them is being answered. All that are progress alike: `_work` is how much each
        # has had that was there from the start, and `_working` holds by how much of it a call will be answered.
        self._queues: defaultdict[str, deque[Call]] = defaultdict(deque)
        self._working: list[tuple[float, int, Call]] = []
        self._work = self._worked_until = 0.0

    def fill(self) -> None:
        for name, model in self._models.items():
            if self.cache.memory_used + model.extent.memory <= self._machine.memory:
                self.cache.admit(name, busy=self.cache.loaded)
        for name in reversed(self.cache.loaded):
            self.cache.touch(name)

    def outcome(self) -> Outcome:
        for call in self._source.begin():
            self._at(call.at, _ARRIVES, call)
        while self._events:
            now, sequence, kind, what = heapq.heappop(self._events)
            if isinstance(what, Call):
                self._arrives(what, now)
            elif kind == _LOADED:
                self._loaded(what, now)
            elif sequence == self._expected:
                self._answers(now)
        counts = self._counts
        if not counts.latencies or counts.since is None:
            raise ValueError("no call is counted")
        seconds = max(counts.until - counts.since, 1e-9)
        return Outcome(
            latencies=np.array(counts.latencies),
            hits=counts.hits,
            loads=counts.loads,
            resident=counts.resident / counts.arrivals,
            seconds=seconds,
            busy=counts.busy / seconds / self._machine.slots,
            late=counts.late,
        )

    def _at(self, time: float, kind: int, what: Call | str) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (time, self._sequence, kind, what))

    def _arrives(self, call: Call, now: float) -> None:
        self._arrived += 1
        ready = self.cache.holds(call.model) and call.model not in self._loading
        if self._arrived > self._skipped:
            counts = self._counts
            counts.since = now if counts.since is None else counts.since
            counts.arrivals += 1
            counts.hits += ready
            counts.resident += self.cache.resident - len(self._loading)
        if ready:
            self._serve(call, now)
        elif call.model in self._waiting:
            self._waiting[call.model].append(call)
        else:
            self._waiting[call.model] = [call]
            self._unbegun.append(call.model)
            self._begin_loads(now)

    def _begin_loads(self, now: float) -> None:
        for _ in range(len(self._unbegun)):
            name = self._unbegun.popleft()
            stored = self.cache.stores(name)
            if len(self._loading) >= self._machine.loaders or not self.cache.admit(name, self._busy()):
                self._unbegun.append(name)
                continue
            self._loading.add(name)
            model = self._models[name]
            self._at(now + (0.0 if stored else model.store) + model.load, _LOADED, name)

    def _busy(self) -> set[str]:
        return self._loading | self._users.keys()

    def _loaded(self, name: str, now: float) -> None:
        self._loading.discard(name)
        self.cache.touch(name)
        self._counts.loads += self._counts.since is not None
        for call in self._waiting.pop(name):
            self._serve(call, now)
        self._begin_loads(now)

    def _serve(self, call: Call, now: float) -> None:
        self._users[call.model] += 1
        self.cache.touch(call.model)
        queue = self._queues[call.model]
        queue.append(call)
        if len(queue) == 1:
            self._progress(now)
            self._start(call)
            self._await_answer(now)

    def _start(self, call: Call) -> None:
        mean = self._models[call.model].service
        seconds = self._random.exponential(mean) if self._machine.varies and mean else mean
        heapq.heappush(self._working, (self._work + seconds, call.number, call))

    def _progress(self, now: float) -> None:
        """Brings the work of the GPU up to a time."""
        working, passed = len(self._working), now - self._worked_until
        if working:
            self._work += passed * min(1.0, self._machine.slots / working)
            self._counts.busy += passed * min(working, self._machine.slots) * (self._counts.since is not None)
        self._worked_until = now

    def _await_answer(self, now: float) -> None:
        """Expects the next answer; an earlier expectation is void."""
        self._expected = self._sequence + 1
        if self._working:
            left = max(0.0, self._working[0][0] - self._work)
            self._at(now + left / min(1.0, self._machine.slots / len(self._working)), _ANSWERS, "")

    def _answers(self, now: float) -> None:
        self._progress(now)
        _, _, call = heapq.heappop(self._working)
        queue = self._queues[call.model]
        queue.popleft()
        if queue:
            self._start(queue[0])
        self._await_answer(now)
        self._users[call.model] -= 1
        if not self._users[call.model]:
            del self._users[call.model]
        self.cache.touch(call.model)
        self._count(call, now)
        following = self._source.after(now + self._machine.overhead)
        if following:
            self._at(following.at, _ARRIVES, following)
        self._begin_loads(now)

    def _count(self, call: Call, now: float) -> None:
        counts = self._counts
        if counts.since is not None and call.at >= counts.since:
            latency = now - call.at + self._machine.overhead
            counts.latencies.append(latency)
            counts.late += latency > PATIENCE_SECONDS
            counts.until = now
