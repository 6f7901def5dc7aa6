"""The models of one instance: what is on its disk and in its memory, and what goes when there is no room."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cohost.local.sagemaker.limits import MODEL_OVERHEAD_BYTES


class NoRoomError(Exception):
    """There is no room, and nothing that could go."""


@dataclass
class Entry:
    """One target model of an instance.

    Attributes:
        target: Key below the endpoint's prefix.
        handle: The opaque name Triton knows it by.
        size: Bytes unpacked.
        loaded: Whether it is in memory, or being loaded there.
        since: When it was loaded, ISO 8601.
        users: Calls that use it now.
        used: When it was last used (monotonic seconds).
    """

    target: str
    handle: str
    size: int = 0
    loaded: bool = False
    since: str | None = None
    users: int = 0
    used: float = field(default_factory=time.monotonic)

    @property
    def memory(self) -> int:
        """Bytes of GPU memory it takes, an estimate: its files and a fixed overhead."""
        return self.size + MODEL_OVERHEAD_BYTES


@dataclass(frozen=True)
class Eviction:
    """A model that had to go, and from where ("memory" or "disk")."""

    target: str
    place: str
    time: str


_EVICTIONS_KEPT: Final = 200


class ModelCache:
    """The accounts of one instance: one load per model at a time, the least recently used goes first.

    A model unloaded from memory stays on disk until the disk is full ("How multi-model endpoints work", Amazon
    SageMaker developer guide; the order of eviction is not documented there).
    """

    def __init__(self, *, memory: Callable[[], int], disk: Callable[[], int]) -> None:
        """Begins empty.

        Args:
            memory: Bytes of memory there are, read on each use.
            disk: Bytes of disk there are.
        """
        self._memory, self._disk = memory, disk
        self._changed = threading.Condition()
        self._entries: dict[str, Entry] = {}
        self._loads: dict[str, Future[None]] = {}
        self.evictions: list[Eviction] = []
        self.evicted = 0

    def entries(self) -> list[Entry]:
        """Returns every model on disk or in memory."""
        with self._changed:
            return list(self._entries.values())

    @contextmanager
    def using(self, target: str, load: Callable[[Entry], None], *, deadline: float) -> Iterator[tuple[Entry, bool]]:
        """Holds a loaded model for one call.

        Args:
            target: The model.
            load: Brings it to disk and memory; runs in a thread of its own that outlives an impatient caller.
            deadline: Monotonic time at which the caller gives up.

        Yields:
            The model, and whether it had been in memory already.

        Raises:
            TimeoutError: It is still being loaded at the deadline.
            Exception: Whatever `load` raised.
        """
        hit = True
        while True:
            with self._changed:
                entry = self._entries.get(target)
                future = self._loads.get(target)
                if entry and entry.loaded and not future:
                    entry.users += 1
                    entry.used = time.monotonic()
                    break
                hit = False
                future = future or self._begin(target, load)
            future.result(timeout=max(0.0, deadline - time.monotonic()))
        try:
            yield entry, hit
        finally:
            with self._changed:
                entry.users -= 1
                entry.used = time.monotonic()
                self._changed.notify_all()

    def _begin(self, target: str, load: Callable[[Entry], None]) -> Future[None]:
        future: Future[None] = Future()
        self._loads[target] = future
        threading.Thread(target=self._load, args=(target, load, future), daemon=True).start()
        return future

    def _load(self, target: str, load: Callable[[Entry], None], future: Future[None]) -> None:
        with self._changed:
            handle = hashlib.sha256(target.encode()).hexdigest()[:32]
            entry = self._entries.setdefault(target, Entry(target, handle))
            entry.users += 1
        error: BaseException | None = None
        try:
            load(entry)
        except BaseException as raised:
            error = raised
        with self._changed:
            entry.users -= 1
            entry.used = time.monotonic()
            entry.since = datetime.now(UTC).isoformat(timespec="seconds") if error is None else None
            if error is not None:
                self._entries.pop(target, None)
            del self._loads[target]
            self._changed.notify_all()
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def room_on_disk(self, size: int, remove: Callable[[Entry], None]) -> int:
        """Makes room for a model's files, and returns the bytes that are free.

        Raises:
            NoRoomError: The disk is too small.
        """
        while True:
            with self._changed:
                entries = [entry for entry in self._entries.values() if entry.size]
                free = self._disk() - sum(entry.size for entry in entries)
                if free >= size:
                    return free
                idle = [entry for entry in entries if not entry.loaded and not entry.users]
                if not idle:
                    raise NoRoomError(f"{size} bytes do not fit on the disk: {max(free, 0)} are free")
                gone = min(idle, key=lambda entry: entry.used)
                del self._entries[gone.target]
                self._note(gone, "disk")
            remove(gone)

    def room_in_memory(
        self, entry: Entry, unload: Callable[[Entry], None], *, deadline: float, at_least_one: bool = False
    ) -> None:
        """Makes room in memory for a model and reserves it; models in use are waited for.

        Args:
            entry: The model that needs the room.
            unload: Takes a model out of memory.
            deadline: Monotonic time at which to give up.
            at_least_one: Unload one even if the accounts say that there is room, since Triton says otherwise.

        Raises:
            NoRoomError: The memory is too small, or its models are in use until the deadline.
        """
        while True:
            with self._changed:
                gone = self._next_to_unload(entry, deadline=deadline, at_least_one=at_least_one)
                if gone is None:
                    entry.loaded = True
                    return
                gone.loaded, gone.since = False, None
                gone.users += 1
                self._note(gone, "memory")
            at_least_one = False
            try:
                unload(gone)
            finally:
                with self._changed:
                    gone.users -= 1
                    self._changed.notify_all()

    def _next_to_unload(self, entry: Entry, *, deadline: float, at_least_one: bool) -> Entry | None:
        while True:
            others = [other for other in self._entries.values() if other.loaded and other is not entry]
            free = self._memory() - sum(other.memory for other in others)
            if free >= entry.memory and not at_least_one:
                return None
            idle = [other for other in others if not other.users and other.target not in self._loads]
            if idle:
                return min(idle, key=lambda other: other.used)
            wait = deadline - time.monotonic()
            if not others or wait <= 0:
                raise NoRoomError(f"{entry.memory} bytes do not fit in memory: {max(free, 0)} are free")
            self._changed.wait(wait)

    def forget_loaded(self) -> None:
        """Notes that nothing is in memory any more: the server was started anew."""
        with self._changed:
            for entry in self._entries.values():
                entry.loaded, entry.since = False, None

    def _note(self, entry: Entry, place: str) -> None:
        self.evicted += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.evictions = [*self.evictions, Eviction(entry.target, place, now)][-_EVICTIONS_KEPT:]
