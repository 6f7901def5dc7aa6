"""A training run on this machine, from the first step to the answer of real Triton."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.project import CHECKOUT, Project, scratch_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = scratch_project(tmp_path / "project", models=("iris",))
    yield made
    made.cohost("local", "stop")


def step(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"scripts.pipeline.{name}", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300)


def test_a_model_that_was_trained_and_has_passed_is_served_by_the_digest_that_its_push_printed(
    project: Project, tmp_path: Path
) -> None:
    model, rows, report = (str(tmp_path / name) for name in ("model", "rows", "report"))
    assert step("train", "--model", "wine", "--out", model, "--held-out", rows).returncode == 0
    gate = ("--model", model, "--held-out", rows, "--out", report)
    assert step("evaluate", *gate, "--floor", "1.1").returncode == 1
    passed = step("evaluate", *gate, "--floor", "0.9")
    assert passed.returncode == 0, passed.stderr

    project.operate("up")
    pushed = project.cohost("local", "push", str(Path(model) / "wine"), "--stack", "aws", "--json").json()
    assert pushed["uploaded"]
    entry = {"name": "wine", "artifact": pushed["artifact"], "owner": "food-team"}
    project.edit("model_artifacts/catalog.yaml", lambda content: {"models": [*content["models"], entry]})
    project.operate("up")

    served = {item["model"]: item["artifact"] for item in project.cohost("local", "models", "aws", "--json").json()}
    assert served["wine"] == pushed["artifact"]
    answer = project.cohost("local", "invoke", "aws", "wine", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["parameters"]["smoke_test"] == "passed"
    project.operate("destroy")
