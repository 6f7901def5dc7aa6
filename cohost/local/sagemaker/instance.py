"""One instance of an endpoint: a Triton that is kept alive, and the models it fetches, loads and serves."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from botocore.exceptions import BotoCoreError

from cohost.errors import CohostError
from cohost.local.sagemaker.archive import ArchiveError, unpack
from cohost.local.sagemaker.errors import ServiceError
from cohost.local.sagemaker.models import Entry, Eviction, ModelCache, NoRoomError
from cohost.local.sagemaker.triton import MultiModelTriton
from cohost.local.triton.server import Reply, UnreachableError, started

# "How multi-model endpoints work": a call ends after 60 s, a load goes on for up to 360 s.
CALL_SECONDS: Final = 60.0
LOAD_SECONDS: Final = 360.0
_RESTART_SECONDS: Final = 1.0
_KEEPER_SECONDS: Final = 5.0
_MOMENT_SECONDS: Final = 0.05
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """An archive on its way: its size in bytes and its bytes."""

    size: int
    stream: IO[bytes]


@dataclass(frozen=True)
class Answer:
    """What came of one call.

    Attributes:
        reply: The container's reply.
        hit: Whether the model had been in memory.
        waited: Seconds until it was.
        latency: Seconds the container took.
    """

    reply: Reply
    hit: bool
    waited: float
    latency: float


class LoadError(Exception):
    """The container refused a model; holds its reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Observer(Protocol):
    """Who is told what happens on the instances of a fleet; times in seconds."""

    def downloaded(self, seconds: float) -> None:
        """A model came from S3 to the disk."""

    def loaded(self, seconds: float) -> None:
        """A model came from the disk into memory."""

    def unloaded(self, seconds: float) -> None:
        """A model went out of memory."""

    def failed(self, instance: str, target: str, words: str) -> None:
        """A model could not be brought into memory."""

    def evicted(self, instance: str, eviction: Eviction) -> None:
        """A model had to go."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What the instances of a fleet have in common.

    Attributes:
        folder: Where they keep Triton, logs and models.
        mark: What their names begin with.
        variant: The production variant.
        environment: Variables of the model's container.
        fetch: Opens the archive of a target model, as the execution role.
        memory: Bytes of GPU memory of an instance, read on each use.
        disk: Bytes of disk of an instance.
        observer: Told what happens on them.
    """

    folder: Path
    mark: str
    variant: str
    environment: Mapping[str, str]
    fetch: Callable[[str], Fetched]
    memory: Callable[[], int]
    disk: Callable[[], int]
    observer: Observer


class Instance:
    """A machine of a fleet, as far as this emulator has machines."""

    def __init__(self, spec: Spec, mark: str) -> None:
        """Starts Triton and waits until it answers.

        Args:
            spec: What it has in common with the others.
            mark: Its name.

        Raises:
            CohostError: Triton does not start.
            OSError: It cannot be started.
        """
        self.mark = mark
        self.busy_seconds = 0.0
        self.cache = ModelCache(
            memory=spec.memory, disk=spec.disk, evicted=lambda eviction: spec.observer.evicted(mark, eviction)
        )
        self._spec = spec
        self._models = spec.folder / mark
        self._closed = False
        self._up = threading.Event()
        self._server = self._start()
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)
        self._keeper.start()

    def invoke(self, target: str, body: bytes, headers: Mapping[str, str], *, seconds: float = CALL_SECONDS) -> Answer:
        """Answers one call.

        Raises:
            StillLoadingError: The model is not in memory after `seconds`; its load goes on.
            TimeoutError: The container has not answered after `seconds`.
            ServiceError: The archive cannot be fetched.
            LoadError: The container does not load the model.
            UnreachableError: Triton does not answer.
        """
        began = time.monotonic()
        deadline = began + seconds
        for attempt in (1, 2):
            with self.cache.using(target, self._load, deadline=deadline) as (entry, hit):
                there = time.monotonic()
                loads = entry.loads
                try:
                    reply = self._call(entry, body, headers, deadline)
                except UnreachableError:
                    if attempt == 2:
                        raise
                    self._await_server(deadline)
                    continue
                latency = time.monotonic() - there
                self.busy_seconds += latency
                if attempt == 2 or not _lost(reply):
                    return Answer(reply, hit, there - began, latency)
                self.cache.lost(entry, loads, self._unload)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Ends Triton and removes the models."""
        self._closed = True
        self._up.set()
        self._server.kill()
        self._keeper.join(_KEEPER_SECONDS)
        shutil.rmtree(self._models, ignore_errors=True)
        self._server.log.unlink(missing_ok=True)

    def _call(self, entry: Entry, body: bytes, headers: Mapping[str, str], deadline: float) -> Reply:
        path = f"/models/{entry.handle}/invoke"
        reply = self._server.request("POST", path, body, headers, seconds=_left(deadline))
        if reply.status == 507:
            try:
                self.cache.room_in_memory(entry, self._unload, deadline=deadline, at_least_one=True)
            except NoRoomError:
                return reply
            reply = self._server.request("POST", path, body, headers, seconds=_left(deadline))
        return reply

    def _load(self, entry: Entry) -> None:
        deadline = time.monotonic() + LOAD_SECONDS
        try:
            if not entry.stored:
                self._download(entry, deadline)
            self._load_into_memory(entry, deadline)
        except (NoRoomError, LoadError, ServiceError) as error:
            self._discard(entry)
            if not self._closed:
                self._spec.observer.failed(self.mark, entry.target, str(error))
            if isinstance(error, NoRoomError):
                raise LoadError(Reply(507, {}, str(error).encode())) from error
            raise
        except BaseException:
            self._discard(entry)
            raise

    def _download(self, entry: Entry, deadline: float) -> None:
        began = time.monotonic()
        fetched = self._spec.fetch(entry.target)

        def room(written: int) -> None:
            # The archive lies beside what comes out of it.
            self.cache.room_on_disk(entry, fetched.size + written, self._discard, deadline=deadline)

        with fetched.stream as stream:
            try:
                entry.size = unpack(stream, self._models / entry.handle, room)
            except ArchiveError as error:
                message = f"Failed to extract model data archive for {entry.target}: {error}"
                raise ServiceError("ValidationError", message) from error
            except BotoCoreError as error:
                raise ServiceError("ServiceUnavailable", str(error), status=503) from error
            except OSError as error:
                raise NoRoomError(f"the disk of this machine is full: {error}") from error
        entry.stored = True
        self._spec.observer.downloaded(time.monotonic() - began)

    def _load_into_memory(self, entry: Entry, deadline: float) -> None:
        tight = died = False
        while True:
            self.cache.room_in_memory(entry, self._unload, deadline=deadline, at_least_one=tight)
            began = time.monotonic()
            try:
                reply = self._server.load(
                    entry.handle, self._models / entry.handle, target=entry.target, seconds=_left(deadline)
                )
            except TimeoutError as error:
                raise LoadError(Reply(504, {}, str(error).encode())) from error
            except UnreachableError as error:
                if died:
                    raise LoadError(
                        Reply(500, {}, f"Triton ends when it loads this model: {error}".encode())
                    ) from error
                died = True
                self._await_server(deadline)
                continue
            if reply.status in (200, 409):
                self._spec.observer.loaded(time.monotonic() - began)
                return
            if reply.status != 507:
                raise LoadError(reply)
            tight = True

    def _unload(self, entry: Entry) -> None:
        began = time.monotonic()
        try:
            reply = self._server.unload(entry.handle, target=entry.target)
        except (UnreachableError, TimeoutError):
            _LOG.warning("%s: Triton did not unload %s", self.mark, entry.target)
            return
        if reply.status == 200:
            self._spec.observer.unloaded(time.monotonic() - began)

    def _discard(self, entry: Entry) -> None:
        """Takes a model out of memory, if it is there, and off the disk."""
        if entry.loaded and entry.loads:
            self._unload(entry)
        entry.loaded, entry.stored, entry.size = False, False, 0
        shutil.rmtree(self._models / entry.handle, ignore_errors=True)

    def _start(self) -> MultiModelTriton:
        spec = self._spec
        server = started(
            lambda: MultiModelTriton(spec.folder, mark=self.mark, environment=spec.environment),
            MultiModelTriton.wait_until_ready,
        )
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
            except (CohostError, OSError) as error:
                _LOG.error("%s: %s", self.mark, error)
                time.sleep(_RESTART_SECONDS)
        # Closed while it was starting.
        self._server.kill()

    def _await_server(self, deadline: float) -> None:
        """Waits for a Triton that died; one that merely refused a connection is given a moment."""
        while time.monotonic() < deadline and not self._closed:
            time.sleep(_MOMENT_SECONDS)
            if self._up.is_set() and self._server.running():
                return
        raise UnreachableError("the instance is being replaced")


def _left(deadline: float) -> float:
    return max(1.0, deadline - time.monotonic())


def _lost(reply: Reply) -> bool:
    """Tells whether Triton no longer has a model that it had: it was started anew, or the model's process died."""
    gone = reply.status == 404 or "has no available versions" in reply.text
    return reply.status >= 400 and (gone or "is not healthy" in reply.text)
