"""How good the planner's predictions are: tables of docs/planner.md, from what others and the emulators measured.

`python -m bench.planner` prints them. `tests.local.planner_runs` measures the local runs anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cohost.plan.cache import Extent
from cohost.plan.inputs import Assumptions
from cohost.plan.memory import Footprint, count_until, of_first_loads
from cohost.plan.simulation import Machine, Model, Outcome, simulate
from cohost.plan.traffic import Stage, Stream, Users, parse

_EXAMPLES: Final = Path(__file__).resolve().parents[1] / "docs/examples"
PUBLISHED: Final = _EXAMPLES / "planner-published-runs.json"
LOCAL: Final = _EXAMPLES / "planner-local-runs.json"
_MIB: Final = 2**20
_SEED: Final = 1
# The saturated part of a published run: from the end of its stage of 80 users to that of 180.
_SATURATED_SECONDS: Final = 150
_CALLS: Final = 20_000
_ASSUMED: Final = Assumptions()


@dataclass(frozen=True)
class Check:
    """One number, predicted and measured.

    Attributes:
        run: The run's name.
        what: What was counted or timed.
        measured: What it was.
        predicted: What the planner says.
    """

    run: str
    what: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """How far the prediction is from what was measured, as a share of that."""
        return self.predicted / self.measured - 1


def published() -> dict[str, Any]:
    """Returns the published runs."""
    return json.loads(PUBLISHED.read_text())


def local() -> dict[str, Any]:
    """Returns the local runs."""
    return json.loads(LOCAL.read_text())


def residents_from_loads(document: Mapping[str, Any], run: Mapping[str, Any]) -> Check:
    """Predicts how many models the benchmark loads, from what its first three loads took."""
    total = document["gpu_memory_mib"]
    used = [percent / 100 * total for percent in run["first_loads_percent"]]
    return _residents(document, run, "first three loads", of_first_loads(used))


def residents_from_size(document: Mapping[str, Any], run: Mapping[str, Any], assumed: Assumptions = _ASSUMED) -> Check:
    """Predicts the same from the weights alone, with what is assumed of the rest."""
    weights = run["parameters"] * run["bytes_a_parameter"] / _MIB
    footprint = Footprint(assumed.base_memory / _MIB, weights + assumed.model_overhead / _MIB)
    return _residents(document, run, "size alone", footprint)


def _residents(document: Mapping[str, Any], run: Mapping[str, Any], what: str, footprint: Footprint) -> Check:
    most = document["threshold"] * document["gpu_memory_mib"]
    # The benchmark's own rule: it stops when one more of the average would pass the threshold.
    count = count_until(footprint, lambda models, used: used + used / models >= most)
    return Check(run["name"], what, run["resident"], count)


def load_test(document: Mapping[str, Any], run: Mapping[str, Any]) -> list[Check]:
    """Predicts throughput and latencies of a whole published load test.

    From the latency of its first stage, when nothing waits, and from the calls a second that the GPU answers when it
    is saturated; nothing else of the run is used.
    """
    first, last = run["saturated_calls"]
    service = _SATURATED_SECONDS / (last - first)
    names = [f"model-{number}" for number in range(run["resident"])]
    models = {name: Model(Extent(1, 1), service) for name in names}
    machine = Machine(len(names), 2 * len(names), overhead=max(0.0, run["unloaded_ms"] / 1000 - service))
    stages = [Stage(until, users, rate) for until, users, rate in document["stages"]]
    low, high = document["think_s"]
    found = simulate(models, machine, Users(names, stages, (low, high), _SEED), seed=_SEED, full=True)
    seconds = stages[-1].until
    return [
        Check(run["name"], "calls/s", run["requests_per_second"], found.calls / seconds),
        *(
            Check(run["name"], f"p{percent} ms", run[f"p{percent}_ms"], found.percentile(percent) * 1000)
            for percent in (50, 90, 99)
        ),
    ]


def local_outcome(run: Mapping[str, Any], memory: Mapping[str, float], *, replayed: bool = False) -> Outcome:
    """Predicts a local run with calls of the planner's own, from another seed than the run's.

    Args:
        run: `traffic`, and `limit_mib`, the memory for models; `calls`, `warm_up` and `seed` of the run's own calls.
        memory: MiB of each model, the most called first.
        replayed: Whether the run's own calls are simulated, and not the planner's.
    """
    traffic = parse(run["traffic"])
    assert traffic is not None
    sizes = {name: int(each * _MIB) for name, each in memory.items()}
    models = {name: Model(Extent(each, each), service=0.001, load=0.01) for name, each in sizes.items()}
    # Far apart, as one caller makes them who waits for each answer.
    rates = {name: 0.01 * share for name, share in zip(sizes, traffic.shares(len(sizes)), strict=True)}
    machine = Machine(memory=int(run["limit_mib"] * _MIB), disk=2 * sum(sizes.values()))
    calls, skipped, seed = _CALLS, _CALLS // 10, _SEED
    if replayed:
        calls, skipped, seed = run["calls"] + run["warm_up"], run["warm_up"], run["seed"]
    return simulate(models, machine, Stream(rates, calls, seed), seed=seed, skipped=skipped)


def local_checks(
    run: Mapping[str, Any], memory: Mapping[str, float], *, resident: float, hit_ratio: float
) -> list[Check]:
    """Compares a local run with its prediction."""
    found = local_outcome(run, memory)
    return [
        Check(run["name"], "resident", resident, found.resident),
        Check(run["name"], "hit ratio", hit_ratio, found.hit_ratio),
    ]


def tables() -> str:
    """Returns every table of the page, as Markdown."""
    document = published()
    rows = [(residents_from_loads(document, run), residents_from_size(document, run)) for run in document["runs"]]
    tests = [load_test(document, run) for run in document["runs"]]
    runs = [local_checks(run, run["memory_mib"], **run["measured"]) for run in local()["runs"]]
    return "\n\n".join((_table(rows, _counted), _table(tests, _counted), _table(runs, _measured)))


_OF_ONE_MEASUREMENT: Final = ("first three loads", "size alone")


def _table(rows: Sequence[Sequence[Check]], number: Callable[[float], str]) -> str:
    """A line for each run: what was measured, then the prediction and its error; what was measured once, once."""
    once = rows[0][0].what in _OF_ONE_MEASUREMENT
    head = ["run"]
    for index, check in enumerate(rows[0]):
        head += [] if once and index else ["measured" if once else f"{check.what}, measured"]
        head.append(f"from the {check.what}" if once else "predicted")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for checks in rows:
        cells = [checks[0].run]
        for index, check in enumerate(checks):
            cells += [] if once and index else [number(check.measured)]
            cells.append(f"{number(check.predicted)} ({check.error:+.0%})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _counted(value: float) -> str:
    return f"{value:,.0f}"


def _measured(value: float) -> str:
    return f"{value:.2f}"


if __name__ == "__main__":
    print(tables())
