from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from cohost.cli import cost
from cohost.cli.main import main
from cohost.cost import OLD_DAYS, of_resources
from tests.documents import ROOT, python_blocks
from tests.unit.asking import Ask, asking
from tests.unit.asking import document as asked_for
from tests.unit.model_folders import write_catalog, write_model

SCHEMA = json.loads((ROOT / "cohost/schemas/cost.schema.json").read_text())
IMAGE = f"us-central1-docker.pkg.dev/my-project/serving/triton@sha256:{'0' * 64}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two stacks and two models."""
    (tmp_path / "Pulumi.yaml").write_text("name: shared-endpoint\nruntime: python\n")
    models = tmp_path / "model_artifacts"
    write_catalog(models / "catalog.yaml", ["digits", "iris"])
    for name in ("digits", "iris"):
        write_model(models / name)
    for stack, values in (
        ("aws", {"aws:region": "eu-west-1"}),
        ("gcp", {"gcp:project": "my-project", "gcp:region": "us-central1", "shared-endpoint:image": IMAGE}),
    ):
        config = {"shared-endpoint:platform": stack, **values}
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))
    return tmp_path


@pytest.fixture
def ask(project: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    return asking("cost", project, capsys)


def document(ask: Ask, *arguments: str) -> Any:
    return asked_for(ask, SCHEMA, *arguments)


def change(project: Path, stack: str, **values: Any) -> None:
    file = project / f"Pulumi.{stack}.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"] |= {f"shared-endpoint:{key}": value for key, value in values.items()}
    file.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("stack", ["aws", "gcp"])
def test_the_answer_keeps_its_schema_and_adds_up(ask: Ask, stack: str) -> None:
    answer = document(ask, stack, "--rate", "2.5")
    standing, storage = answer["standing"], answer["storage"]["estimate"]
    assert answer["complete"] is True
    assert standing["unknown"] == []
    whole = standing["per_month"]["minimum"] + storage["per_month"]["minimum"]
    assert answer["per_month"]["minimum"] == pytest.approx(whole, abs=1e-5)
    assert answer["per_model"]["models"] == 2
    assert answer["per_model"]["per_month"]["minimum"] == pytest.approx(whole / 2, abs=1e-5)
    calls = answer["per_million_calls"]
    hour = standing["per_hour"]["minimum"] + storage["per_hour"]["minimum"]
    assert calls["cost"]["minimum"] == pytest.approx(hour / (2.5 * 3600) * 1e6, rel=1e-4)
    assert answer["storage"]["bytes"] > 0
    assert [each["where"] for each in answer["elsewhere"]] == (
        ["EC2", "Vertex AI", "Compute Engine"] if stack == "aws" else ["Compute Engine", "SageMaker", "EC2"]
    )


def test_without_a_rate_there_is_no_price_of_a_call(ask: Ask) -> None:
    assert document(ask, "aws")["per_million_calls"] is None
    assert "give --rate CALLS" in ask("aws")[1]


def test_a_person_sees_the_line_of_the_preview_and_for_each_number_its_source_and_age(ask: Ask) -> None:
    code, out, err = ask("aws", "--rate", "10")
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    standing = of_resources(
        [
            {"type": "cohost:index:ArtifactSet", "name": "models", "props": {"region": "eu-west-1"}},
            {
                "type": "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
                "name": "shared",
                "props": {"productionVariants": [{"instanceType": "ml.g5.xlarge", "initialInstanceCount": 1}]},
            },
            {"type": "aws:kms/key:Key", "name": "key", "props": {}},
            *({"type": "aws:cloudwatch/metricAlarm:MetricAlarm", "name": f"a{n}", "props": {}} for n in range(6)),
        ]
    )
    assert first == f"aws: {standing.headline()}"
    priced = [line for line in rest if re.search(r"\$\d", line) and re.search(r"\[\d+\]$", line)]
    assert len(priced) >= 5
    notes = dict(re.findall(r"^\[(\d+)\] (\d+ days? old: \w+, \d{4}-\d\d-\d\d: .+)$", out, re.MULTILINE))
    assert {number for line in priced for number in re.findall(r"\[(\d+)\]", line)} == set(notes)
    assert "2 models share it" in out
    assert "a million calls: $" in out


def test_an_autoscaled_stack_shows_its_fewest_and_its_most_machines(ask: Ask, project: Path) -> None:
    change(project, "gcp", machine={"minReplicas": 1, "maxReplicas": 3})
    answer = document(ask, "gcp")
    for amounts in (answer["standing"]["per_month"], answer["elsewhere"][0]["estimate"]["per_month"]):
        assert amounts["maximum"] == pytest.approx(3 * amounts["minimum"], rel=1e-6)
    assert re.search(r"1 to 3 × g2-standard-8 with 1 NVIDIA_L4 +\$[\d.]+ to \$", ask("gcp")[1])


def test_a_machine_without_a_price_is_named_on_standard_output_and_counted_nowhere(ask: Ask, project: Path) -> None:
    change(project, "gcp", machine={"type": "a2-highgpu-1g", "accelerator": "NVIDIA_TESLA_A100"})
    answer = document(ask, "gcp")
    assert answer["standing"]["lines"] == []
    assert "no price of a2-highgpu-1g (Vertex AI) is known in us-central1" in answer["standing"]["unknown"][0]["why"]
    out = ask("gcp")[1]
    assert out.startswith("gcp: nothing priced; not priced: ")
    assert answer["complete"] is False
    assert "a model: at least $0.00 a month" in out
    assert "all that is priced, us-central1" in out
    assert "the machines on SageMaker: a2-highgpu-1g has no like there" in out


def test_a_model_of_which_only_the_digest_is_here_is_said_not_to_be_in_the_storage(ask: Ask, project: Path) -> None:
    file = project / "model_artifacts" / "catalog.yaml"
    content = yaml.safe_load(file.read_text())
    content["models"].append({"name": "pushed", "artifact": "0" * 64, "owner": "team"})
    file.write_text(yaml.safe_dump(content))
    assert document(ask, "aws")["storage"]["unsized"] == ["pushed"]
    assert "not priced: storage of pushed: only a digest is here" in ask("aws")[1]


def test_old_prices_are_warned_of_and_calculated_ones_are_told_apart(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = document(ask, "aws")["warnings"]
    assert any("prices marked ~ are calculated or recalled" in line for line in fresh)

    class Later(date):
        @classmethod
        def today(cls) -> date:
            return date(2027, 12, 1)

    monkeypatch.setattr(cost, "date", Later)
    later = document(ask, "aws")["warnings"]
    assert any(f"of the prices are more than {OLD_DAYS} days old" in line for line in later)
    assert any("python -m scripts.prices" in line for line in later)


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf"])
def test_a_rate_that_is_none_is_refused_with_exit_code_2(ask: Ask, rate: str) -> None:
    code, out, err = ask("aws", "--rate", rate)
    assert (code, out) == (2, "")
    assert err.startswith("error: --rate: ")
    assert "a number above 0 is" in err


def test_everything_wrong_in_settings_and_catalog_is_said_at_once(ask: Ask, project: Path) -> None:
    change(project, "aws", variant={"instanceType": "ml.m5.xlarge"}, logRetentionDays=1.5)
    (project / "model_artifacts" / "iris" / "config.pbtxt").unlink()
    code, out, err = ask("aws")
    assert (code, out) == (2, "")
    assert all(word in err for word in ("ml.m5.xlarge", "logRetentionDays", "iris"))
    assert ask("nowhere")[0] == 2


@pytest.mark.parametrize("stack", ["aws", "gcp"])
def test_the_page_shows_what_the_command_prints_but_for_the_ages(
    stack: str, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = (ROOT / "docs/cost.md").read_text().split("```\n")
    command, *shown = next(block for block in blocks if block.startswith(f"$ cohost cost {stack}")).splitlines()
    assert main([*command.removeprefix("$ cohost ").split(), "-C", str(ROOT)]) == 0
    assert _lasting(shown) == _lasting(capsys.readouterr().out.splitlines())
    assert re.search(r"^\[1\] ", "\n".join(shown), re.MULTILINE)


@pytest.mark.parametrize("stack", ["aws", "gcp"])
def test_the_first_line_is_the_one_that_the_real_commands_preview_shows(
    stack: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cost", stack, "-C", str(ROOT)]) == 0
    first = capsys.readouterr().out.splitlines()[0].removeprefix(f"{stack}: ")
    preview = (ROOT / f"docs/examples/preview-policies-{stack}.txt").read_text()
    assert first in [line.strip() for line in preview.splitlines()]


def _lasting(lines: list[str]) -> str:
    """The lines without what changes from day to day: ages, and warnings of them."""
    kept = [line for line in lines if not line.startswith("note: ")]
    return re.sub(r"\d+ days? old:", "so old:", "\n".join(kept)).rstrip()


def test_the_python_of_the_page_works_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    exec("\n".join(python_blocks(ROOT / "docs/cost.md")), {})
    assert re.fullmatch(r"\$[\d.]+ to \$[\d,.]+~ a month, .*\n", capsys.readouterr().out)
