from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohost.plan.cache import Extent, ModelCache

NAMES = "abcdef"
CALLS = st.lists(st.sampled_from(NAMES), max_size=80)
SIZES = st.fixed_dictionaries({name: st.integers(1, 9) for name in NAMES})


def extents(sizes: dict[str, int]) -> dict[str, Extent]:
    return {name: Extent(memory=size, disk=size) for name, size in sizes.items()}


def call(cache: ModelCache, model: str) -> bool:
    """One call that ends before the next; whether it was a hit."""
    hit = cache.holds(model)
    assert hit or cache.admit(model)
    cache.touch(model)
    return hit


@given(SIZES, CALLS, st.integers(9, 30), st.integers(18, 40))
def test_it_never_holds_more_than_its_memory_and_its_disk(
    sizes: dict[str, int], calls: list[str], memory: int, disk: int
) -> None:
    cache = ModelCache(memory, disk, extents(sizes))
    for model in calls:
        call(cache, model)
        assert cache.memory_used == sum(sizes[name] for name in cache.loaded) <= memory
        assert cache.disk_used == sum(sizes[name] for name in NAMES if cache.stores(name)) <= disk
        assert all(cache.stores(name) for name in cache.loaded)


@given(CALLS, st.integers(1, 6))
def test_with_models_alike_it_is_the_textbook_lru(calls: list[str], room: int) -> None:
    cache = ModelCache(room, 100, extents(dict.fromkeys(NAMES, 1)))
    reference: OrderedDict[str, None] = OrderedDict()
    for model in calls:
        assert call(cache, model) == (model in reference)
        reference[model] = None
        reference.move_to_end(model)
        if len(reference) > room:
            reference.popitem(last=False)
        assert cache.loaded == tuple(reference)


@given(CALLS, st.integers(1, 6), st.integers(0, 5))
def test_more_memory_never_means_fewer_hits_on_the_same_calls(calls: list[str], room: int, more: int) -> None:
    small, large = (ModelCache(size, 100, extents(dict.fromkeys(NAMES, 1))) for size in (room, room + more))
    assert sum(call(large, model) for model in calls) >= sum(call(small, model) for model in calls)


@given(SIZES, st.sets(st.sampled_from(NAMES)), st.sampled_from(NAMES))
def test_a_busy_model_never_goes_and_without_room_nothing_changes(
    sizes: dict[str, int], busy: set[str], wanted: str
) -> None:
    cache = ModelCache(12, 100, extents(sizes))
    for model in NAMES:
        call(cache, model)
    before = cache.loaded
    if not cache.holds(wanted) and not cache.admit(wanted, busy):
        assert cache.loaded == before
    assert busy & set(before) <= set(cache.loaded)


def test_a_model_put_out_of_memory_stays_on_the_disk_until_that_is_full() -> None:
    cache = ModelCache(1, 4, extents(dict.fromkeys("abcd", 1)))
    for model in "abc":
        call(cache, model)
    assert [cache.stores(model) for model in "abcd"] == [True, True, True, False]
    # A fourth needs two units while it is unpacked: the oldest that is not loaded goes.
    call(cache, "d")
    assert [cache.stores(model) for model in "abcd"] == [False, True, True, True]
    assert (cache.evictions, cache.removals) == (3, 1)


@pytest.mark.parametrize(("memory", "disk"), [(4, 100), (5, 9)])
def test_a_model_that_can_never_fit_is_refused_at_once(memory: int, disk: int) -> None:
    with pytest.raises(ValueError, match="big does not fit"):
        ModelCache(memory, disk, {"big": Extent(5, 5)})
