"""One instance of an endpoint: a Triton that is kept alive, and the models it fetches, loads and serves."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cohost.errors import CohostError
from cohost.local.sagemaker.archive import ArchiveError, unpack
from cohost.local.sagemaker.errors import ServiceError
from cohost.local.sagemaker.models import Entry, ModelCache, NoRoomError
from cohost.local.triton.server import Reply, TritonServer, UnreachableError

# "How multi-model endpoints work": a call ends after 60 s, a load goes on for up to 360 s.
CALL_SECONDS: Final = 60.0
LOAD_SECONDS: Final = 360.0
_RESTART_SECONDS: Final = 1.0
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """An archive on its way: its size in bytes and its bytes."""

    size: int
    stream: IO[bytes]


class LoadError(Exception):
    """The container refused a model; holds its reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Instance:
    """A machine of a fleet, as far as this emulator has machines."""

    def __init__(
        self,
        folder: Path,
        *,
        mark: str,
        environment: Mapping[str, str],
        fetch: Callable[[str], Fetched],
        memory: Callable[[], int],
        disk: Callable[[], int],
    ) -> None:
        """Starts Triton and waits until it answers.

        Args:
            folder: Shared by all instances; models go below `mark`.
            mark: Name of this instance.
            environment: Variables of the model's container.
            fetch: Opens the archive of a target model, as the execution role.
            memory: Bytes of GPU memory there are, read on each use.
            disk: Bytes of disk there are.

        Raises:
            CohostError: Triton does not start.
        """
        self.mark = mark
        self.cache = ModelCache(memory=memory, disk=disk)
        self._folder, self._environment, self._fetch = folder, environment, fetch
        self._models = folder / mark
        self._closed = False
        self._up = threading.Event()
        self._server = self._start()
        threading.Thread(target=self._keep_alive, daemon=True).start()

    def invoke(
        self, target: str, body: bytes, headers: Mapping[str, str], *, seconds: float = CALL_SECONDS
    ) -> tuple[Reply, bool]:
        """Answers one call; returns the container's reply, and whether the model had been in memory.

        Raises:
            TimeoutError: The model is still being loaded after `seconds`.
            ServiceError: The archive cannot be fetched.
            LoadError: The container does not load the model.
            UnreachableError: Triton does not answer.
        """
        deadline = time.monotonic() + seconds
        for attempt in (1, 2):
            with self.cache.using(target, self._load, deadline=deadline) as (entry, hit):
                try:
                    reply = self._call(entry, body, headers, deadline)
                except UnreachableError:
                    if attempt == 2:
                        raise
                    self._await_server(deadline)
                    continue
                if attempt == 2 or not _lost(reply):
                    return reply, hit
                self._drop(entry)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Ends Triton and removes the models."""
        self._closed = True
        self._up.set()
        self._server.kill()
        shutil.rmtree(self._models, ignore_errors=True)

    def _call(self, entry: Entry, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        left = max(1.0, deadline - time.monotonic())
        path = f"/models/{entry.handle}/invoke"
        reply = self._server.request("POST", path, body, headers, seconds=left)
        if reply.status == 507:
            self.cache.room_in_memory(entry, self._unload, deadline=deadline, at_least_one=True)
            reply = self._server.request("POST", path, body, headers, seconds=left)
        return reply

    def _load(self, entry: Entry) -> None:
        deadline = time.monotonic() + LOAD_SECONDS
        folder = self._models / entry.handle
        try:
            if not entry.size:
                self._download(entry, folder)
            self._load_into_memory(entry, folder, deadline)
        except NoRoomError as error:
            self._forget(entry)
            raise LoadError(Reply(507, {}, str(error).encode())) from error
        except BaseException:
            self._forget(entry)
            raise

    def _download(self, entry: Entry, folder: Path) -> None:
        fetched = self._fetch(entry.target)
        with fetched.stream as stream:
            shutil.rmtree(folder, ignore_errors=True)
            free = self.cache.room_on_disk(fetched.size, self._remove)
            try:
                entry.size = unpack(stream, folder, limit=free)
            except ArchiveError as error:
                message = f"Failed to extract model data archive for {entry.target}: {error}"
                raise ServiceError("ValidationError", message) from error

    def _load_into_memory(self, entry: Entry, folder: Path, deadline: float) -> None:
        tight = False
        while True:
            self.cache.room_in_memory(entry, self._unload, deadline=deadline, at_least_one=tight)
            left = max(1.0, deadline - time.monotonic())
            try:
                reply = self._server.load(entry.handle, folder, seconds=left)
            except UnreachableError:
                self._await_server(deadline)
                continue
            if reply.status in (200, 409):
                return
            entry.loaded = False
            if reply.status != 507:
                raise LoadError(reply)
            tight = True

    def _unload(self, entry: Entry) -> None:
        try:
            self._server.unload(entry.handle)
        except (UnreachableError, TimeoutError):
            _LOG.warning("%s: Triton did not unload %s", self.mark, entry.target)

    def _drop(self, entry: Entry) -> None:
        """Takes a model that Triton has lost out of memory, so that the next call loads it again."""
        self._unload(entry)
        entry.loaded = False

    def _remove(self, entry: Entry) -> None:
        shutil.rmtree(self._models / entry.handle, ignore_errors=True)

    def _forget(self, entry: Entry) -> None:
        entry.loaded, entry.size = False, 0
        self._remove(entry)

    def _start(self) -> TritonServer:
        server = TritonServer(self._folder, mark=self.mark, environment=self._environment)
        try:
            server.wait_until_ready()
        except BaseException:
            server.kill()
            raise
        self._up.set()
        return server

    def _keep_alive(self) -> None:
        while not self._closed:
            self._server.wait()
            if self._closed:
                return
            self._up.clear()
            _LOG.warning("%s: Triton ended, starting it again", self.mark)
            self._server.kill()
            self.cache.forget_loaded()
            try:
                self._server = self._start()
            except CohostError as error:
                _LOG.error("%s: %s", self.mark, error)
                time.sleep(_RESTART_SECONDS)
        # Closed while it was starting.
        self._server.kill()

    def _await_server(self, deadline: float) -> None:
        """Waits for a Triton that died; one that merely refused a connection is given a moment."""
        time.sleep(0.05)
        if not self._up.wait(max(0.0, deadline - time.monotonic())) or self._closed:
            raise UnreachableError("the instance is being replaced")


def _lost(reply: Reply) -> bool:
    """Tells whether Triton no longer has a model that it had: it was started anew, or the model's process died."""
    gone = reply.status == 404 or "has no available versions" in reply.text
    return reply.status >= 400 and (gone or "is not healthy" in reply.text)
