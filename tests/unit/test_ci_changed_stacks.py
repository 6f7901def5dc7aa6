"""Which stacks a change touches: rather one too many than one too few."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts.ci import changed_stacks
from scripts.ci.changed_stacks import stacks_of, touched
from tests.documents import ROOT

PLATFORMS = {"aws": "aws", "gcp": "gcp", "aws-prod": "aws"}
AWS, GCP, ALL, NONE = ["aws", "aws-prod"], ["gcp"], ["aws", "aws-prod", "gcp"], list[str]()


@pytest.mark.parametrize(
    ("file", "stacks"),
    [
        ("Pulumi.aws-prod.yaml", ["aws-prod"]),
        ("Pulumi.gone.yaml", NONE),
        ("Pulumi.yaml", ALL),
        ("model_artifacts/iris/1/model.onnx", ALL),
        ("model_artifacts/catalog.yaml", ALL),
        ("uv.lock", ALL),
        ("__main__.py", ALL),
        ("provider/PulumiPlugin.yaml", ALL),
        ("policies/rules/network.py", ALL),
        ("policies/tests/test_rules.py", NONE),
        ("components/aws/endpoint.py", AWS),
        ("components/gcp/endpoint.py", GCP),
        ("stacks/gcp.py", GCP),
        ("cohost/aws_rules.py", AWS),
        ("cohost/policies_aws.py", ALL),
        ("cohost/gcs.py", GCP),
        ("cohost/provider/vertex/model.py", GCP),
        ("cohost/provider/aws.py", AWS),
        ("cohost/provider/servicer.py", ALL),
        ("cohost/data/vertex_fleet.json", ALL),
        ("a-folder/that/is/new.py", ALL),
        ("docs/operations.md", NONE),
        ("README.md", NONE),
        ("tests/unit/test_smoke.py", NONE),
        ("cohost/local/vertex/models.py", NONE),
        (".github/workflows/checks.yml", NONE),
    ],
)
def test_a_file_touches_the_stacks_that_it_can_change(file: str, stacks: list[str]) -> None:
    assert touched([file], PLATFORMS) == stacks


def test_files_add_up() -> None:
    assert touched(["stacks/gcp.py", "docs/a.md", "Pulumi.aws.yaml"], PLATFORMS) == ["aws", "gcp"]
    assert touched([], PLATFORMS) == []


def test_the_stacks_are_those_with_a_file_of_settings() -> None:
    assert stacks_of(ROOT).items() >= {("aws", "aws"), ("gcp", "gcp")}


def test_every_folder_of_the_project_that_the_rules_name_is_there() -> None:
    for folder in ("components/aws", "components/gcp", "cohost/local", "cohost/report", "cohost/provider/vertex"):
        assert (ROOT / folder).is_dir(), folder


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_command_compares_with_a_commit_and_tells_the_next_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for stack in ("aws", "gcp"):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(f"config:\n  shared-endpoint:platform: {stack}\n")
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/gcp.py").write_text("one = 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "First")
    (tmp_path / "stacks/gcp.py").rename(tmp_path / "README.md")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "Second")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    for base, stacks in (("HEAD^1", ["gcp"]), ("HEAD", []), ("0" * 40, ["aws", "gcp"])):
        assert changed_stacks.main([base]) == 0
        assert json.loads(capsys.readouterr().out) == stacks
    assert (tmp_path / "output").read_text() == 'stacks=["gcp"]\nstacks=[]\nstacks=["aws", "gcp"]\n'
