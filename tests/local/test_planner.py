"""The planner against the SageMaker emulator with real Triton: runs that it was not tuned on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from bench import planner
from tests.local.planner_runs import RUNS, Run, measured, memory_of
from tests.local.sagemaker_fixture import Account, running

TOLERANCE = 0.15


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture(scope="module")
def role(account: Account) -> str:
    return account.role("serving")


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_residents_and_hit_ratio_are_as_predicted_from_two_loads(account: Account, role: str, run: Run) -> None:
    seen, footprints = measured(account, run, role=role)
    assert 0 < seen.hit_ratio < 1, "a run without evictions shows nothing"
    for check in planner.local_checks(asdict(run), memory_of(run, footprints), **asdict(seen)):
        assert abs(check.error) <= TOLERANCE, check
    replayed = planner.local_outcome(asdict(run), memory_of(run, footprints), replayed=True)
    assert (replayed.hit_ratio, replayed.resident) == pytest.approx((seen.hit_ratio, seen.resident))
