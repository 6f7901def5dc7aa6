"""The store on Cloud Storage, against the local Cloud Storage."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.auth import exceptions as auth
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from cohost import gcs_errors
from cohost.errors import InputError, PreconditionFailed, StoreError
from cohost.gcs import GcsStore
from cohost.store import ObjectNotFound
from cohost.stores import open_store
from tests.unit.gcs_process import GcsProcess, local_gcs
from tests.unit.gcs_stores import BUCKET, a_bucket


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsProcess]:
    with local_gcs(tmp_path_factory.mktemp("gcs") / "state") as process:
        yield process


@pytest.fixture
def bucket(server: GcsProcess, tmp_path: Path) -> Iterator[storage.Bucket]:
    with a_bucket(server, tmp_path / "cache") as made:
        yield made


@pytest.fixture
def environment(server: GcsProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)


@pytest.fixture
def store(bucket: storage.Bucket) -> GcsStore:
    opened = open_store(f"gs://{BUCKET}/team/prod")
    assert isinstance(opened, GcsStore)
    return opened


def versions(bucket: storage.Bucket) -> list[str]:
    return [blob.name for blob in bucket.list_blobs(versions=True)]


def test_a_small_object_comes_back_as_it_was_written(store: GcsStore) -> None:
    etag = store.put_bytes("releases/a.json", b"{}")
    assert store.get("releases/a.json") == (b"{}", etag)
    found = store.head("releases/a.json")
    assert found is not None
    assert (found.key, found.size, found.etag) == ("releases/a.json", 2, etag)


@pytest.mark.parametrize("content", [b"", b"\r\n--==\r\n\x00\xff\n", b'{"json": 1}\n', b"a\rb\n\r\n"])
def test_any_bytes_come_back_under_any_key(store: GcsStore, content: bytes) -> None:
    key = "models/a b%2F/é+?#&.txt"
    etag = store.put_bytes(key, content)
    assert store.get(key) == (content, etag)
    assert [found.key for found in store.list("models/")] == [key]


def test_an_etag_is_the_generation_and_keys_are_below_the_prefix(store: GcsStore, bucket: storage.Bucket) -> None:
    etag = store.put_bytes("models/a", b"1")
    assert [(blob.name, str(blob.generation)) for blob in bucket.list_blobs()] == [("team/prod/models/a", etag)]
    assert store.url == f"gs://{BUCKET}/team/prod"


def test_what_is_not_there_is_none_for_head_and_an_error_for_get(store: GcsStore) -> None:
    assert store.head("nothing") is None
    with pytest.raises(ObjectNotFound, match="no such object"):
        store.get("nothing")


def test_put_if_absent_keeps_the_first_writer(store: GcsStore) -> None:
    store.put_bytes("a", b"first", if_none_match=True)
    with pytest.raises(PreconditionFailed, match="At least one of the pre-conditions you specified did not hold"):
        store.put_bytes("a", b"second", if_none_match=True)
    assert store.get("a")[0] == b"first"


def test_of_many_writers_at_once_one_wins(store: GcsStore) -> None:
    def put(index: int) -> bool:
        try:
            store.put_bytes("a", str(index).encode(), if_none_match=True)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(24)))
    assert store.get("a")[0] == str(won.index(True)).encode()
    assert won.count(True) == 1


def test_put_if_absent_writes_again_after_a_delete(store: GcsStore) -> None:
    store.put_bytes("a", b"first", if_none_match=True)
    store.delete("a")
    store.delete("a")
    store.put_bytes("a", b"second", if_none_match=True)
    assert store.get("a")[0] == b"second"


def test_a_generation_that_is_no_longer_current_refuses_the_write(store: GcsStore) -> None:
    old = store.put_bytes("current", b"1")
    new = store.put_bytes("current", b"2", if_match=old)
    with pytest.raises(PreconditionFailed, match="somebody else"):
        store.put_bytes("current", b"3", if_match=old)
    assert store.get("current") == (b"2", new)


def test_a_file_is_put_once(store: GcsStore, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    store.put_file("a", file)
    with pytest.raises(PreconditionFailed):
        store.put_file("a", file)


@pytest.mark.parametrize("resumable_above", [0, 1 << 20])
def test_a_file_of_other_bytes_than_it_must_have_is_not_stored(
    store: GcsStore, tmp_path: Path, resumable_above: int
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    other = GcsStore(store.client, store.bucket, store.prefix, resumable_above)
    crc32c = "4waSgw=="  # base64 of CRC32C("123456789") = e3069283, RFC 3720 B.4
    with pytest.raises((InputError, StoreError), match=r"was changed|damaged"):
        other.put_file("a", file, crc32c=crc32c)
    assert store.head("a") is None
    file.write_bytes(b"123456789")
    other.put_file("a", file, crc32c=crc32c)
    found = store.head("a")
    assert found is not None
    assert found.crc32c == crc32c


def test_a_copy_is_made_by_the_service_and_never_overwrites(store: GcsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_bytes("a", b"1" * 100)
    requests_made: list[tuple[str, Any]] = []
    request = store.client._http.request
    monkeypatch.setattr(
        store.client._http,
        "request",
        lambda method, url, data=None, **given: (
            requests_made.append((method, data)) or request(method, url, data=data, **given)
        ),
    )
    etag = store.copy("a", "b/c")
    assert [(method, data) for method, data in requests_made if data] in ([], [("POST", "{}")])
    assert store.get("b/c") == (b"1" * 100, etag)
    store.put_bytes("a", b"2")
    with pytest.raises(PreconditionFailed):
        store.copy("a", "b/c")
    with pytest.raises(ObjectNotFound, match=r"copy gs://.*/nothing to gs://.*/d"):
        store.copy("nothing", "d")
    assert store.get("b/c")[0] == b"1" * 100


def test_listing_pages_through_a_thousand_keys_at_a_time(store: GcsStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: store.put_bytes(f"models/{index:04d}", b""), range(1003)))
    assert [found.key for found in store.list("models/")] == [f"models/{i:04d}" for i in range(1003)]


@pytest.mark.parametrize("prefix", ["team/", "te[a]m*/"])
def test_a_listing_may_be_spared_keys_of_another_pattern(store: GcsStore, prefix: str) -> None:
    other = GcsStore(store.client, store.bucket, prefix)
    for key in ("models/a/1.json", "models/a/1/config.json", "models/b/2.json"):
        other.put_bytes(key, b"")
    found = {row.key for row in other.list("models/", glob="models/*/*.json")}
    assert {"models/a/1.json", "models/b/2.json"} <= found
    assert ("models/a/1/config.json" in found) == ("*" in prefix)


def test_delete_all_leaves_no_version_and_touches_nothing_else(store: GcsStore, bucket: storage.Bucket) -> None:
    other = GcsStore(store.client, store.bucket, "team/other/")
    other.put_bytes("a", b"stays")
    for _ in range(2):
        store.put_bytes("models/a", b"1")
    store.delete("models/a")
    store.put_bytes("models/b", b"1")
    assert len(versions(bucket)) == 4
    assert store.delete_all() == 3
    assert versions(bucket) == ["team/other/a"]
    assert store.delete_all() == 0


def test_delete_all_of_a_bucket_that_is_gone_finds_nothing(environment: None) -> None:
    assert open_store("gs://gone-bucket/p").delete_all() == 0


def test_a_missing_bucket_is_named(environment: None) -> None:
    with pytest.raises(StoreError, match=r"write gs://gone-bucket/p/a: the bucket does not exist"):
        open_store("gs://gone-bucket/p").put_bytes("a", b"")


@pytest.mark.parametrize("url", ["", "gs://", "gs://UPPER/x", "bucket/prefix", "gs:/bucket", "GS://bucket"])
def test_a_url_that_is_no_store_is_bad_input(url: str) -> None:
    with pytest.raises(InputError, match="gs://<bucket>"):
        open_store(url)


@pytest.mark.parametrize(
    ("url", "opened"),
    [("gs://abc", "gs://abc"), ("gs://abc/", "gs://abc"), ("gs://abc/p/q/", "gs://abc/p/q")],
)
def test_a_store_is_named_without_a_trailing_slash(environment: None, url: str, opened: str) -> None:
    assert open_store(url).url == opened


def test_given_credentials_are_taken(environment: None) -> None:
    given = AnonymousCredentials()
    opened = open_store("gs://abc", credentials=given)
    assert isinstance(opened, GcsStore)
    assert opened.client._credentials is given


def response(status: int, message: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = json.dumps({"error": {"message": message}}).encode()
    made.request = requests.Request("POST", "https://storage.googleapis.com/x").prepare()
    return made


@pytest.mark.parametrize(
    ("status", "message", "says"),
    [
        (403, "a@b.c does not have storage.objects.create access to it.", "the permission storage.objects.create on"),
        (403, "Billing is off.", "roles/storage.objectUser"),
        (401, "Invalid Credentials", "gcloud auth application-default login"),
        (400, 'Provided CRC32C "x" doesn\'t match calculated CRC32C "y".', "damaged on the way"),
        (429, "The object exceeded the rate limit.", "exceeded the rate limit"),
    ],
)
def test_what_cloud_storage_refuses_says_what_to_do(status: int, message: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught, gcs_errors.translated("write gs://b/k"):
        raise exceptions.from_http_response(response(status, message))
    assert str(caught.value).startswith("write gs://b/k: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (auth.DefaultCredentialsError("none"), "no Google credentials"),
        (auth.RefreshError("expired"), "not valid .any more.: expired"),
        (auth.TransportError("no route"), "cannot reach Cloud Storage: no route"),
        (requests.ConnectionError("refused"), "cannot reach Cloud Storage: refused"),
        (exceptions.RetryError("timeout", cause=requests.ConnectionError("refused")), "in vain: refused"),
    ],
)
def test_what_the_libraries_raise_says_what_to_do(error: Exception, says: str) -> None:
    with pytest.raises(StoreError, match=says), gcs_errors.translated("write gs://b/k"):
        raise error


def test_one_store_serves_many_threads(store: GcsStore) -> None:
    begin = threading.Barrier(8)

    def work(index: int) -> bytes:
        begin.wait()
        for _ in range(5):
            store.put_bytes(f"a/{index}", str(index).encode())
        return store.get(f"a/{index}")[0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [str(index).encode() for index in range(8)]
