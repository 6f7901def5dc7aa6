from __future__ import annotations

import json
from pathlib import Path

import pytest

from cohost.tokens import DEPLOYED_STATE
from rules.deployed import deployed

URN = "urn:pulumi:dev::shared-endpoint::aws:kms/key:Key::models"
STATE = {
    "version": 3,
    "deployment": {
        "resources": [
            {"urn": URN, "type": "aws:kms/key:Key", "inputs": {"enableKeyRotation": True}},
            {"urn": URN, "type": "aws:kms/key:Key", "inputs": {}, "delete": True},
        ]
    },
}
KEY = {"type": "aws:kms/key:Key", "name": "models", "props": {"enableKeyRotation": True}}


@pytest.fixture(autouse=True)
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (DEPLOYED_STATE, "PULUMI_ORGANIZATION"):
        monkeypatch.delenv(name, raising=False)


def a_command(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    command = folder / "pulumi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_the_command_that_runs_the_preview_tells_what_is_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state.json").write_text(json.dumps(STATE))
    a_command(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/called; cat {tmp_path}/state.json')
    assert deployed(URN) == [KEY]
    called = (tmp_path / "called").read_text()
    assert called == "stack export --stack organization/shared-endpoint/dev --non-interactive\n"


def test_the_file_of_the_embedded_engine_tells_what_is_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "state.json"
    monkeypatch.setenv(DEPLOYED_STATE, str(file))
    assert deployed(URN) == []
    file.write_text(json.dumps(STATE))
    assert deployed(URN) == [KEY]


def test_a_state_that_cannot_be_read_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_command(tmp_path, monkeypatch, "exit 255")
    assert deployed(URN) is None
    a_command(tmp_path, monkeypatch, "echo no JSON")
    assert deployed(URN) is None
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert deployed(URN) is None
