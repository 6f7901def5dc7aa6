from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documents import ROOT
from tests.unit.asking import Ask, asking
from tests.unit.asking import document as asked_for
from tests.unit.model_folders import write_catalog, write_model

SCHEMA = json.loads((ROOT / "cohost/schemas/plan.schema.json").read_text())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: shared-endpoint\nruntime: python\n")
    write_catalog(tmp_path / "model_artifacts/catalog.yaml", ["digits", "iris"])
    for name in ("digits", "iris"):
        write_model(tmp_path / "model_artifacts" / name)
    config = {"shared-endpoint:platform": "aws", "aws:region": "us-east-2"}
    (tmp_path / "Pulumi.aws.yaml").write_text(yaml.safe_dump({"config": config}))
    return tmp_path


@pytest.fixture
def ask(project: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    return asking("plan", project, capsys)


def document(ask: Ask, *arguments: str) -> Any:
    return asked_for(ask, SCHEMA, *arguments)


def models_file(project: Path, text: str) -> str:
    file = project / "models.yaml"
    file.write_text(text)
    return str(file)


# Sixty models, of which an ml.g4dn.xlarge holds a little more than half.
MANY = "models: {net: {copies: 60, size: 100MiB, memory: 400MiB, service_ms: 5, load_s: 1}}\n"


def test_the_models_of_a_stack_are_planned_on_every_platform_from_its_region(ask: Ask) -> None:
    answer = document(ask, "aws", "--rate", "10")
    assert [model["model"] for model in answer["models"]] == ["digits", "iris"]
    assert answer["calls_per_second"] == 10
    assert {option["platform"] for option in answer["options"]} == {"sagemaker", "ec2", "vertex", "compute-engine"}
    assert {option["region"] for option in answer["options"]} == {"us-east-2", "us-central1"}
    assert any("is assumed" in warning for warning in answer["warnings"])
    costs = [option["per_month"] for option in answer["options"] if option["per_month"] and option["sizing"]["met"]]
    assert answer["options"][answer["cheapest"]]["per_month"] == min(costs)


def test_models_that_one_does_not_hold_go_to_several_endpoints_where_nothing_is_evicted(
    ask: Ask, project: Path
) -> None:
    file = models_file(project, MANY)
    asked = ("--rates", file, "--rate", "1", "--instance", "ml.g4dn.xlarge", "--instance", "n1-standard-4")
    by_platform = {option["platform"]: option for option in document(ask, *asked)["options"]}
    cached = by_platform["sagemaker"]["sizing"]
    assert (len(cached["endpoints"]), cached["machines"]) == (1, 1)
    assert cached["resident"] < 60
    assert cached["hit_ratio"] < 1
    for platform in ("ec2", "vertex", "compute-engine"):
        whole = by_platform[platform]["sizing"]
        assert len(whole["endpoints"]) == 2
        assert sorted(name for each in whole["endpoints"] for name in each["models"]) == sorted(
            cached["endpoints"][0]["models"]
        )
        assert (whole["resident"], whole["hit_ratio"], whole["cold_calls_an_hour"]) == (60, 1, 0)
    assert cached["cold_calls_an_hour"] == pytest.approx((1 - cached["hit_ratio"]) * 3600, rel=0.01)


def test_zipf_traffic_finds_more_models_in_memory_than_uniform(ask: Ask, project: Path) -> None:
    file = models_file(project, MANY)
    asked = ("--rates", file, "--rate", "1", "--instance", "ml.g4dn.xlarge")
    uniform, zipf = (
        document(ask, *asked, "--traffic", traffic)["options"][0]["sizing"]["hit_ratio"]
        for traffic in ("uniform", "zipf:1.2")
    )
    assert zipf > uniform + 0.1


def test_the_same_question_has_the_same_answer(ask: Ask, project: Path) -> None:
    asked = ("--rates", models_file(project, MANY), "--rate", "1", "--instance", "ml.g5.xlarge")
    assert document(ask, *asked) == document(ask, *asked)


def test_a_model_too_large_for_a_machine_is_said_and_named(ask: Ask, project: Path) -> None:
    file = models_file(project, "models: {huge: {size: 1GiB, memory: 15GiB, rate: 1}}\n")
    asked = ("--rates", file, "--instance", "ml.g4dn.xlarge", "--instance", "ml.g5.xlarge")
    small, large = document(ask, *asked)["options"][:2]
    assert (small["possible"], small["sizing"], small["per_month"]) == (False, None, None)
    assert small["why"].startswith("huge takes")
    assert large["possible"]
    code, out, _ = ask(*asked)
    assert code == 0
    assert "sagemaker ml.g4dn.xlarge: cannot be: huge takes" in out


def test_a_person_gets_the_table_and_the_cheapest(ask: Ask, project: Path) -> None:
    file = models_file(project, MANY)
    asked = ("--rates", file, "--rate", "1", "--instance", "ml.g4dn.xlarge", "--latency-ms", "100")
    code, out, err = ask(*asked, "--traffic", "zipf:1")
    assert (code, err) == (0, "")
    assert "60 models" in out
    assert "99 % of the calls within 100 ms" in out
    assert "the cheapest that does it: " in out
    assert "2 endpoints:\n  1. net-" in out


def test_what_nobody_can_do_has_no_cheapest(ask: Ask, project: Path) -> None:
    asked = ("--rates", models_file(project, MANY), "--rate", "1", "--latency-ms", "1", "--instance", "ml.g5.xlarge")
    answer = document(ask, *asked)
    assert answer["cheapest"] is None
    assert not any(option["sizing"]["met"] for option in answer["options"])
    assert "none of these does what was asked" in ask(*asked)[1]


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ((), ["STACK"]),
        (("aws",), ["models.digits.rate"]),
        (("aws", "--rate", "0"), ["--rate"]),
        (
            ("aws", "--rate", "nan", "--latency-ms", "-1", "--traffic", "normal"),
            ["--latency-ms", "--rate", "--traffic"],
        ),
        (("aws", "--rate", "1", "--instance", "ml.p3.2xlarge"), ["--instance"]),
        (("--rates", "absent.yaml"), [""]),
    ],
)
def test_bad_input_is_refused_with_every_problem(ask: Ask, arguments: tuple[str, ...], keys: list[str]) -> None:
    code, out, _ = ask(*arguments, "--json")
    assert code == 2
    assert [problem["key"] for problem in json.loads(out)["problems"]] == keys
