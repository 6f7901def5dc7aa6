"""The plugin's process and its protocol, whatever the resource: nothing here needs a cloud."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from cohost import tokens
from cohost.release import Release
from tests.unit.plugin_process import UNKNOWN, Plugin, Refused, engine, plain, plugin, secret, struct

OLD, NEW = "a" * 64, "b" * 64
STORE = "s3://bucket/team"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "catalog.yaml").write_text("models:\n- {name: digits, owner: vision, artifact: " + OLD + "}\n")
    return folder


@pytest.fixture(scope="module")
def artifacts(project: Path) -> Iterator[Plugin]:
    with plugin(project, {}, tokens.ARTIFACT_SET) as started:
        yield started


def artifact_set(**changes: Any) -> dict[str, Any]:
    return {"region": "us-east-1", "store": STORE, "catalog": "catalog.yaml", "models": {"digits": OLD}} | changes


def outputs(**changes: Any) -> dict[str, Any]:
    inputs = artifact_set(**changes)
    return {**inputs, "release": Release(inputs["models"]).digest}


def test_the_first_line_is_the_port_and_nothing_else(artifacts: Plugin) -> None:
    assert 0 < int(artifacts.first_line) < 65536


def test_it_says_what_it_is_and_takes_secrets(artifacts: Plugin) -> None:
    assert artifacts.handshake("").accept_secrets
    info = artifacts.stub.GetPluginInfo(empty_pb2.Empty())
    assert [int(part) for part in info.version.split(".")]
    assert artifacts.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema == "{}"


def test_it_answers_before_it_has_loaded_the_sdks() -> None:
    script = "import sys, cohost.provider.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"boto3", "botocore", "numpy", "pulumi", "yaml"} & set(loaded)


@pytest.mark.parametrize("key", ["accessKey", "secretKey", "token", "region", "roleARN"])
def test_settings_that_would_put_credentials_into_the_state_are_refused(artifacts: Plugin, key: str) -> None:
    news = struct({"profile": "work", "roleArn": UNKNOWN, "version": "1.0.0", key: "x"})
    answer = artifacts.stub.CheckConfig(provider_pb2.CheckRequest(news=news))
    (failure,) = answer.failures
    assert failure.property == key
    assert "cohost:profile, cohost:roleArn" in failure.reason


def test_how_the_cloud_is_reached_replaces_nothing(artifacts: Plugin) -> None:
    request = provider_pb2.DiffRequest(olds=struct({"profile": "a"}), news=struct({"profile": "b"}))
    answer = artifacts.stub.DiffConfig(request)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert not answer.replaces


def test_everything_wrong_with_inputs_is_told_at_once_by_property_path(artifacts: Plugin) -> None:
    news = {"store": "s3://bucket/", "catalog": "nowhere.yaml", "models": {"digits": OLD, "iris": "x"}, "extra": 1}
    found = artifacts.check(news)
    assert found.keys() == {"region", "store", "catalog", 'models["iris"]', "extra"}
    assert "64 lowercase hex digits" in found['models["iris"]']


def test_what_a_preview_does_not_know_is_not_wrong(artifacts: Plugin) -> None:
    assert artifacts.check(artifact_set(store=UNKNOWN, models={"digits": UNKNOWN})) == {}
    assert artifacts.check(artifact_set(store=UNKNOWN, models=UNKNOWN, region=secret(UNKNOWN))) == {}


def test_a_diff_has_one_entry_for_each_changed_model(artifacts: Plugin) -> None:
    olds = outputs(models={"digits": OLD, "iris": OLD, "wine": OLD})
    answer = artifacts.diff(olds, artifact_set(models={"digits": OLD, "iris": NEW, "subject": NEW}))
    kinds = {path: change.kind for path, change in answer.detailedDiff.items()}
    diff = provider_pb2.PropertyDiff
    assert kinds == {'models["iris"]': diff.UPDATE, 'models["subject"]': diff.ADD, 'models["wine"]': diff.DELETE}
    assert answer.hasDetailedDiff
    assert (answer.changes, list(answer.diffs), list(answer.replaces)) == (answer.DIFF_SOME, ["models"], [])


def test_no_change_is_no_diff_and_another_store_is_another_resource(artifacts: Plugin) -> None:
    assert artifacts.diff(outputs(), artifact_set()).changes == provider_pb2.DiffResponse.DIFF_NONE
    moved = artifacts.diff(outputs(), artifact_set(store="s3://bucket/other"))
    assert list(moved.replaces) == ["store"]
    assert moved.detailedDiff["store"].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE
    assert not moved.deleteBeforeReplace


@pytest.mark.parametrize("ignored", ["models", 'models["digits"]'])
def test_what_is_to_be_ignored_is_no_difference(artifacts: Plugin, ignored: str) -> None:
    answer = artifacts.diff(outputs(), artifact_set(models={"digits": NEW}), ignored=(ignored,))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_preview_tells_the_release_and_passes_on_what_it_does_not_know(artifacts: Plugin) -> None:
    inputs = artifact_set(store=UNKNOWN)
    assert artifacts.create(inputs, preview=True) == ("", {**inputs, "release": Release({"digits": OLD}).digest})
    unknown = artifact_set(models={"digits": UNKNOWN})
    assert artifacts.update(outputs(), unknown, preview=True) == {**unknown, "release": UNKNOWN}


def test_a_secret_input_is_a_secret_output(artifacts: Plugin) -> None:
    inputs = artifact_set(region=secret("us-east-1"))
    assert artifacts.create(inputs, preview=True)[1]["region"] == secret("us-east-1")


def test_a_type_that_is_not_there_is_named(artifacts: Plugin) -> None:
    request = provider_pb2.CreateRequest(urn="urn:pulumi:s::p::cohost:index:ArtefactSet::x", preview=True)
    with pytest.raises(grpc.RpcError) as caught:
        artifacts.stub.Create(request)
    assert "cohost:index:ArtefactSet" in caught.value.details()  # type: ignore[attr-defined]


def test_the_type_is_read_from_the_urn_of_a_child_where_an_engine_sends_none(artifacts: Plugin) -> None:
    urn = f"urn:pulumi:s::p::cohost:aws:ArtifactStore${tokens.ARTIFACT_SET}::models"
    answer = artifacts.stub.Diff(provider_pb2.DiffRequest(urn=urn, olds=struct(outputs()), news=struct(artifact_set())))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_more_than_ten_thousand_models_go_in_one_message(artifacts: Plugin) -> None:
    models = {f"a-model-with-as-long-a-name-as-it-may-have-in-any-catalog-{index:05d}": OLD for index in range(12_000)}
    changed = next(iter(models))
    olds, news = outputs(models=models), artifact_set(models=models | {changed: NEW})
    assert list(artifacts.diff(olds, news).detailedDiff) == [f'models["{changed}"]']
    assert len(artifacts.update(olds, news, preview=True)["models"]) == 12_000


def test_a_broken_catalog_is_bad_input_with_file_and_key(project: Path) -> None:
    (project / "broken.yaml").write_text("models:\n- {name: Digits, owner: vision, path: nowhere}\n")
    with plugin(project, {}, tokens.ARTIFACT_SET) as started:
        found = started.check(artifact_set(catalog="broken.yaml"))
    assert found.keys() == {"models[0].name", "models[0].path"}
    assert all("broken.yaml" in reason for reason in found.values())


def test_no_room_for_archives_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    folder = tmp_path / "huge" / "1"
    folder.mkdir(parents=True)
    with (folder / "model.onnx").open("wb") as file:
        file.truncate(os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize + (1 << 30))
    (tmp_path / "catalog.yaml").write_text("models:\n- {name: huge, owner: vision, path: huge}\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    inputs = artifact_set(models={"huge": NEW})
    with plugin(tmp_path, {"TMPDIR": str(scratch)}, tokens.ARTIFACT_SET) as started:
        (message,) = started.check(inputs).values()
        assert started.check(inputs, olds=inputs) == {}, "nothing is packed where nothing has changed"
    assert str(scratch) in message
    assert "TMPDIR" in message


def test_no_credentials_and_no_such_profile_are_one_line(project: Path) -> None:
    nothing = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with plugin(project, nothing, tokens.ARTIFACT_SET) as started:
        with pytest.raises(Refused) as keyless:
            started.create(artifact_set())
        assert "no AWS credentials" in keyless.value.message
        started.configure(roleArn="arn:aws:iam::123456789012:role/deployer")
        with pytest.raises(Refused) as roleless:
            started.create(artifact_set())
        assert "no AWS credentials to assume the role arn:aws:iam::123456789012:role/deployer" in roleless.value.message
        started.configure(profile="nobody")
        with pytest.raises(Refused) as unknown:
            started.create(artifact_set())
    assert "nobody" in unknown.value.message
    assert all("\n" not in refused.value.message for refused in (keyless, roleless, unknown))
    assert all("a defect" not in refused.value.message for refused in (keyless, roleless, unknown))


def test_the_process_ends_when_its_engine_is_gone(project: Path) -> None:
    started = Plugin(project, {})
    try:
        with engine() as made:
            started.handshake(made.address)
            assert started.process.poll() is None
        assert started.process.wait(30) != 0
    finally:
        started.close()


def test_an_engine_that_only_attached_does_not_end_the_process_by_going(project: Path) -> None:
    with plugin(project, {}, tokens.ARTIFACT_SET) as started:
        with engine() as made:
            started.stub.Attach(plugin_pb2.PluginAttach(address=made.address))
            started.handshake(made.address)
        with pytest.raises(subprocess.TimeoutExpired):
            started.process.wait(5)
        assert started.diff(outputs(), artifact_set()).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_ctrl_c_is_the_engines_to_answer_and_a_termination_ends_the_process(project: Path) -> None:
    with plugin(project, {}, tokens.ARTIFACT_SET) as started:
        started.process.send_signal(signal.SIGINT)
        assert plain(started.stub.Check(_check_request()).inputs) == artifact_set()
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(30) is not None


def _check_request() -> Any:
    urn = f"urn:pulumi:s::p::{tokens.ARTIFACT_SET}::models"
    return provider_pb2.CheckRequest(urn=urn, type=tokens.ARTIFACT_SET, news=struct(artifact_set()))
