"""The store on S3, against moto's S3 on the loopback interface."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from cohost.errors import InputError, PreconditionFailed, StoreError
from cohost.s3 import S3Store
from cohost.store import Cancelled, ObjectNotFound
from cohost.stores import open_store

PART = 16 << 20
BUCKET = "models-of-mine"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def environment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(environment: None) -> Iterator[str]:
    client: Any = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    yield BUCKET
    S3Store(client, BUCKET).delete_all()
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def store(bucket: str) -> S3Store:
    opened = open_store(f"s3://{bucket}/team/prod", region="us-east-1")
    assert isinstance(opened, S3Store)
    return opened


class Recorder:
    """A client that counts calls and can be told to fail at one of them."""

    def __init__(self, client: Any, fail_at: tuple[str, int] | None = None) -> None:
        self._client = client
        self._fail_at = fail_at
        self._lock = threading.Lock()
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.calls)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.calls.append((name, kwargs))
                count = self.count(name)
            if self._fail_at == (name, count):
                raise KeyboardInterrupt
            return method(*args, **kwargs)

        return call


class PartChecksums:
    """What S3 does and moto does not: ListParts tells the SHA-256 of each part."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.known: dict[tuple[str, int], str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def upload_part(self, **kwargs: Any) -> Any:
        self.known[kwargs["UploadId"], kwargs["PartNumber"]] = kwargs["ChecksumSHA256"]
        return self._client.upload_part(**kwargs)

    def get_paginator(self, name: str) -> Any:
        paginator = self._client.get_paginator(name)
        if name != "list_parts":
            return paginator
        outer = self

        class Pages:
            def paginate(self, **kwargs: Any) -> Iterator[Any]:
                for page in paginator.paginate(**kwargs):
                    for part in page.get("Parts", ()):
                        part["ChecksumSHA256"] = outer.known.get((kwargs["UploadId"], part["PartNumber"]))
                    yield page

        return Pages()


def test_a_small_object_comes_back_as_it_was_written(store: S3Store) -> None:
    etag = store.put_bytes("releases/a.json", b"{}")
    assert store.get("releases/a.json") == (b"{}", etag)
    found = store.head("releases/a.json")
    assert found is not None
    assert (found.key, found.size, found.etag) == ("releases/a.json", 2, etag)


def test_keys_are_below_the_prefix(store: S3Store) -> None:
    store.put_bytes("models/a", b"1")
    assert [row["Key"] for row in store.client.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["team/prod/models/a"]
    assert store.url == f"s3://{BUCKET}/team/prod"


def test_what_is_not_there_is_none_for_head_and_an_error_for_get(store: S3Store) -> None:
    assert store.head("nothing") is None
    with pytest.raises(ObjectNotFound, match="no such object"):
        store.get("nothing")


def test_put_if_absent_keeps_the_first_writer(store: S3Store) -> None:
    store.put_bytes("a", b"first", if_none_match=True)
    with pytest.raises(PreconditionFailed):
        store.put_bytes("a", b"second", if_none_match=True)
    assert store.get("a")[0] == b"first"


def test_put_if_absent_writes_again_after_a_delete(store: S3Store) -> None:
    store.put_bytes("a", b"first", if_none_match=True)
    store.delete("a")
    store.put_bytes("a", b"second", if_none_match=True)
    assert store.get("a")[0] == b"second"


def test_an_etag_that_is_no_longer_current_refuses_the_write(store: S3Store) -> None:
    old = store.put_bytes("current", b"1")
    new = store.put_bytes("current", b"2", if_match=old)
    with pytest.raises(PreconditionFailed, match="somebody else"):
        store.put_bytes("current", b"3", if_match=old)
    assert store.get("current") == (b"2", new)


def test_every_write_carries_the_sha256_that_the_store_verifies(store: S3Store, tmp_path: Path) -> None:
    recorder = Recorder(store.client)
    recorded = S3Store(recorder, store.bucket, store.prefix)
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    recorded.put_bytes("a", b"abc")
    recorded.put_file("b", file)
    expected = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="  # base64 of SHA-256("abc"), FIPS 180-2 B.1
    assert [call["ChecksumSHA256"] for _, call in recorder.calls] == [expected, expected]


def test_a_file_is_put_once(store: S3Store, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    store.put_file("a", file)
    with pytest.raises(PreconditionFailed):
        store.put_file("a", file)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large"
    file.write_bytes(b"".join(bytes([part]) * PART for part in range(3)) + b"end")
    return file


def test_a_large_file_goes_up_in_parts_and_comes_back_whole(store: S3Store, large: Path) -> None:
    recorder = Recorder(store.client)
    S3Store(recorder, store.bucket, store.prefix, multipart_above=PART).put_file("large", large)
    assert recorder.count("upload_part") == 4
    data, _ = store.get("large")
    assert hashlib.sha256(data).digest() == hashlib.sha256(large.read_bytes()).digest()


def test_a_large_file_never_overwrites(store: S3Store, large: Path) -> None:
    store.put_bytes("large", b"first")
    parts = S3Store(store.client, store.bucket, store.prefix, multipart_above=PART)
    with pytest.raises(PreconditionFailed):
        parts.put_file("large", large)
    assert store.get("large")[0] == b"first"
    assert store.delete_all("") == 1  # the version alone: the refused upload is not left behind


def test_an_interrupted_upload_sends_only_the_rest(store: S3Store, large: Path) -> None:
    checksums = PartChecksums(store.client)
    first = Recorder(checksums, fail_at=("complete_multipart_upload", 1))
    with pytest.raises(KeyboardInterrupt):
        S3Store(first, store.bucket, store.prefix, multipart_above=PART).put_file("large", large)
    assert store.head("large") is None
    second = Recorder(checksums)
    S3Store(second, store.bucket, store.prefix, multipart_above=PART).put_file("large", large)
    assert second.count("upload_part") == 0
    assert store.get("large")[0] == large.read_bytes()


def test_a_resumed_upload_replaces_parts_of_other_bytes(store: S3Store, large: Path) -> None:
    checksums = PartChecksums(store.client)
    first = Recorder(checksums, fail_at=("complete_multipart_upload", 1))
    with pytest.raises(KeyboardInterrupt):
        S3Store(first, store.bucket, store.prefix, multipart_above=PART).put_file("large", large)
    with large.open("r+b") as file:
        file.seek(PART)
        file.write(b"changed")
    second = Recorder(checksums)
    S3Store(second, store.bucket, store.prefix, multipart_above=PART).put_file("large", large)
    assert [call["PartNumber"] for name, call in second.calls if name == "upload_part"] == [2]
    assert store.get("large")[0] == large.read_bytes()


class Overtaken:
    """A client beside which somebody else, with the same file, does something just before this one completes."""

    def __init__(self, client: Any, meanwhile: Callable[[dict[str, Any]], None]) -> None:
        self._client = client
        self._meanwhile: Callable[[dict[str, Any]], None] | None = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def complete_multipart_upload(self, **kwargs: Any) -> Any:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile:
            meanwhile(kwargs)
        return self._client.complete_multipart_upload(**kwargs)


def test_a_part_that_somebody_else_has_replaced_is_sent_again(store: S3Store, large: Path) -> None:
    def replace(kwargs: dict[str, Any]) -> None:
        at = {name: kwargs[name] for name in ("Bucket", "Key", "UploadId")}
        store.client.upload_part(**at, PartNumber=2, Body=b"of an older, longer file")

    parts = S3Store(Overtaken(store.client, replace), store.bucket, store.prefix, multipart_above=PART)
    parts.put_file("large", large)
    assert store.get("large")[0] == large.read_bytes()


def test_an_upload_that_somebody_else_has_completed_is_found_there_and_not_sent_again(
    store: S3Store, large: Path
) -> None:
    def complete(kwargs: dict[str, Any]) -> None:
        store.client.complete_multipart_upload(**kwargs)
        raise ClientError({"Error": {"Code": "NoSuchUpload", "Message": "gone"}}, "CompleteMultipartUpload")

    recorder = Recorder(Overtaken(store.client, complete))
    with pytest.raises(PreconditionFailed):
        S3Store(recorder, store.bucket, store.prefix, multipart_above=PART).put_file("large", large)
    assert recorder.count("upload_part") == 4
    assert recorder.count("create_multipart_upload") == 1
    assert store.get("large")[0] == large.read_bytes()


def test_an_upload_that_somebody_else_has_aborted_is_begun_again(store: S3Store, large: Path) -> None:
    def abort(kwargs: dict[str, Any]) -> None:
        store.client.abort_multipart_upload(**{name: kwargs[name] for name in ("Bucket", "Key", "UploadId")})
        raise ClientError({"Error": {"Code": "NoSuchUpload", "Message": "gone"}}, "CompleteMultipartUpload")

    recorder = Recorder(Overtaken(store.client, abort))
    S3Store(recorder, store.bucket, store.prefix, multipart_above=PART).put_file("large", large)
    assert recorder.count("create_multipart_upload") == 2
    assert store.get("large")[0] == large.read_bytes()


def test_a_cancelled_upload_leaves_no_object(store: S3Store, large: Path) -> None:
    asked = iter([False, False, True, True, True, True, True])
    parts = S3Store(store.client, store.bucket, store.prefix, multipart_above=PART)
    with pytest.raises(Cancelled):
        parts.put_file("large", large, cancelled=lambda: next(asked))
    assert store.head("large") is None


def test_listing_pages_through_a_thousand_keys_at_a_time(store: S3Store) -> None:
    for index in range(1003):
        store.put_bytes(f"models/{index:04d}", b"")
    assert [found.key for found in store.list("models/")] == [f"models/{i:04d}" for i in range(1003)]


def test_delete_all_leaves_no_version_marker_or_upload_and_touches_nothing_else(store: S3Store) -> None:
    other = S3Store(store.client, store.bucket, "team/other/")
    other.put_bytes("a", b"stays")
    for _ in range(2):
        store.put_bytes("models/a", b"1")
    store.delete("models/a")
    store.client.create_multipart_upload(Bucket=BUCKET, Key="team/prod/models/b")
    assert store.delete_all() == 4
    versions = store.client.list_object_versions(Bucket=BUCKET, Prefix="team/prod/")
    assert "Versions" not in versions
    assert "DeleteMarkers" not in versions
    assert "Uploads" not in store.client.list_multipart_uploads(Bucket=BUCKET)
    assert other.get("a")[0] == b"stays"
    assert store.delete_all() == 0


def test_delete_all_of_a_bucket_that_is_gone_finds_nothing(environment: None) -> None:
    assert open_store("s3://gone-bucket/p").delete_all() == 0


def test_a_missing_bucket_is_named(environment: None) -> None:
    with pytest.raises(StoreError, match=r"write s3://gone-bucket/p/a: the bucket does not exist"):
        open_store("s3://gone-bucket/p").put_bytes("a", b"")


@pytest.mark.parametrize("url", ["", "gs:/bucket", "s3://", "s3://UPPER/x", "bucket/prefix", "s3:/bucket"])
def test_a_url_that_is_no_store_is_bad_input(url: str) -> None:
    with pytest.raises(InputError, match="s3://<bucket>"):
        open_store(url)


@pytest.mark.parametrize(
    ("url", "opened"),
    [("s3://abc", "s3://abc"), ("s3://abc/", "s3://abc"), ("s3://abc/p/q/", "s3://abc/p/q")],
)
def test_a_store_is_named_without_a_trailing_slash(environment: None, url: str, opened: str) -> None:
    assert open_store(url).url == opened


@pytest.mark.parametrize(
    ("code", "headers", "says"),
    [
        ("AccessDenied", {}, "access denied"),
        ("BadDigest", {}, "damaged on the way"),
        ("ExpiredToken", {}, "credentials are not valid"),
        ("PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}, "bucket is in eu-west-1"),
        ("SlowDown", {}, "SlowDown"),
    ],
)
def test_what_s3_refuses_says_what_to_do(code: str, headers: dict[str, str], says: str) -> None:
    class Refusing:
        def put_object(self, **_: Any) -> None:
            response: Any = {
                "Error": {"Code": code, "Message": "no"},
                "ResponseMetadata": {"HTTPHeaders": headers},
            }
            raise ClientError(response, "PutObject")

    with pytest.raises(StoreError, match=says) as caught:
        S3Store(Refusing(), "b", "p/").put_bytes("k", b"")
    assert "s3://b/p/k" in str(caught.value)


def test_a_store_that_cannot_be_reached_says_so(monkeypatch: pytest.MonkeyPatch, environment: None) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("cohost.s3._ATTEMPTS", 1)
    with pytest.raises(StoreError, match="cannot reach S3"):
        open_store("s3://bucket/p").put_bytes("a", b"")
