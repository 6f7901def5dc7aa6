"""Runs of the SageMaker emulator with real Triton that the planner's predictions are held to.

`python -m tests.local.planner_runs` writes what it measures to docs/examples/planner-local-runs.json.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench import planner
from cohost import archive
from cohost.local.large_model import make_large_model
from cohost.plan.memory import Footprint, of_first_loads
from cohost.plan.traffic import Stream, Traffic, parse
from tests.local.sagemaker_fixture import VARIANT, Account, running, until

_TYPE: Final = "ml.g5.xlarge"
_MIB: Final = 2**20
# More than a run needs.
_PLENTY_MIB: Final = 100_000
# Loads that the planner is told of; all that it knows of memory.
_FIRST_LOADS: Final = 2


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: What it is called.
        traffic: How the calls spread over the models.
        megabytes: Size of each model's weights in MiB, the most called model first.
        limit_mib: Memory for models in MiB.
        calls: How many calls are counted.
        warm_up: How many come before.
        seed: Of the calls.
    """

    name: str
    traffic: str
    megabytes: tuple[int, ...]
    limit_mib: int
    calls: int
    warm_up: int
    seed: int


RUNS: Final = (
    Run("uniform", "uniform", (2,) * 10, 540, 80, 15, 11),
    Run("Zipf", "zipf:1.2", (2,) * 12, 420, 80, 15, 12),
    Run("Zipf, sizes mixed", "zipf:0.8", (40, 4, 24, 2, 8, 40, 16, 2, 4, 24), 560, 80, 15, 13),
)


@dataclass(frozen=True)
class Seen:
    """What a run showed.

    Attributes:
        resident: Models in memory, on average over the counted calls.
        hit_ratio: The share of the counted calls that found their model in memory.
    """

    resident: float
    hit_ratio: float


def names_of(run: Run) -> list[str]:
    """The names of a run's models, the most called first."""
    return [f"m{number:02}" for number in range(len(run.megabytes))]


def memory_of(run: Run, footprints: Mapping[int, Footprint]) -> dict[str, float]:
    """The memory of each model, in MiB, from the first loads of its like."""
    return {name: footprints[size].each for name, size in zip(names_of(run), run.megabytes, strict=True)}


def measured(account: Account, run: Run, *, role: str) -> tuple[Seen, dict[int, Footprint]]:
    """Runs it: returns what it showed, and what the first loads of each size tell of memory in MiB."""
    endpoint = f"planner-{RUNS.index(run)}"
    account.limit(memory={_TYPE: _PLENTY_MIB * _MIB})
    account.endpoint(endpoint, account.config(endpoint, role=role, instance_type=_TYPE))
    targets = _upload(account, run, endpoint)
    footprints = {size: _first_loads(account, endpoint, size) for size in sorted(set(run.megabytes))}
    account.remove(endpoint)
    account.limit(memory={_TYPE: run.limit_mib * _MIB})
    account.endpoint(endpoint, endpoint)
    rates = dict(zip(names_of(run), _traffic(run).shares(len(targets)), strict=True))
    stream = Stream(rates, run.warm_up + run.calls, run.seed)
    resident: list[int] = []
    hits: list[bool] = []
    for call in stream.calls:
        loaded = _loaded(account, endpoint)
        resident.append(len(loaded))
        hits.append(targets[call.model] in loaded)
        account.invoke(endpoint, targets[call.model], _BODY)["Body"].read()
    account.remove(endpoint)
    account.limit()
    return Seen(_mean(resident[run.warm_up :]), _mean(hits[run.warm_up :])), footprints


_BODY: Final = json.dumps({"inputs": [{"name": "row", "shape": [1, 1], "datatype": "INT64", "data": [0]}]}).encode()


def _traffic(run: Run) -> Traffic:
    found = parse(run.traffic)
    assert found is not None
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _upload(account: Account, run: Run, endpoint: str) -> dict[str, str]:
    return {
        name: _put(account, f"{endpoint}-{name}", name, size, seed)
        for seed, (name, size) in enumerate(zip(names_of(run), run.megabytes, strict=True))
    }


def _put(account: Account, key: str, name: str, megabytes: int, seed: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        make_large_model(Path(folder) / name, name, megabytes, seed)
        packed = io.BytesIO()
        archive.pack(Path(folder) / name, name, packed)
        return account.put(packed.getvalue(), f"{key}.tar.gz")


def _loaded(account: Account, endpoint: str) -> set[str]:
    return {each["target"] for each in account.models(endpoint) if each["loaded"]}


def _first_loads(account: Account, endpoint: str, megabytes: int) -> Footprint:
    """What the first loads of models of a size add to the memory in use, in MiB."""
    used: list[float] = []
    for number in range(_FIRST_LOADS):
        target = _put(account, f"{endpoint}-first-{megabytes}-{number}", "first", megabytes, 1000 + number)
        account.invoke(endpoint, target, _BODY)["Body"].read()
        used.append(_memory_in_use(account, endpoint))
    return of_first_loads(used)


def _memory_in_use(account: Account, endpoint: str) -> float:
    """GPU memory in MiB as CloudWatch has it, while models are only added."""
    loaded = len(_loaded(account, endpoint))
    until(lambda: _highest(account, endpoint, "LoadedModelCount"), lambda found: found == loaded)
    return _highest(account, endpoint, "GPUMemoryUtilization") / 100 * _PLENTY_MIB


def _highest(account: Account, endpoint: str, name: str) -> float:
    now = datetime.now(UTC)
    found = account.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/Endpoints",
        MetricName=name,
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Maximum"],
    )
    return max((point["Maximum"] for point in found["Datapoints"]), default=0.0)


def _record() -> None:
    """Runs all and writes down what was measured."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as account:
        role = account.role("serving")
        rows: list[dict[str, Any]] = []
        for run in RUNS:
            seen, footprints = measured(account, run, role=role)
            memory = memory_of(run, footprints)
            rows.append({**asdict(run), "memory_mib": memory, "measured": asdict(seen)})
            for check in planner.local_checks(asdict(run), memory, **asdict(seen)):
                print(check, flush=True)
    document = {"measured": date.today().isoformat(), "by": "python -m tests.local.planner_runs", "runs": rows}
    planner.LOCAL.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    _record()
