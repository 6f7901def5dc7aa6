from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cohost.local.sagemaker.models import Entry, ModelCache, NoRoomError, StillLoadingError
from cohost.local.triton.memory import MODEL_OVERHEAD_BYTES

SIZE = 1000
ONE = MODEL_OVERHEAD_BYTES + SIZE


class Machine:
    """A cache whose loads only keep accounts, so that what is really in memory and on disk can be compared."""

    def __init__(self, *, models_in_memory: int = 2, models_on_disk: int = 100) -> None:
        self.cache = ModelCache(memory=lambda: models_in_memory * ONE, disk=lambda: models_on_disk * SIZE)
        self.memory: set[str] = set()
        self.disk: set[str] = set()
        self.downloads = 0
        self.fault: Exception | None = None
        self.gate: threading.Event | None = None

    def load(self, entry: Entry) -> None:
        deadline = time.monotonic() + 20
        if self.gate:
            self.gate.wait(20)
        if self.fault:
            raise self.fault
        if not entry.stored:
            self.cache.room_on_disk(entry, SIZE, self.discard, deadline=deadline)
            entry.stored = True
            self.downloads += 1
            self.disk.add(entry.target)
        self.cache.room_in_memory(entry, self.unload, deadline=deadline)
        assert entry.target not in self.memory
        self.memory.add(entry.target)

    def unload(self, entry: Entry) -> None:
        self.memory.remove(entry.target)

    def discard(self, entry: Entry) -> None:
        if entry.loaded:
            self.unload(entry)
        entry.loaded = entry.stored = False
        self.disk.remove(entry.target)

    def call(self, target: str, *, seconds: float = 20, during: Callable[[], None] | None = None) -> bool:
        with self.cache.using(target, self.load, deadline=time.monotonic() + seconds) as (entry, hit):
            assert entry.target == target
            assert target in self.memory
            if during:
                during()
            return hit

    def evicted(self, place: str) -> list[str]:
        return [eviction.target for eviction in self.cache.evictions if eviction.place == place]


def test_the_model_that_was_not_used_for_longest_goes_first_and_stays_on_disk() -> None:
    machine = Machine()
    assert [machine.call(target) for target in ("a", "b", "a", "c")] == [False, False, True, False]
    assert machine.memory == {"a", "c"}
    assert machine.evicted("memory") == ["b"]
    machine.call("b")
    assert machine.downloads == 3
    assert machine.evicted("memory") == ["b", "a"]


def test_a_full_disk_loses_what_is_out_of_memory_first_and_then_what_is_in_it() -> None:
    machine = Machine(models_in_memory=2, models_on_disk=3)
    for target in "abcd":
        machine.call(target)
    assert machine.evicted("disk") == ["a"]
    assert machine.disk == {"b", "c", "d"}
    machine = Machine(models_in_memory=5, models_on_disk=2)
    for target in "abc":
        machine.call(target)
    assert machine.evicted("disk") == ["a"]
    assert machine.memory == machine.disk == {"b", "c"}


def test_a_model_in_use_is_waited_for_and_never_put_out() -> None:
    machine = Machine(models_in_memory=1)
    used, over = threading.Event(), threading.Event()

    def use() -> None:
        used.set()
        over.wait(20)
        assert machine.memory == {"a"}

    with ThreadPoolExecutor() as pool:
        first = pool.submit(machine.call, "a", during=use)
        used.wait(20)
        second = pool.submit(machine.call, "b")
        time.sleep(0.05)
        assert not second.done()
        over.set()
        first.result(20)
        second.result(20)
    assert machine.memory == {"b"}


def test_what_cannot_fit_is_refused_and_leaves_no_trace() -> None:
    machine = Machine(models_in_memory=0)
    with pytest.raises(NoRoomError, match="do not fit in memory"):
        machine.call("a")
    assert machine.cache.entries() == []


def test_a_load_that_fails_fails_for_every_waiting_caller_and_is_tried_again_by_the_next() -> None:
    machine = Machine()
    machine.fault, machine.gate = ValueError("broken"), threading.Event()
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(machine.call, "a") for _ in range(3)]
        time.sleep(0.05)
        machine.gate.set()
        assert {str(call.exception(20)) for call in calls} == {"broken"}
    machine.fault = None
    assert machine.call("a") is False


def test_a_caller_that_gives_up_does_not_end_the_load() -> None:
    machine = Machine()
    machine.gate = threading.Event()
    with pytest.raises(StillLoadingError):
        machine.call("a", seconds=0.01)
    machine.gate.set()
    machine.call("a")
    assert machine.downloads == 1


def test_a_lost_model_is_loaded_again_but_not_put_out_when_somebody_already_did_so() -> None:
    machine = Machine()
    machine.call("a")
    (entry,) = machine.cache.entries()
    machine.cache.lost(entry, entry.loads, machine.unload)
    assert machine.memory == set()
    assert machine.call("a") is False
    machine.cache.lost(entry, entry.loads - 1, machine.unload)
    assert machine.memory == {"a"}


def test_many_callers_at_once_find_their_model_in_memory_and_the_accounts_hold() -> None:
    machine = Machine(models_in_memory=3, models_on_disk=4)
    overfull: list[int] = []

    def work(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(60):
            machine.call(choose.choice("abcdefg"))
            held = [entry for entry in machine.cache.entries() if entry.loaded]
            if sum(entry.memory for entry in held) > 3 * ONE:
                overfull.append(len(held))

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result(60)
    assert overfull == []
    assert machine.memory == {entry.target for entry in machine.cache.entries() if entry.loaded}
    assert machine.disk == {entry.target for entry in machine.cache.entries()}
