"""How many machines it takes: with a cache in front of all models, or with every model in memory for good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cohost.plan.cache import Extent
from cohost.plan.inputs import Assumptions, PlannedModel
from cohost.plan.packing import pack, spread
from cohost.plan.simulation import PATIENCE_SECONDS, Machine, Model, Outcome, simulate
from cohost.plan.traffic import Stream

# Of one endpoint; quotas are lower.
MOST_MACHINES: Final = 50
_CALLS: Final = 20_000
_CALLS_A_MODEL: Final = 40
_MOST_CALLS: Final = 60_000
_FEWEST_CALLS: Final = 400
_WARM_UP: Final = 0.2


@dataclass(frozen=True)
class Room:
    """What one machine has for models.

    Attributes:
        memory: Bytes of GPU memory.
        disk: Bytes of disk.
    """

    memory: int
    disk: int


@dataclass(frozen=True)
class Goal:
    """What is asked of the calls.

    Attributes:
        p99: Seconds that 99 % of the calls may take at the most, cold starts among them; None = any time.
        seed: The same seed gives the same plan.
    """

    p99: float | None
    seed: int


@dataclass(frozen=True)
class Endpoint:
    """One endpoint.

    Attributes:
        models: Names of what it serves.
        machines: How many machines it has.
    """

    models: tuple[str, ...]
    machines: int


@dataclass(frozen=True)
class Sizing:
    """What it takes, and what comes of it.

    Attributes:
        endpoints: With the machines of each.
        resident: Models in memory, on average; one on two machines counts twice.
        hit_ratio: The share of calls that find their model in memory.
        cold_calls: Calls an hour that wait for a model.
        loads: Models loaded an hour.
        p50: Median of the latency, in seconds.
        p99: Its 99th percentile.
        busy: The share of its time that the busiest GPU works.
        refused: The share of calls that take more than a minute.
        met: Whether this is what was asked.
    """

    endpoints: tuple[Endpoint, ...]
    resident: float
    hit_ratio: float
    cold_calls: float
    loads: float
    p50: float
    p99: float
    busy: float
    refused: float
    met: bool

    @property
    def machines(self) -> int:
        """How many machines there are in all."""
        return sum(endpoint.machines for endpoint in self.endpoints)


def with_cache(models: Sequence[PlannedModel], room: Room, assumed: Assumptions, goal: Goal) -> Sizing:
    """Sizes one endpoint that loads a model when it is called: a multi-model endpoint of SageMaker.

    Its machines share the models out, as "smart routing" does; how it does that is not documented, here each has
    about the same calls.

    Args:
        models: What is served.
        room: Of one machine.
        assumed: What is assumed.
        goal: What is asked.

    Returns:
        The fewest machines that meet the goal, if more are never worse; where none do, the most that were tried.

    Raises:
        ValueError: A model does not fit on a machine.
    """
    rates = {model.name: model.rate for model in models}
    names = tuple(sorted(rates))

    def sized(machines: int) -> Sizing:
        shares = [share for share in spread(rates, machines) if sum(share.values())]
        runs = [_run(models, share, room, assumed, goal) for share in shares]
        return _sizing((Endpoint(names, machines),), runs, shares, assumed, goal)

    machines = _fewest(models, assumed)
    too_few, found = machines - 1, sized(machines)
    while not (found.met or _at_its_best(found, assumed) or machines >= MOST_MACHINES):
        too_few, machines = machines, min(MOST_MACHINES, 2 * machines)
        found = sized(machines)
    while found.met and found.machines - too_few > 1:
        middle = sized((found.machines + too_few) // 2)
        if middle.met:
            found = middle
        else:
            too_few = middle.machines
    return found


def _at_its_best(found: Sizing, assumed: Assumptions) -> bool:
    """Whether more machines would help nothing: no call is cold, and none waits for long."""
    return found.hit_ratio == 1 and found.busy <= assumed.most_busy / 2


def without_cache(models: Sequence[PlannedModel], room: Room, assumed: Assumptions, goal: Goal) -> Sizing:
    """Sizes endpoints that hold all their models at once: Vertex AI's, or Triton with nothing before it.

    Args:
        models: What is served.
        room: Of one machine.
        assumed: What is assumed.
        goal: What is asked.

    Returns:
        As few endpoints as hold all models, each with the fewest machines that meet the goal.

    Raises:
        ValueError: A model does not fit on a machine.
    """
    known = {model.name: model for model in models}
    packed = pack({model.name: model.memory for model in models}, room.memory)
    endpoints: list[Endpoint] = []
    runs: list[Outcome] = []
    shares: list[dict[str, float]] = []
    for names in packed:
        own = [known[name] for name in names]
        machines = _fewest(own, assumed)
        share = {model.name: model.rate / machines for model in own}
        while sum(share.values()):
            run = _run(own, share, room, assumed, goal)
            if _meets(run, assumed, goal) or run.busy <= assumed.most_busy / 2 or machines >= MOST_MACHINES:
                # The other machines of the endpoint are like this one.
                runs += [run] * machines
                shares += [share] * machines
                break
            machines += 1
            share = {model.name: model.rate / machines for model in own}
        endpoints.append(Endpoint(names, machines))
    found = _sizing(tuple(endpoints), runs, shares, assumed, goal)
    resident = sum(len(endpoint.models) * endpoint.machines for endpoint in endpoints)
    return replace(found, resident=float(resident))


def _fewest(models: Sequence[PlannedModel], assumed: Assumptions) -> int:
    """Machines that are not too busy, if nothing but the work of the calls counts."""
    work = math.fsum(model.rate * model.service for model in models) / assumed.slots
    return max(1, math.ceil(work / assumed.most_busy))


def _run(
    models: Sequence[PlannedModel], share: Mapping[str, float], room: Room, assumed: Assumptions, goal: Goal
) -> Outcome:
    """Simulates one machine with its share of the calls."""
    own = {
        model.name: Model(Extent(model.memory, model.size), model.service, model.store, model.load)
        for model in sorted(models, key=lambda model: -share.get(model.name, 0.0))
        if model.name in share
    }
    rate = sum(share.values()) / sum(model.rate for model in models)
    everything = min(_MOST_CALLS, max(_CALLS, _CALLS_A_MODEL * len(models)))
    calls = max(_FEWEST_CALLS, int(everything * rate))
    machine = Machine(room.memory, room.disk, assumed.slots, assumed.loads_at_once, overhead=assumed.overhead_ms / 1000)
    stream = Stream(dict(share), calls, goal.seed)
    return simulate(own, machine, stream, seed=goal.seed, skipped=int(calls * _WARM_UP), full=True)


def _meets(run: Outcome, assumed: Assumptions, goal: Goal) -> bool:
    in_time = goal.p99 is None or run.percentile(99) <= goal.p99
    return in_time and run.busy <= _tolerated(assumed)


def _tolerated(assumed: Assumptions) -> float:
    """A simulated share of busy time scatters about what was planned."""
    return min(0.99, assumed.most_busy * 1.1)


def _sizing(
    endpoints: tuple[Endpoint, ...],
    runs: Sequence[Outcome],
    shares: Sequence[Mapping[str, float]],
    assumed: Assumptions,
    goal: Goal,
) -> Sizing:
    """Puts machines together, each weighted with its calls."""
    rates = [sum(share.values()) for share in shares]
    rate = math.fsum(rates)
    hit_ratio = math.fsum(each * run.hit_ratio for each, run in zip(rates, runs, strict=True)) / rate
    weights = np.concatenate([np.full(run.calls, each / run.calls) for each, run in zip(rates, runs, strict=True)])
    latencies = np.concatenate([run.latencies for run in runs])
    p50, p99 = _percentiles(latencies, weights, (0.5, 0.99))
    busy = max(run.busy for run in runs)
    refused = float(weights[latencies > PATIENCE_SECONDS].sum() / rate)
    return Sizing(
        endpoints=endpoints,
        resident=math.fsum(run.resident for run in runs),
        hit_ratio=hit_ratio,
        cold_calls=(1 - hit_ratio) * rate * 3600,
        loads=math.fsum(each * run.loads / run.calls for each, run in zip(rates, runs, strict=True)) * 3600,
        p50=p50,
        p99=p99,
        busy=busy,
        refused=refused,
        met=(goal.p99 is None or p99 <= goal.p99) and busy <= _tolerated(assumed) and not refused,
    )


def _percentiles(values: np.ndarray, weights: np.ndarray, wanted: Sequence[float]) -> list[float]:
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return [float(values[order][np.searchsorted(summed, share * summed[-1])]) for share in wanted]
