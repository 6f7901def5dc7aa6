"""What the workflows do with `pulumi`: here a command in PATH that notes its arguments and answers as recorded."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cohost.report.read import read
from scripts.ci import drift, ephemeral, preview
from tests.unit.report_previews import text

Fake = Callable[[dict[str, tuple[int, str, str]]], Callable[[], list[list[str]]]]

_COMMAND = """#!{python}
import json, os, pathlib, sys
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv[1:], os.environ.get("PULUMI_ENABLE_STREAMING_JSON_PREVIEW")]) + "\\n")
for begin, (code, out, err) in json.loads(pathlib.Path({answers!r}).read_text()).items():
    if " ".join(sys.argv[1:]).startswith(begin):
        print(out, end="")
        print(err, end="", file=sys.stderr)
        sys.exit(code)
"""


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a `pulumi` into PATH that answers by how its arguments begin; returns what reads the calls."""

    def put(answers: dict[str, tuple[int, str, str]]) -> Callable[[], list[list[str]]]:
        folder, log, file = tmp_path / "bin", tmp_path / "calls.jsonl", tmp_path / "answers.json"
        folder.mkdir()
        file.write_text(json.dumps(answers))
        command = folder / "pulumi"
        command.write_text(_COMMAND.format(python=sys.executable, log=str(log), answers=str(file)))
        command.chmod(0o755)
        monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
        monkeypatch.chdir(tmp_path)
        return lambda: [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    return put


def arguments(calls: list[list[Any]]) -> list[str]:
    """The calls without what all of them have."""
    ends = " --non-interactive --color never"
    lines = [" ".join(call[0]) for call in calls]
    assert all(line.endswith(ends) for line in lines)
    return [line.removesuffix(ends) for line in lines]


def test_a_preview_asks_for_everything_the_report_needs(pulumi: Fake, tmp_path: Path) -> None:
    calls = pulumi({"preview": (0, text("stream-aws"), "")})
    file = tmp_path / "previews/aws.json"
    assert preview.main(["aws", "--into", str(file), "--policy-pack", "policies"]) == 0
    assert arguments(calls()) == ["preview --json --show-sames --stack aws --policy-pack policies"]
    assert calls()[0][1] == "true"
    found = read("aws", "aws.json", file.read_text())
    assert found.complete
    assert found.error == ""


@pytest.mark.parametrize("out", ["", "Previewing update (aws)\n"])
def test_a_preview_that_ends_before_it_begins_is_still_reported(pulumi: Fake, tmp_path: Path, out: str) -> None:
    pulumi({"preview": (255, out, "error: no stack named 'aws' found\n")})
    assert preview.main(["aws", "--into", str(tmp_path / "aws.json")]) == 255
    assert read("aws", "f", (tmp_path / "aws.json").read_text()).error == "no stack named 'aws' found"


def test_drift_is_found_and_is_no_failure_of_the_job(pulumi: Fake, tmp_path: Path) -> None:
    said = "error: no changes were expected for refresh but changes were proposed\n"
    calls = pulumi({"refresh": (7, text("drift-aws"), said)})
    assert drift.main(["look", "aws", "--into", str(tmp_path / "aws.json")]) == 0
    assert arguments(calls()) == ["refresh --preview-only --expect-no-changes --json --stack aws"]
    assert json.loads((tmp_path / "aws.json").read_text()) == {
        "stack": "aws",
        "error": "",
        "changes": [{"title": "aws:cloudwatch:MetricAlarm rollback-5xx", "op": "delete", "diff": []}],
    }


@pytest.mark.parametrize(("code", "out"), [(1, ""), (3, ""), (7, "")])
def test_a_stack_that_could_not_be_looked_at_is_not_taken_for_one_without_drift(
    pulumi: Fake, tmp_path: Path, code: int, out: str
) -> None:
    pulumi({"refresh": (code, out, "error: no credentials\n")})
    assert drift.main(["look", "aws", "--into", str(tmp_path / "aws.json")]) == 1
    assert json.loads((tmp_path / "aws.json").read_text())["error"] == "no credentials"


def test_a_stack_of_a_pull_request_has_the_settings_of_the_stack_and_a_key_of_its_own(
    pulumi: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = pulumi({})
    monkeypatch.setenv("PULUMI_SECRETS_PROVIDER", "awskms://alias/state?region=eu-west-1")
    stack = {"secretsprovider": "other", "encryptedkey": "abc", "config": {"shared-endpoint:platform": "aws"}}
    (tmp_path / "Pulumi.aws.yaml").write_text(yaml.safe_dump(stack))
    assert ephemeral.main(["up", "12", "aws", "--policy-pack", "policies"]) == 0
    assert arguments(calls()) == [
        "stack select pr-12-aws --create --secrets-provider awskms://alias/state?region=eu-west-1",
        "up --yes --stack pr-12-aws --policy-pack policies",
    ]
    assert yaml.safe_load((tmp_path / "Pulumi.pr-12-aws.yaml").read_text()) == {
        "secretsprovider": "awskms://alias/state?region=eu-west-1",
        "config": stack["config"],
    }


def test_an_encrypted_setting_and_a_stack_that_is_none_are_refused(
    pulumi: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = pulumi({})
    monkeypatch.setenv("PULUMI_SECRETS_PROVIDER", "passphrase")
    (tmp_path / "Pulumi.aws.yaml").write_text("config:\n  a:b:\n    secure: v1:xyz\n")
    with pytest.raises(ValueError, match="is encrypted"):
        ephemeral.main(["up", "12", "aws"])
    for wrong in ("gcp", "../aws", "--yes"):
        with pytest.raises(SystemExit):
            ephemeral.main(["up", "12", wrong])
    assert calls() == []


def test_a_closed_pull_request_takes_all_its_stacks_along_and_no_other(pulumi: Fake) -> None:
    names = ("aws", "pr-1-aws", "organization/shared-endpoint/pr-12-aws", "pr-12-gcp", "pr-120-aws")
    listed = json.dumps([{"name": name} for name in names])
    calls = pulumi({"stack ls": (0, listed, ""), "destroy --yes --stack pr-12-aws": (1, "", "error: busy\n")})
    assert ephemeral.main(["down", "12"]) == 1
    assert arguments(calls())[1:] == [
        "destroy --yes --stack pr-12-aws",
        "destroy --yes --stack pr-12-gcp",
        "stack rm --yes pr-12-gcp",
    ]
