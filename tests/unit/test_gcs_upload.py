"""Large files to Cloud Storage in chunks, against the local Cloud Storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions

from cohost import gcs, gcs_upload
from cohost.errors import InputError, PreconditionFailed, StoreError
from cohost.gcs import GcsStore
from cohost.store import Cancelled
from tests.unit.gcs_process import GcsProcess, local_gcs
from tests.unit.gcs_stores import BUCKET, a_bucket

CHUNK = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsProcess]:
    with local_gcs(tmp_path_factory.mktemp("gcs") / "state") as process:
        yield process


@pytest.fixture
def store(server: GcsProcess, tmp_path: Path) -> Iterator[GcsStore]:
    with a_bucket(server, tmp_path / "cache"):
        yield GcsStore.open(f"gs://{BUCKET}/p")


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gcs, "ResumableUpload", lambda *given: gcs_upload.ResumableUpload(*given, chunk=CHUNK))
    file = tmp_path / "large"
    file.write_bytes(b"".join(bytes([part]) * CHUNK for part in range(3)) + b"end")
    return file


class Requests:
    """What a store sends from now on: the Content-Range of each chunk; it can fail at one of them."""

    def __init__(self, store: GcsStore, *, fail_at: int = 0, error: BaseException | None = None) -> None:
        self.ranges: list[str] = []
        self._put = store.client._http.put
        self._fail_at, self._error = fail_at, error or KeyboardInterrupt()

    def put(self, url: str, **given: Any) -> Any:
        self.ranges.append(given["headers"]["Content-Range"])
        if len(self.ranges) == self._fail_at:
            raise self._error
        return self._put(url, **given)


def watched(store: GcsStore, monkeypatch: pytest.MonkeyPatch, **given: Any) -> Requests:
    made = Requests(store, **given)
    monkeypatch.setattr(store.client._http, "put", made.put)
    return made


def left(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "cohost" / "uploads").iterdir())


def in_chunks(store: GcsStore) -> GcsStore:
    return GcsStore(GcsStore.open(store.url).client, BUCKET, store.prefix, CHUNK)


def test_a_large_file_goes_up_in_chunks_and_comes_back_whole(
    store: GcsStore, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = in_chunks(store)
    sent = watched(chunks, monkeypatch)
    etag = chunks.put_file("large", large)
    assert [row.partition("/")[0] for row in sent.ranges] == [
        "bytes 0-1048575",
        "bytes 1048576-2097151",
        "bytes 2097152-3145727",
        "bytes 3145728-3145730",
    ]
    assert store.get("large") == (large.read_bytes(), etag)
    assert left(tmp_path) == []


def test_a_large_file_never_overwrites(store: GcsStore, large: Path, tmp_path: Path) -> None:
    store.put_bytes("large", b"first")
    with pytest.raises(PreconditionFailed):
        in_chunks(store).put_file("large", large)
    assert store.get("large")[0] == b"first"
    assert left(tmp_path) == []


def test_a_large_file_does_not_overwrite_what_was_written_meanwhile(
    store: GcsStore, large: Path, tmp_path: Path
) -> None:
    asked = 0

    def meanwhile() -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            store.put_bytes("large", b"theirs")
        return False

    with pytest.raises(PreconditionFailed):
        in_chunks(store).put_file("large", large, cancelled=meanwhile)
    assert store.get("large")[0] == b"theirs"
    assert left(tmp_path) == []


def test_an_interrupted_upload_sends_only_the_rest(
    store: GcsStore, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = in_chunks(store), in_chunks(store)
    watched(first, monkeypatch, fail_at=3)
    with pytest.raises(KeyboardInterrupt):
        first.put_file("large", large)
    assert store.head("large") is None
    (note,) = left(tmp_path)
    assert note.stat().st_mode & 0o777 == 0o600
    sent = watched(second, monkeypatch)
    second.put_file("large", large)
    assert [row.partition("/")[0] for row in sent.ranges] == [
        "bytes *",
        "bytes 2097152-3145727",
        "bytes 3145728-3145730",
    ]
    assert store.get("large")[0] == large.read_bytes()
    assert left(tmp_path) == []


def test_a_connection_that_breaks_is_taken_up_where_the_service_is(
    store: GcsStore, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = in_chunks(store)
    sent = watched(chunks, monkeypatch, fail_at=2, error=requests.ConnectionError("reset"))
    chunks.put_file("large", large)
    assert [row.partition("/")[0] for row in sent.ranges][1:4] == [
        "bytes 1048576-2097151",
        "bytes *",
        "bytes 1048576-2097151",
    ]
    assert store.get("large")[0] == large.read_bytes()


def test_an_upload_whose_credentials_end_is_taken_up_by_the_next(
    store: GcsStore, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = in_chunks(store), in_chunks(store)
    watched(first, monkeypatch, fail_at=3, error=exceptions.Unauthorized("expired"))
    with pytest.raises(StoreError, match="credentials are not valid"):
        first.put_file("large", large)
    sent = watched(second, monkeypatch)
    second.put_file("large", large)
    assert sent.ranges[0].startswith("bytes */")
    assert sent.ranges[1].startswith("bytes 2097152-")
    assert store.get("large")[0] == large.read_bytes()


def test_an_upload_of_other_bytes_is_begun_anew(store: GcsStore, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = in_chunks(store)
    watched(first, monkeypatch, fail_at=3)
    with pytest.raises(KeyboardInterrupt):
        first.put_file("large", large)
    with large.open("r+b") as file:
        file.write(b"changed")
    in_chunks(store).put_file("large", large)
    assert store.get("large")[0] == large.read_bytes()


def test_an_upload_that_the_service_has_forgotten_is_begun_anew(
    store: GcsStore, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = in_chunks(store)
    watched(first, monkeypatch, fail_at=3)
    with pytest.raises(KeyboardInterrupt):
        first.put_file("large", large)
    (note,) = left(tmp_path)
    note.write_text(note.read_text() + "gone")
    in_chunks(store).put_file("large", large)
    assert store.get("large")[0] == large.read_bytes()


def test_two_who_send_the_same_file_at_once_do_not_send_it_together(
    store: GcsStore, large: Path, tmp_path: Path
) -> None:
    first, second = in_chunks(store), in_chunks(store)
    asked = 0

    def meanwhile() -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            second.put_file("large", large)
        return False

    with pytest.raises(PreconditionFailed):
        first.put_file("large", large, cancelled=meanwhile)
    assert store.get("large")[0] == large.read_bytes()
    assert left(tmp_path) == []


def test_without_a_place_for_notes_a_large_file_goes_up_all_the_same(
    store: GcsStore, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "no-folder"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    in_chunks(store).put_file("large", large)
    assert store.get("large")[0] == large.read_bytes()


def test_a_file_that_shrinks_while_it_is_sent_is_said(store: GcsStore, large: Path) -> None:
    asked = 0

    def shrink() -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            large.write_bytes(b"")
        return False

    with pytest.raises(InputError, match=r"large: was changed while it was being sent: run again"):
        in_chunks(store).put_file("large", large, cancelled=shrink)
    assert store.head("large") is None


def test_a_cancelled_upload_leaves_no_object(store: GcsStore, large: Path) -> None:
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        in_chunks(store).put_file("large", large, cancelled=lambda: next(asked))
    assert store.head("large") is None
