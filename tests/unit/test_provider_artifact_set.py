"""ArtifactSet in the real plugin's process, against moto's S3."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cohost import tokens
from cohost.archive import pack
from cohost.artifact import digest
from cohost.folder import scan
from cohost.publish import scratch_bytes
from cohost.release import CURRENT_KEY, Release, archive_key, for_sagemaker
from tests.unit import gated_s3
from tests.unit.gated_s3 import REGION, S3
from tests.unit.plugin_process import Plugin, Refused, engine, plugin

BUCKET = "artifacts-of-mine"
STORE = f"s3://{BUCKET}/team"
CATALOG = Path(__file__).resolve().parents[2] / "model_artifacts"
MODELS = tuple(f"model-{index:02d}" for index in range(12))


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with gated_s3.running() as started:
        yield started


@pytest.fixture
def bucket(s3: S3) -> Iterator[Any]:
    client = s3.client
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    yield client
    s3.gate.open()
    rows = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in versions(client)]
    if rows:
        client.delete_objects(Bucket=BUCKET, Delete={"Objects": rows})
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A catalog of a dozen small models."""
    for name in MODELS:
        write(tmp_path, name, name)
    entries = "\n".join(f"- {{name: {name}, owner: team, path: {name}}}" for name in MODELS)
    (tmp_path / "catalog.yaml").write_text(f"models:\n{entries}\n")
    return tmp_path


@pytest.fixture
def artifacts(s3: S3, bucket: Any, project: Path) -> Iterator[Plugin]:
    with plugin(project, s3.environment, tokens.ARTIFACT_SET) as started:
        yield started


def write(project: Path, name: str, content: str) -> None:
    folder = project / name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_text(content)
    (project / name / "config.pbtxt").write_text(f'name: "{name}"')


def inputs(project: Path, **changes: Any) -> dict[str, Any]:
    models = {name: digest(project / name) for name in MODELS}
    return {"region": REGION, "store": STORE, "catalog": "catalog.yaml", "models": models} | changes


def outputs(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "release": Release(given["models"]).digest}


def versions(client: Any, prefix: str = "") -> list[Any]:
    page = client.list_object_versions(Bucket=BUCKET, Prefix=prefix)
    return [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]


def keys(client: Any) -> set[str]:
    return {row["Key"].removeprefix("team/") for row in versions(client)}


def archives(given: dict[str, Any]) -> set[str]:
    return {archive_key(name, sha) for name, sha in given["models"].items()}


def test_a_new_set_is_stored_whole_and_its_progress_shows(s3: S3, bucket: Any, project: Path) -> None:
    given = inputs(project)
    with (
        engine() as listening,
        plugin(project, s3.environment, tokens.ARTIFACT_SET, engine=listening.address) as started,
    ):
        assert started.create(given) == (STORE, outputs(given))
    assert keys(bucket) == archives(given)
    assert "uploading 12/12 models" in listening.said


def test_a_preview_stores_nothing(artifacts: Plugin, bucket: Any, project: Path) -> None:
    given = inputs(project)
    assert artifacts.create(given, preview=True)[1] == outputs(given)
    assert artifacts.update(outputs(given), given, preview=True) == outputs(given)
    assert versions(bucket) == []


def test_one_changed_model_is_one_upload_and_the_old_artifact_stays(
    artifacts: Plugin, bucket: Any, project: Path
) -> None:
    before = inputs(project)
    artifacts.create(before)
    there = {row["VersionId"] for row in versions(bucket)}
    write(project, "model-03", "trained again")
    after = inputs(project)
    assert artifacts.update(outputs(before), after) == outputs(after)
    new = [row["Key"] for row in versions(bucket) if row["VersionId"] not in there]
    assert new == [f"team/{archive_key('model-03', after['models']['model-03'])}"]
    assert keys(bucket) == archives(before) | archives(after)


def test_killed_while_uploading_it_is_finished_by_the_next_create(s3: S3, bucket: Any, project: Path) -> None:
    given = inputs(project)
    s3.gate.let(3)
    with plugin(project, s3.environment, tokens.ARTIFACT_SET) as killed, ThreadPoolExecutor(1) as pool:
        running = pool.submit(killed.create, given)
        s3.gate.wait_for(8)
        os.kill(killed.process.pid, signal.SIGKILL)
        assert running.exception(30) is not None
    whole = {row["VersionId"] for row in versions(bucket)}
    assert len(whole) == 3
    s3.gate.open()
    with plugin(project, s3.environment, tokens.ARTIFACT_SET) as again:
        assert again.create(given) == (STORE, outputs(given))
    assert keys(bucket) == archives(given)
    assert len(versions(bucket)) == len(MODELS), "nothing is written twice"
    assert whole < {row["VersionId"] for row in versions(bucket)}


def test_two_deployments_at_once_store_each_artifact_once(s3: S3, bucket: Any, project: Path) -> None:
    given = inputs(project)
    with (
        plugin(project, s3.environment, tokens.ARTIFACT_SET) as one,
        plugin(project, s3.environment, tokens.ARTIFACT_SET) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        s3.gate.let(0)
        running = [pool.submit(each.create, given) for each in (one, other)]
        s3.gate.wait_for(16)
        s3.gate.open()
        assert [future.result(60) for future in running] == [(STORE, outputs(given))] * 2
    assert keys(bucket) == archives(given)
    assert len(versions(bucket)) == len(MODELS)


def test_a_cancelled_upload_ends_with_what_it_was_at_and_keeps_what_is_there(
    s3: S3, artifacts: Plugin, bucket: Any, project: Path
) -> None:
    given = inputs(project)
    s3.gate.let(0)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(artifacts.create, given)
        s3.gate.wait_for(8)
        artifacts.cancel()
        s3.gate.open()
        refused = running.exception(60)
    assert isinstance(refused, Refused)
    assert refused.message == "cancelled while uploading models; the next `up` finishes it"
    assert len(versions(bucket)) == 8, "what had begun is finished, nothing else is begun"
    assert refused.partial is not None
    id, there = refused.partial
    assert id == STORE
    assert archives(there) == keys(bucket)
    assert there == outputs({**given, "models": there["models"]})


def test_the_time_of_custom_timeouts_ends_an_upload(s3: S3, artifacts: Plugin, project: Path) -> None:
    s3.gate.let(0)
    opening = threading.Timer(1.5, s3.gate.open)
    opening.start()
    with pytest.raises(Refused, match="customTimeouts"):
        artifacts.create(inputs(project), timeout=1)
    opening.join()


def test_what_cannot_be_stored_is_told_what_was_stored_is_kept_and_the_next_update_brings_the_rest(
    artifacts: Plugin, bucket: Any, project: Path
) -> None:
    given = inputs(project)
    write(project, "model-05", "changed while the program ran")
    with pytest.raises(Refused) as caught:
        artifacts.create(given)
    assert "model-05" in caught.value.message
    assert "has changed" in caught.value.message
    assert caught.value.partial is not None
    id, there = caught.value.partial
    assert (id, sorted(there["models"])) == (STORE, sorted(set(MODELS) - {"model-05"}))
    again = inputs(project)
    assert list(artifacts.diff(there, again).detailedDiff) == ['models["model-05"]']
    assert artifacts.update(there, again) == outputs(again)
    assert keys(bucket) == archives(again)


def test_a_failure_that_left_nothing_behind_leaves_no_resource(artifacts: Plugin, project: Path) -> None:
    with pytest.raises(Refused) as caught:
        artifacts.create(inputs(project, store="s3://no-such-bucket-here/team"))
    assert caught.value.partial is None
    assert "the bucket does not exist" in caught.value.message


def test_the_reason_is_told_also_where_nobody_may_look_what_is_there(
    s3: S3, artifacts: Plugin, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = inputs(project)
    write(project, "model-05", "changed while the program ran")
    monkeypatch.setattr(s3, "lists", False)
    with pytest.raises(Refused, match="has changed"):
        artifacts.create(given)


def test_a_failure_with_many_models_reaches_the_engine_whole(s3: S3, bucket: Any, tmp_path: Path) -> None:
    models = {f"a-model-with-quite-a-long-name-{index:03d}": f"{index:064x}" for index in range(400)}
    entries = "\n".join(f"- {{name: {name}, owner: team, artifact: '{sha}'}}" for name, sha in models.items())
    (tmp_path / "catalog.yaml").write_text(f"models:\n{entries}\n")
    *stored, absent = models
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda name: bucket.put_object(Bucket=BUCKET, Key=f"team/{archive_key(name, models[name])}"), stored
            )
        )
    with plugin(tmp_path, s3.environment, tokens.ARTIFACT_SET) as started, pytest.raises(Refused) as caught:
        started.create({"region": REGION, "store": STORE, "catalog": "catalog.yaml", "models": models})
    assert f"{absent}: {STORE}/" in caught.value.message
    assert "cohost push" in caught.value.message
    assert caught.value.partial is not None
    assert caught.value.partial[1]["models"].keys() == set(stored)


def test_an_artifact_that_is_gone_is_seen_by_a_refresh_and_brought_back_by_the_next_up(
    artifacts: Plugin, bucket: Any, project: Path
) -> None:
    given = inputs(project)
    artifacts.create(given)
    assert artifacts.read(STORE, outputs(given)) == (given, outputs(given))
    bucket.delete_object(Bucket=BUCKET, Key=f"team/{archive_key('model-01', given['models']['model-01'])}")
    found = artifacts.read(STORE, outputs(given))
    assert found is not None
    assert found[1]["models"].keys() == set(MODELS) - {"model-01"}
    assert list(artifacts.diff(found[1], given).detailedDiff) == ['models["model-01"]']
    assert artifacts.update(found[1], given) == outputs(given)
    assert artifacts.read(STORE, outputs(given)) == (given, outputs(given))


def test_a_set_whose_bucket_is_gone_is_gone(artifacts: Plugin, project: Path) -> None:
    assert artifacts.read("id", outputs(inputs(project, store="s3://no-such-bucket-here/team"))) is None


def test_an_import_takes_the_models_of_the_active_release(artifacts: Plugin, bucket: Any, project: Path) -> None:
    given = inputs(project)
    artifacts.create(given)
    assert artifacts.read(STORE) is None
    active = for_sagemaker(given["models"], "shared").to_json()
    bucket.put_object(Bucket=BUCKET, Key=f"team/{CURRENT_KEY}", Body=active)
    assert artifacts.read(f"{STORE}#catalog.yaml") == (given, outputs(given))
    usual = {**given, "catalog": "model_artifacts/catalog.yaml"}
    assert artifacts.read(STORE) == (usual, outputs(usual))


def test_delete_removes_every_version_of_what_is_its_own_and_nothing_else(
    artifacts: Plugin, bucket: Any, project: Path
) -> None:
    given = inputs(project)
    artifacts.create(given)
    for key in (CURRENT_KEY, CURRENT_KEY, "smoke/a/b.json", "notes.txt"):
        bucket.put_object(Bucket=BUCKET, Key=f"team/{key}", Body=b"{}")
    bucket.put_object(Bucket=BUCKET, Key="team2/models/a", Body=b"somebody else's")
    bucket.delete_object(Bucket=BUCKET, Key=f"team/{CURRENT_KEY}")
    bucket.create_multipart_upload(Bucket=BUCKET, Key="team/models/unfinished.tar.gz")
    artifacts.delete(outputs(given))
    assert {row["Key"] for row in versions(bucket)} == {"team/notes.txt", "team2/models/a"}
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket=BUCKET)
    artifacts.delete(outputs(given))
    artifacts.delete(outputs(inputs(project, store="s3://no-such-bucket-here/team")))


def test_another_store_is_filled_before_the_old_one_is_emptied(artifacts: Plugin, bucket: Any, project: Path) -> None:
    old, new = inputs(project), inputs(project, store=f"s3://{BUCKET}/team-b")
    artifacts.create(old)
    assert artifacts.check(new, olds=old) == {}
    diff = artifacts.diff(outputs(old), new)
    assert (list(diff.replaces), diff.deleteBeforeReplace) == (["store"], False)
    assert artifacts.create(new) == (new["store"], outputs(new))
    artifacts.delete(outputs(old))
    assert {row["Key"] for row in versions(bucket)} == {f"team-b/{key}" for key in archives(new)}


@pytest.mark.parametrize("store", [f"{STORE}/eu", f"s3://{BUCKET}"])
def test_a_new_store_that_overlaps_the_old_one_is_refused(artifacts: Plugin, project: Path, store: str) -> None:
    found = artifacts.check(inputs(project, store=store), olds=inputs(project))
    assert found.keys() == {"store"}
    assert "would empty the new one too" in found["store"]


def test_a_role_of_the_configuration_is_what_reaches_the_store(s3: S3, bucket: Any, project: Path) -> None:
    s3.signers.clear()
    with plugin(project, s3.environment, tokens.ARTIFACT_SET) as started:
        started.configure(roleArn="arn:aws:iam::123456789012:role/deployer")
        started.create(inputs(project))
    assert s3.signers
    assert all(signer.startswith("ASIA") for signer in s3.signers), "not the keys of the environment"


def test_a_model_that_left_the_catalog_while_the_program_ran_is_named(artifacts: Plugin, project: Path) -> None:
    given = inputs(project)
    given["models"]["gone"] = "a" * 64
    with pytest.raises(Refused, match="gone: is no longer in the catalog"):
        artifacts.create(given)


def test_room_is_reckoned_for_what_is_packed_at_once() -> None:
    mb = 1 << 20
    assert scratch_bytes([]) == 0
    assert 80 * mb <= scratch_bytes([10 * mb] * 20) < 82 * mb
    assert 1094 * mb <= scratch_bytes([1024 * mb, 300 * mb, *[10 * mb] * 20]) < 1100 * mb
    for model in CATALOG.glob("*/config.pbtxt"):
        packed = io.BytesIO()
        pack(model.parent, model.parent.name, packed)
        size = sum(file.size for file in scan(model.parent).artifact_files)
        assert packed.tell() <= scratch_bytes([size])
