"""The active release, read from the store in the background."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Final

from cohost.client.errors import PredictionError
from cohost.errors import CohostError
from cohost.release import CURRENT_KEY, ActiveRelease, inputs_from_json, release_key
from cohost.store import ObjectStore

INTERVAL: Final = 30.0

_log = logging.getLogger(__name__)


class ActiveReleases:
    """What `releases/current.json` says, at most `interval` seconds old.

    Only the first call of `current` reads the store itself. After it a thread of its own looks again every
    `interval` seconds; while that fails, the last answer stays and a warning is logged.
    """

    def __init__(self, store: ObjectStore, *, interval: float = INTERVAL) -> None:
        """Reads nothing yet.

        Args:
            store: Where the release is.
            interval: Seconds between two looks.
        """
        self._store = store
        self._interval = interval
        self._lock = threading.Lock()
        self._read: tuple[ActiveRelease, str] | None = None
        self._inputs_lock = threading.Lock()
        self._inputs: tuple[str, dict[str, tuple[str, str]]] = ("", {})
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def current(self) -> ActiveRelease:
        """The active release.

        Raises:
            PredictionError: The first read failed; the next call tries again.
        """
        read = self._read
        if read is None:
            return self.reread()
        # A thread does not survive a fork; the child starts its own.
        if self._thread is None or not self._thread.is_alive():
            self._start()
        return read[0]

    def reread(self) -> ActiveRelease:
        """The active release as it is now.

        Raises:
            PredictionError: It cannot be read.
        """
        with self._lock:
            try:
                self._refresh()
            except CohostError as error:
                raise PredictionError(f"{self._store.url}/{CURRENT_KEY}: {error}") from error
            assert self._read is not None
            return self._read[0]

    def inputs(self, model: str, digest: str) -> str:
        """What a model of the active release takes, in one phrase: "pixels FP32 [-1, 64]".

        The store is asked once a release, whatever it says: this is for an error's message, and callers with bad
        input come often.

        Returns:
            The phrase; "" where the release has another digest, or its document does not tell.
        """
        try:
            release = self.current().release
        except PredictionError:
            return ""
        with self._inputs_lock:
            if self._inputs[0] != release:
                self._inputs = release, self._read_inputs(release)
            known, phrase = self._inputs[1].get(model, ("", ""))
        return phrase if known == digest else ""

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()

    def _refresh(self) -> None:
        """Reads the document where its etag is another than the last one's."""
        known = self._read
        if known is not None:
            info = self._store.head(CURRENT_KEY)
            if info is not None and info.etag == known[1]:
                return
        data, etag = self._store.get(CURRENT_KEY)
        self._read = ActiveRelease.from_json(data), etag

    def _read_inputs(self, release: str) -> dict[str, tuple[str, str]]:
        try:
            return inputs_from_json(self._store.get(release_key(release))[0])
        except CohostError as error:
            _log.warning("what models expect is not known: %s", error)
            return {}

    def _start(self) -> None:
        with self._lock:
            if self._closed.is_set() or (self._thread is not None and self._thread.is_alive()):
                return
            # The thread holds no reference, so that a forgotten predictor can be collected.
            arguments = (weakref.ref(self), self._closed, self._interval)
            self._thread = threading.Thread(target=_watch, args=arguments, name="cohost-release", daemon=True)
            self._thread.start()


def _watch(reference: weakref.ref[ActiveReleases], closed: threading.Event, interval: float) -> None:
    while not closed.wait(interval):
        releases = reference()
        if releases is None:
            return
        try:
            releases.reread()
        except Exception as error:
            _log.warning("the active release could not be read again, the last one stays: %s", error)
        del releases
