"""The models of one instance: what is on its disk and in its memory, and what goes when there is no room."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cohost.local.triton.memory import MODEL_OVERHEAD_BYTES


class NoRoomError(Exception):
    """There is no room, and nothing that could go."""


class StillLoadingError(Exception):
    """A caller's patience ended before the model was in memory; the load goes on."""


@dataclass(eq=False)
class Entry:
    """One target model of an instance, from its download until its files are removed.

    Attributes:
        target: Key below the endpoint's prefix.
        handle: The opaque name it has in the container's contract.
        size: Bytes on disk, or reserved there.
        stored: Whether its files are all there.
        loaded: Whether it is in memory, or being loaded there.
        since: When it was loaded, ISO 8601.
        loads: How often it has been loaded.
        users: Calls that use it now.
        used: When it was last used (monotonic seconds).
    """

    target: str
    handle: str
    size: int = 0
    stored: bool = False
    loaded: bool = False
    since: str | None = None
    loads: int = 0
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
    """The accounts of one instance: the least recently used model goes first, and one thing happens to it at a time.

    A model unloaded from memory stays on disk until the disk is full ("How multi-model endpoints work", Amazon
    SageMaker developer guide; the order of eviction is not documented there).
    """

    def __init__(
        self, *, memory: Callable[[], int], disk: Callable[[], int], evicted: Callable[[Eviction], None] | None = None
    ) -> None:
        """Begins empty.

        Args:
            memory: Bytes of memory there are, read on each use.
            disk: Bytes of disk there are.
            evicted: Told of each model that had to go.
        """
        self.memory, self.disk = memory, disk
        self._evicted = evicted
        self._changed = threading.Condition()
        self._entries: dict[str, Entry] = {}
        # What is under way with a target: its load, its unloading or its removal.
        self._moves: dict[str, Future[None]] = {}
        self.evictions: tuple[Eviction, ...] = ()

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
            StillLoadingError: It is not in memory at the deadline.
            Exception: Whatever `load` raised.
        """
        entry, hit = self._hold(target, load, deadline)
        try:
            yield entry, hit
        finally:
            with self._changed:
                entry.users -= 1
                entry.used = time.monotonic()
                self._changed.notify_all()

    def _hold(self, target: str, load: Callable[[Entry], None], deadline: float) -> tuple[Entry, bool]:
        hit = True
        while True:
            with self._changed:
                entry = self._entries.get(target)
                move = self._moves.get(target)
                if entry and entry.loaded and not move:
                    entry.users += 1
                    entry.used = time.monotonic()
                    return entry, hit
                hit = False
                move = move or self._begin(target, load)
            wait([move], timeout=max(0.0, deadline - time.monotonic()))
            if not move.done():
                raise StillLoadingError(target)
            move.result()

    def _begin(self, target: str, load: Callable[[Entry], None]) -> Future[None]:
        move = self._moves[target] = Future()
        handle = hashlib.sha256(target.encode()).hexdigest()[:32]
        entry = self._entries.setdefault(target, Entry(target, handle))
        threading.Thread(target=self._load, args=(entry, load, move), daemon=True).start()
        return move

    def _load(self, entry: Entry, load: Callable[[Entry], None], move: Future[None]) -> None:
        error: BaseException | None = None
        try:
            load(entry)
        except BaseException as raised:
            error = raised
        with self._changed:
            entry.used = time.monotonic()
            if error is None:
                entry.loads += 1
                entry.since = datetime.now(UTC).isoformat(timespec="seconds")
            else:
                del self._entries[entry.target]
            self._end(entry)
        if error is None:
            move.set_result(None)
        else:
            move.set_exception(error)

    def _end(self, entry: Entry) -> None:
        del self._moves[entry.target]
        self._changed.notify_all()

    def room_on_disk(self, entry: Entry, size: int, discard: Callable[[Entry], None], *, deadline: float) -> None:
        """Makes room on the disk for a model and reserves it; models in use are waited for.

        Args:
            entry: The model that needs the room.
            size: Bytes it needs in all.
            discard: Takes a model out of memory, if it is there, and off the disk.
            deadline: Monotonic time at which to give up.

        Raises:
            NoRoomError: The disk is too small, or its models are in use until the deadline.
        """

        def held() -> dict[Entry, int]:
            return {other: other.size for other in self._entries.values() if other is not entry and other.size}

        while True:
            with self._changed:
                gone = self._next_to_go(size, self.disk, held, "on the disk", deadline=deadline)
                if gone is None:
                    entry.size = size
                    return
            self._put_out(gone, discard, "disk")

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

        def held() -> dict[Entry, int]:
            loaded = [other for other in self._entries.values() if other.loaded and other is not entry]
            return {other: other.memory for other in loaded}

        while True:
            with self._changed:
                gone = self._next_to_go(
                    entry.memory, self.memory, held, "in memory", deadline=deadline, at_least_one=at_least_one
                )
                if gone is None:
                    entry.loaded = True
                    return
                gone.loaded, gone.since = False, None
            at_least_one = False
            self._put_out(gone, unload, "memory")

    def _next_to_go(
        self,
        need: int,
        total: Callable[[], int],
        held: Callable[[], Mapping[Entry, int]],
        where: str,
        *,
        deadline: float,
        at_least_one: bool = False,
    ) -> Entry | None:
        """Begins to move the idle model that goes next, those out of memory first; None when there is room."""
        while True:
            others = held()
            free = total() - sum(others.values())
            if free >= need and not at_least_one:
                return None
            idle = [other for other in others if not other.users and other.target not in self._moves]
            if idle:
                gone = min(idle, key=lambda other: (other.loaded, other.used))
                self._moves[gone.target] = Future()
                return gone
            seconds = deadline - time.monotonic()
            if not others or seconds <= 0:
                raise NoRoomError(f"{need} bytes do not fit {where}: {max(free, 0)} are free")
            # Not for longer: the limits may be changed meanwhile.
            self._changed.wait(min(seconds, 1.0))

    def _put_out(self, gone: Entry, act: Callable[[Entry], None], place: str) -> None:
        """Ends the move that `_next_to_go` began."""
        move = self._moves[gone.target]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        eviction = Eviction(gone.target, place, now)
        try:
            act(gone)
        finally:
            with self._changed:
                if place == "disk":
                    del self._entries[gone.target]
                self.evictions = (*self.evictions, eviction)[-_EVICTIONS_KEPT:]
                self._end(gone)
            move.set_result(None)
        if self._evicted:
            self._evicted(eviction)

    def lost(self, entry: Entry, loads: int, unload: Callable[[Entry], None]) -> None:
        """Notes that a model is no longer in memory after all, unless it has been loaded again or is being.

        Args:
            entry: The model.
            loads: How often it had been loaded when it was missed.
            unload: Takes what is left of it out of memory.
        """
        with self._changed:
            if not entry.loaded or entry.loads != loads or entry.target in self._moves:
                return
            entry.loaded, entry.since = False, None
            move = self._moves[entry.target] = Future()
        try:
            unload(entry)
        finally:
            with self._changed:
                self._end(entry)
            move.set_result(None)

    def forget_loaded(self) -> None:
        """Notes that nothing is in memory any more: the server was started anew."""
        with self._changed:
            for entry in self._entries.values():
                entry.loaded, entry.since = False, None
