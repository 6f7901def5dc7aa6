"""The local Cloud Storage, seen by plain google-cloud-storage and by plain HTTP."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage

from tests.unit.gcs_process import GcsProcess, local_gcs

CHUNK = 256 << 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsProcess]:
    with local_gcs(tmp_path_factory.mktemp("gcs") / "state") as process:
        yield process


def client_of(server: GcsProcess) -> storage.Client:
    return storage.Client(
        project="p",
        client_options={"api_endpoint": server.url},
        use_auth_w_custom_endpoint=False,
    )


@pytest.fixture
def client(server: GcsProcess) -> storage.Client:
    return client_of(server)


def made(client: storage.Client, name: str = "of-a-test", *, versioning: bool = False) -> storage.Bucket:
    bucket = client.bucket(name)
    bucket.versioning_enabled = versioning
    bucket.create(location="europe-west4")
    return bucket


@pytest.fixture
def bucket(client: storage.Client) -> Iterator[storage.Bucket]:
    found = made(client)
    yield found
    emptied(found).delete()


@pytest.fixture
def versioned(client: storage.Client) -> Iterator[storage.Bucket]:
    found = made(client, "of-versions", versioning=True)
    yield found
    emptied(found).delete()


def emptied(bucket: storage.Bucket) -> storage.Bucket:
    for blob in bucket.list_blobs(versions=True):
        blob.delete()
    return bucket


def put(bucket: storage.Bucket, name: str, data: bytes, **given: Any) -> Any:
    blob = bucket.blob(name)
    blob.upload_from_string(data, **given)
    return blob


def session(blob: storage.Blob, **given: Any) -> str:
    """Begins a resumable upload; returns its URL."""
    return str(blob.create_resumable_upload_session(**given))


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


# Preconditions.


def test_a_precondition_that_does_not_hold_is_refused_in_googles_words(bucket: storage.Bucket) -> None:
    put(bucket, "a", b"1", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed) as caught:
        put(bucket, "a", b"2", if_generation_match=0)
    response: Any = caught.value.response
    assert response.json() == {
        "error": {
            "code": 412,
            "message": "At least one of the pre-conditions you specified did not hold.",
            "errors": [
                {
                    "message": "At least one of the pre-conditions you specified did not hold.",
                    "domain": "global",
                    "reason": "conditionNotMet",
                }
            ],
        }
    }
    assert bucket.blob("a").download_as_bytes() == b"1"


def test_preconditions_hold_for_every_operation_on_an_object(bucket: storage.Bucket) -> None:
    old = put(bucket, "a", b"1").generation
    new = put(bucket, "a", b"2", if_generation_match=old).generation
    assert new > old
    blob = bucket.blob("a")
    for refused in (
        lambda: put(bucket, "a", b"3", if_generation_match=old),
        lambda: put(bucket, "a", b"3", if_generation_not_match=new),
        lambda: blob.reload(if_generation_match=old),
        lambda: blob.download_as_bytes(if_generation_match=old),
        lambda: blob.delete(if_generation_match=old),
        lambda: bucket.blob("b").rewrite(blob, if_source_generation_match=old),
        lambda: bucket.copy_blob(blob, bucket, "a", if_generation_match=0),
        lambda: blob.patch(if_generation_match=old),
    ):
        with pytest.raises(exceptions.PreconditionFailed):
            refused()
    assert blob.download_as_bytes(if_generation_match=new) == b"2"
    assert bucket.get_blob("b") is None
    blob.delete(if_generation_match=new)


def test_what_the_caller_has_is_not_sent_again(bucket: storage.Bucket, server: GcsProcess) -> None:
    generation = put(bucket, "a", b"1").generation
    url = f"{server.url}/storage/v1/b/of-a-test/o/a"
    answer = requests.get(url, {"alt": "media", "ifGenerationNotMatch": generation}, timeout=10)
    assert (answer.status_code, answer.content) == (304, b"")
    assert requests.get(url, {"alt": "media", "ifGenerationNotMatch": 1}, timeout=10).content == b"1"


def test_what_it_does_not_know_it_refuses_rather_than_ignores(bucket: storage.Bucket, server: GcsProcess) -> None:
    put(bucket, "a", b"1")
    api = f"{server.url}/storage/v1/b/of-a-test"
    for method, url in (
        ("GET", f"{api}/o/a?ifMetagenerationMatch=1"),
        ("PUT", f"{api}/o/a"),
        ("GET", f"{api}/notificationConfigs"),
        ("POST", f"{server.url}/batch/storage/v1"),
        ("GET", f"{server.url}/wipe"),
    ):
        answer = requests.request(method, url, timeout=10)
        assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (501, "notImplemented"), url
    assert bucket.get_blob("a") is not None


# Versions.


def test_a_versioned_bucket_keeps_what_is_overwritten_or_deleted(versioned: storage.Bucket) -> None:
    first = put(versioned, "a", b"1").generation
    second = put(versioned, "a", b"2").generation
    versioned.blob("a").delete()
    assert list(versioned.list_blobs()) == []
    assert versioned.get_blob("a") is None
    rows = [(blob.generation, blob.time_deleted is not None) for blob in versioned.list_blobs(versions=True)]
    assert rows == [(first, True), (second, True)]
    assert versioned.blob("a", generation=first).download_as_bytes() == b"1"
    restored: Any = versioned.copy_blob(versioned.blob("a"), versioned, "a", source_generation=first)
    assert restored.generation > second
    assert versioned.blob("a").download_as_bytes() == b"1"


def test_a_version_that_is_named_is_deleted_for_good(versioned: storage.Bucket) -> None:
    first = put(versioned, "a", b"1").generation
    second = put(versioned, "a", b"2").generation
    versioned.delete_blob("a", generation=first)
    assert [blob.generation for blob in versioned.list_blobs(versions=True)] == [second]
    versioned.delete_blob("a", generation=second)
    assert list(versioned.list_blobs(versions=True)) == []
    with pytest.raises(exceptions.NotFound, match="No such object: of-versions/a"):
        versioned.delete_blob("a", generation=second)


def test_without_versioning_there_is_one_version(bucket: storage.Bucket) -> None:
    put(bucket, "a", b"1")
    second = put(bucket, "a", b"2").generation
    assert [blob.generation for blob in bucket.list_blobs(versions=True)] == [second]
    bucket.blob("a").delete()
    assert list(bucket.list_blobs(versions=True)) == []


def test_a_bucket_with_anything_in_it_is_not_deleted(versioned: storage.Bucket) -> None:
    put(versioned, "a", b"1")
    versioned.blob("a").delete()
    with pytest.raises(exceptions.Conflict, match="The bucket you tried to delete is not empty"):
        versioned.delete()


# Uploads and copies.


@pytest.mark.parametrize("size", [0, 1, CHUNK, 9 << 20])
def test_uploads_of_any_size_come_back_whole(bucket: storage.Bucket, size: int) -> None:
    data = os.urandom(size)
    blob = bucket.blob("a/b c%2F/é+?#.bin", chunk_size=CHUNK * 4)
    blob.upload_from_string(data, checksum="crc32c")
    assert bucket.blob(blob.name).download_as_bytes() == data
    found = bucket.get_blob(blob.name)
    assert found is not None
    assert (found.size, found.crc32c) == (size, crc32c(data))
    assert found.md5_hash == base64.b64encode(hashlib.md5(data).digest()).decode()


def test_bytes_that_are_not_what_their_checksum_says_are_not_kept(bucket: storage.Bucket, server: GcsProcess) -> None:
    for checksums in ({"crc32c": crc32c(b"other")}, {"md5_hash": base64.b64encode(bytes(16)).decode()}):
        blob = bucket.blob("a")
        for name, value in checksums.items():
            setattr(blob, name, value)
        unchecked: Any = {"checksum": None}
        with pytest.raises(exceptions.BadRequest, match="doesn't match calculated"):
            blob.upload_from_string(b"bytes", **unchecked)
        url = session(blob, **unchecked)
        assert requests.put(url, b"bytes", headers={"Content-Range": "bytes 0-4/5"}, timeout=10).status_code == 400
    url = f"{server.url}/upload/storage/v1/b/of-a-test/o?uploadType=media&name=a"
    answer = requests.post(url, b"bytes", headers={"X-Goog-Hash": f"crc32c={crc32c(b'other')}"}, timeout=10)
    assert answer.status_code == 400
    assert bucket.get_blob("a") is None
    headers = {"X-Goog-Hash": f"crc32c={crc32c(b'bytes')}", "Content-Type": "application/json"}
    assert requests.post(url, b"bytes", headers=headers, timeout=10).status_code == 200
    assert bucket.blob("a").download_as_bytes() == b"bytes"


def send(url: str, data: bytes, content_range: str) -> requests.Response:
    return requests.put(url, data, headers={"Content-Range": content_range}, timeout=10, allow_redirects=False)


def test_a_resumable_upload_tells_what_it_has_and_keeps_its_condition_until_the_end(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    url = session(blob, if_generation_match=0)
    asked = send(url, b"", "bytes */8")
    assert (asked.status_code, "Range" in asked.headers) == (308, False)
    assert send(url, b"1234", "bytes 0-3/8").headers["Range"] == "bytes=0-3"
    assert send(url, b"", "bytes */8").headers["Range"] == "bytes=0-3"
    assert bucket.get_blob("a") is None
    put(bucket, "a", b"theirs")
    assert send(url, b"5678", "bytes 4-7/8").status_code == 412
    with pytest.raises(exceptions.PreconditionFailed):
        blob.create_resumable_upload_session(if_generation_match=0)
    assert bucket.blob("a").download_as_bytes() == b"theirs"


def test_a_copy_shares_the_bytes_and_outlives_its_source(bucket: storage.Bucket, server: GcsProcess) -> None:
    data = os.urandom(1 << 20)
    put(bucket, "a", data)
    token, done, total = bucket.blob("b/c").rewrite(bucket.blob("a"))
    assert (token, done, total) == (None, len(data), len(data))
    bodies = [file for file in (server.folder / "bodies").iterdir() if file.stat().st_size == len(data)]
    assert len(bodies) == 1
    bucket.blob("a").delete()
    found = bucket.get_blob("b/c")
    assert found is not None
    assert (found.crc32c, found.download_as_bytes()) == (crc32c(data), data)
    found.delete()
    assert not bodies[0].exists()


def test_a_part_of_an_object_is_read(bucket: storage.Bucket) -> None:
    put(bucket, "a", b"0123456789")
    assert bucket.blob("a").download_as_bytes(start=2, end=4) == b"234"


# Listings and buckets.


def test_listings_are_paged_in_the_order_of_the_names(bucket: storage.Bucket) -> None:
    names = ["a", "a/b", "a/b/c", "a0", "b/d", "z", "é"]
    for name in reversed(names):
        put(bucket, name, b"")
    assert [blob.name for blob in bucket.list_blobs(page_size=2)] == names
    assert [blob.name for blob in bucket.list_blobs(prefix="a/")] == ["a/b", "a/b/c"]
    listing = bucket.list_blobs(delimiter="/", page_size=2)
    assert [blob.name for blob in listing] == ["a", "a0", "z", "é"]
    assert listing.prefixes == {"a/", "b/"}
    assert [blob.name for blob in bucket.list_blobs(match_glob="*/*")] == ["a/b", "b/d"]


def test_a_bucket_has_the_settings_it_is_made_and_patched_with(client: storage.Client) -> None:
    bucket = client.bucket("with-settings")
    bucket.versioning_enabled = True
    bucket.labels = {"owner": "a-team", "stack": "dev"}
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.create(location="europe-west4")
    found = client.get_bucket("with-settings")
    assert (found.location, found.location_type, found.versioning_enabled) == ("EUROPE-WEST4", "region", True)
    assert found.iam_configuration.uniform_bucket_level_access_enabled
    assert found.iam_configuration.public_access_prevention == "enforced"
    found.labels = {"owner": "b-team"}
    found.versioning_enabled = False
    found.patch()
    again = client.get_bucket("with-settings")
    assert (again.labels, again.versioning_enabled, again.metageneration) == ({"owner": "b-team"}, False, 2)
    assert again.iam_configuration.public_access_prevention == "enforced"
    policy = again.get_iam_policy()
    policy.bindings = [{"role": "roles/storage.objectViewer", "members": {"serviceAccount:a@b.c"}}]
    again.set_iam_policy(policy)
    assert [dict(row) for row in client.bucket("with-settings").get_iam_policy().bindings] == policy.bindings
    with pytest.raises(exceptions.PreconditionFailed):
        again.set_iam_policy(policy)  # as it was read, before it was written
    with pytest.raises(exceptions.Conflict):
        client.bucket("with-settings").create(location="EU")
    again.delete()
    with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
        client.get_bucket("with-settings")


# The process.


def test_everything_survives_a_kill(tmp_path: Path) -> None:
    data = os.urandom(CHUNK)
    with local_gcs(tmp_path / "state") as first:
        bucket = made(client_of(first), versioning=True)
        generations = [put(bucket, "a", content).generation for content in (b"1", b"2")]
        copy: Any = bucket.copy_blob(bucket.blob("a"), bucket, "b")
        url = session(bucket.blob("c"))
        assert send(url, data, f"bytes 0-{CHUNK - 1}/{2 * CHUNK}").status_code == 308
        first.process.kill()
        first.process.wait()
    with local_gcs(tmp_path / "state") as second:
        bucket = client_of(second).get_bucket("of-a-test")
        assert bucket.versioning_enabled
        rows = [(blob.name, blob.generation) for blob in bucket.list_blobs(versions=True)]
        assert rows == [*(("a", generation) for generation in generations), ("b", copy.generation)]
        assert bucket.blob("a", generation=generations[0]).download_as_bytes() == b"1"
        assert bucket.blob("b").download_as_bytes() == b"2"
        url = url.replace(first.url, second.url)
        assert send(url, b"", f"bytes */{2 * CHUNK}").headers["Range"] == f"bytes=0-{CHUNK - 1}"
        assert send(url, data, f"bytes {CHUNK}-{2 * CHUNK - 1}/{2 * CHUNK}").status_code == 200
        assert bucket.blob("c").download_as_bytes() == data + data
        assert put(bucket, "a", b"3").generation > copy.generation


def test_what_a_kill_left_behind_is_removed(tmp_path: Path) -> None:
    with local_gcs(tmp_path / "state") as first:
        put(made(client_of(first)), "a", b"1")
    for folder in ("bodies", "uploads"):
        (tmp_path / "state" / folder / "nobodys").write_bytes(b"")
    with local_gcs(tmp_path / "state") as second:
        assert client_of(second).bucket("of-a-test").blob("a").download_as_bytes() == b"1"
    assert [file.name for file in (tmp_path / "state" / "bodies").iterdir()] == [hashlib.sha256(b"1").hexdigest()]
    assert list((tmp_path / "state" / "uploads").iterdir()) == []


def test_it_ends_on_sigterm_and_answers_on_the_loopback_interface_alone(tmp_path: Path) -> None:
    with local_gcs(tmp_path / "state") as server:
        assert requests.get(f"{server.url}/-/health", timeout=10).json() == {"ok": True}
        port = int(server.url.rpartition(":")[2])
        with socket.socket() as probe:
            probe.bind(("127.0.0.2", port))  # nobody else has it: it does not listen on every interface
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0


def test_a_state_folder_has_one_process(server: GcsProcess) -> None:
    command = [sys.executable, "-m", "cohost.local.gcs", "--state", str(server.folder)]
    root = Path(__file__).resolve().parents[2]
    second = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 1
    assert f"another process serves {server.folder}" in second.stderr
