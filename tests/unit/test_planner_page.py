"""docs/planner.md: what it shows is what the command and the data say, and the predictions are as good as it claims."""

from __future__ import annotations

import re
import shlex

import pytest
from pydantic import ByteSize

from bench import planner
from cohost.cli.main import main
from cohost.plan.inputs import Assumptions
from cohost.plan.memory import of_first_loads
from tests.documents import ROOT, python_blocks

PAGE = (ROOT / "docs/planner.md").read_text()
DOCUMENT = planner.published()
RUNS = {run["name"]: run for run in DOCUMENT["runs"]}
TOLERANCE = 0.15


def test_the_page_shows_every_table_as_the_data_gives_it() -> None:
    for table in planner.tables().split("\n\n"):
        assert table in PAGE, f"python -m bench.planner prints another:\n{table}"


@pytest.mark.parametrize("name", RUNS)
def test_the_published_residents_follow_from_the_first_three_loads(name: str) -> None:
    run = RUNS[name]
    assert len(run["first_loads_percent"]) == 3
    assert abs(planner.residents_from_loads(DOCUMENT, run).error) <= TOLERANCE


def test_no_overhead_meets_all_four_published_runs_from_the_size_alone() -> None:
    for mebibytes in range(0, 700, 5):
        assumed = Assumptions(model_overhead=ByteSize(mebibytes * 2**20))
        errors = [abs(planner.residents_from_size(DOCUMENT, run, assumed).error) for run in RUNS.values()]
        assert max(errors) > TOLERANCE, mebibytes


def test_the_page_says_what_each_published_model_took_beside_its_weights() -> None:
    for name, beside in {
        "ResNet-50, PyTorch": 170,
        "ResNet-50, TensorRT fp16": 510,
        "BERT-base, PyTorch": 64,
        "BERT-base, TensorRT fp16": 102,
    }.items():
        run = RUNS[name]
        weights = run["parameters"] * run["bytes_a_parameter"] / 2**20
        each = of_first_loads(run["first_loads_percent"]).each / 100 * DOCUMENT["gpu_memory_mib"]
        assert round(each - weights) == beside
        assert re.search(rf"\b{beside} (MiB )?\(", PAGE), name


@pytest.mark.parametrize("name", RUNS)
def test_the_published_load_tests_are_as_predicted(name: str) -> None:
    checks = {check.what: abs(check.error) for check in planner.load_test(DOCUMENT, RUNS[name])}
    assert checks["calls/s"] <= TOLERANCE
    assert checks["p50 ms"] <= TOLERANCE
    # The tails are worse, as the page shows.
    assert max(checks["p90 ms"], checks["p99 ms"]) <= 0.5


def test_the_recorded_local_runs_are_as_predicted() -> None:
    runs = planner.local()["runs"]
    assert len(runs) == 3
    for run in runs:
        for check in planner.local_checks(run, run["memory_mib"], **run["measured"]):
            assert abs(check.error) <= TOLERANCE, check
        replayed = planner.local_outcome(run, run["memory_mib"], replayed=True)
        assert {"resident": replayed.resident, "hit_ratio": replayed.hit_ratio} == pytest.approx(run["measured"])


def test_the_page_shows_what_the_command_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    command, shown = next(block for block in PAGE.split("```\n") if block.startswith("$ cohost plan")).split("\n", 1)
    assert main(shlex.split(command)[2:]) == 0
    assert capsys.readouterr().out == shown


def test_the_python_of_the_page_works(capsys: pytest.CaptureFixture[str]) -> None:
    exec("\n".join(python_blocks(ROOT / "docs/planner.md")), {})
    assert capsys.readouterr().out == "base_memory: 944MiB, memory: 268MiB\n"
