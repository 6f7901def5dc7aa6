"""One large file to Cloud Storage in chunks, taken up again after an interruption.

Protocol: "Resumable uploads" and "Performing resumable uploads" in the documentation of Cloud Storage. A session's
URL is all there is to know of an unfinished upload, and the service lists none: it is noted in the user's cache
folder, in a file that only the user may read, because whoever has the URL may send.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.api_core import exceptions
from google.cloud.storage.retry import DEFAULT_RETRY

from cohost.errors import InputError, Problem
from cohost.folder import shown
from cohost.folder_lock import held
from cohost.store import Cancelled

# A multiple of 256 KiB, as the service wants; this much is sent again after a kill.
_CHUNK: Final = 16 << 20
_TIMEOUT_S: Final = (10, 120)
_RANGE: Final = re.compile(r"bytes=0-(\d+)")
_INCOMPLETE: Final = 308
# Other bytes were sent than announced, the session is gone, or there is an object. Not so where credentials ended.
_OF_NO_USE: Final = frozenset({400, 404, 409, 410, 412, 499})
CHANGED: Final = "was changed while it was being sent: run again"


@dataclass(frozen=True)
class ResumableUpload:
    """The upload of one file to one object.

    Attributes:
        http: The client's session, which authorises its requests.
        blob: The object, a google-cloud-storage Blob with the CRC32C that the service checks at the end.
        path: The file.
        size: Its size in bytes.
        notes: Where session URLs are noted.
        chunk: Bytes per request.
    """

    http: Any
    blob: Any
    path: Path
    size: int
    notes: Path = field(default_factory=lambda: notes_folder())
    chunk: int = _CHUNK

    def send(self, if_none_match: bool, cancelled: Callable[[], bool]) -> str:
        """Sends what the service lacks of the file and returns the object's generation.

        Args:
            if_none_match: Only while there is no object, both when the upload begins and when it ends.
            cancelled: Asked before each chunk.

        Raises:
            GoogleAPICallError: The service refused; 412 when there is an object.
            Cancelled: `cancelled` said so.
        """
        with _noted(self._note(if_none_match)) as note:
            if note.url:
                with suppress(_Gone):
                    return self._send_to(_Session(self, note.url, None), cancelled, note)
            url = self.blob.create_resumable_upload_session(
                size=self.size, if_generation_match=0 if if_none_match else None, checksum=None, retry=DEFAULT_RETRY
            )
            note.write(url)
            return self._send_to(_Session(self, url, 0), cancelled, note)

    def _send_to(self, session: _Session, cancelled: Callable[[], bool], note: _Note) -> str:
        step = DEFAULT_RETRY(session.step)
        made: str | None = None
        try:
            while made is None:
                if cancelled():
                    raise Cancelled(f"stopped while gs://{self.blob.bucket.name}/{self.blob.name} was being written")
                made = step()
        except exceptions.ClientError as error:
            if error.code in _OF_NO_USE:
                note.forget()
            raise
        note.forget()
        return made

    def _note(self, if_none_match: bool) -> Path:
        what = f"{self.blob.path} {self.blob.crc32c} {self.size} {if_none_match} {self.blob.client.api_endpoint}"
        return self.notes / hashlib.sha256(what.encode()).hexdigest()


class _Gone(Exception):
    """The session is no longer there, or has made its object long ago."""


class _Session:
    """Where an upload stands; `offset` is None when only the service knows."""

    def __init__(self, upload: ResumableUpload, url: str, offset: int | None) -> None:
        self._upload, self._url, self._offset = upload, url, offset
        self._is_old = offset is None

    def step(self) -> str | None:
        """Sends a chunk, or asks how far the service is; returns the generation once the object is made."""
        offset, self._offset = self._offset, None  # until the answer says otherwise
        data = b"" if offset is None else self._read(offset)
        size = self._upload.size
        place = f"{offset}-{offset + len(data) - 1}" if data and offset is not None else "*"
        answer = self._upload.http.put(
            self._url,
            data=data,
            headers={"Content-Range": f"bytes {place}/{size}"},
            timeout=_TIMEOUT_S,
            allow_redirects=False,
        )
        asked, self._is_old = self._is_old, False
        if answer.status_code == _INCOMPLETE:
            received = _RANGE.fullmatch(answer.headers.get("Range", ""))
            self._offset = int(received[1]) + 1 if received else 0
            return None
        if asked and answer.status_code in (200, 201, 400, 404, 410, 499):
            raise _Gone
        if answer.status_code not in (200, 201):
            raise exceptions.from_http_response(answer)
        return answer.json()["generation"]

    def _read(self, offset: int) -> bytes:
        with self._upload.path.open("rb", buffering=0) as file:
            file.seek(offset)
            data = file.read(min(self._upload.chunk, self._upload.size - offset))
        if not data and offset < self._upload.size:
            raise InputError([Problem(shown(self._upload.path), "", CHANGED)])
        return data


def notes_folder() -> Path:
    """Where unfinished uploads are noted: `cohost/uploads` in the user's cache folder (XDG base directories)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cohost" / "uploads"


class _Note:
    """The URL of an unfinished upload, in a file; without one an interrupted upload is begun again."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.url = path.read_text() if path else ""

    def write(self, url: str) -> None:
        if self._path:
            self._path.write_text(url)
            self.url = url

    def forget(self) -> None:
        if self._path:
            self._path.unlink(missing_ok=True)


@contextmanager
def _noted(path: Path) -> Iterator[_Note]:
    """Holds a note; an empty one where another process sends the same file now, or where there is no place."""
    with ExitStack() as stack:
        mine = False
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            mine = stack.enter_context(held(path, wait=False))
        note = _Note(path if mine else None)
        try:
            yield note
        finally:
            if not note.url:
                note.forget()
