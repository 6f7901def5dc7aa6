"""What a preview of the gcp stack loads: Google's clients take seconds, and only what changes something needs them."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cohost import tokens
from cohost.release import Release
from tests.unit.mocks import ROOT, Registered
from tests.unit.mocks_gcp import run_main
from tests.unit.plugin_process import Plugin, plugin

# pulumi_gcp imports its own deprecated functions.
pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")

CLIENTS = ("google.cloud", "boto3", "botocore", "pulumi_aws")
# What a question to Google takes beside that.
ASKING = ("google.auth", "google.api_core", "requests")
# Python writes a line for each module that a process imports.
TELLING = {"PYTHONPROFILEIMPORTTIME": "1"}
OTHER = "0" * 64


def another_release(inputs: dict[str, Any]) -> None:
    models = {**inputs["models"], "digits": OTHER}
    inputs.update(models=models, release=Release(models).digest)


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    tokens.ARTIFACT_SET: lambda inputs: inputs["models"].update(digits=OTHER),
    tokens.VERTEX_MODEL_SET: lambda inputs: inputs["models"].update(digits=OTHER),
    tokens.VERTEX_MODEL: lambda inputs: inputs.update(artifactUri=f"gs://models/repositories/{OTHER}"),
    tokens.VERTEX_DEPLOYED_MODEL: lambda inputs: inputs.update(maxReplicas=3),
    tokens.VERTEX_ENDPOINT_DRAIN: lambda inputs: None,
    tokens.VERTEX_ACTIVE_RELEASE: another_release,
}
# What each resource is told beside its inputs, once it is there.
MADE: dict[str, dict[str, Any]] = {
    tokens.VERTEX_MODEL: {"name": "m", "versionId": "1", "versionName": "m@1"},
    tokens.VERTEX_MODEL_SET: {"versions": {}},
    tokens.VERTEX_DEPLOYED_MODEL: {"deployedModelId": "1234567890"},
}


@pytest.fixture(scope="module")
def declared() -> dict[str, Registered]:
    """What the stack of the checkout declares of the plugin's own resources, by type."""
    return {resource.type: resource for resource in run_main().custom if resource.type.startswith("cohost:")}


def loaded(packages: tuple[str, ...], told: str) -> list[str]:
    """The modules of some packages that a process has told to have imported."""
    names = [line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")]
    assert "cohost.release" in names
    return [name for name in names if any(f"{name}.".startswith(f"{package}.") for package in packages)]


def test_the_program_loads_no_client_library_and_only_its_own_cloud() -> None:
    code = "from tests.unit.mocks_gcp import run_main; run_main(preview=True)"
    environment = {**os.environ, **TELLING}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert loaded((*CLIENTS, "google.auth", "google.api_core"), done.stderr) == []


def test_the_plugin_loads_no_client_library_for_the_preview_of_any_resource(
    tmp_path: Path, declared: dict[str, Registered], capfd: pytest.CaptureFixture[str]
) -> None:
    assert set(declared) == set(CHANGES)
    (tmp_path / "model_artifacts").symlink_to(ROOT / "model_artifacts")
    # A new deployment is asked for at Google: what else runs there, and the quota. Here there is nobody to ask.
    nobody = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "absent.json")}
    with plugin(tmp_path, {**TELLING, **nobody}) as started:
        for resource in declared.values():
            started.token, started.urn = resource.type, resource.urn
            assert started.check(resource.inputs) == {}
            _, outputs = started.create(resource.inputs, preview=True)
            preview(started, dict(resource.inputs), outputs, CHANGES[resource.type])
    assert loaded(CLIENTS, capfd.readouterr().err) == []


def test_a_preview_that_begins_no_deployment_asks_google_nothing(
    tmp_path: Path, declared: dict[str, Registered], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model_artifacts").symlink_to(ROOT / "model_artifacts")
    with plugin(tmp_path, TELLING) as started:
        for resource in declared.values():
            started.token, started.urn = resource.type, resource.urn
            preview(started, dict(resource.inputs), MADE.get(resource.type, {}), CHANGES[resource.type])
    assert loaded((*CLIENTS, *ASKING), capfd.readouterr().err) == []


def preview(
    started: Plugin, inputs: dict[str, Any], made: dict[str, Any], change: Callable[[dict[str, Any]], None]
) -> None:
    """The previews of a resource that is there: without change, and with one."""
    outputs = {**inputs, **made}
    assert started.check(inputs, inputs) == {}
    assert not started.diff(outputs, inputs).detailedDiff
    news = copy.deepcopy(inputs)
    change(news)
    assert started.check(news, inputs) == {}
    assert bool(started.diff(outputs, news).detailedDiff) == (news != inputs)
    started.update(outputs, news, preview=True)
