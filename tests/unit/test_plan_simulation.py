from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohost.plan.cache import Extent, ModelCache
from cohost.plan.simulation import Machine, Model, Outcome, simulate
from cohost.plan.traffic import Call, Stage, Stream, Traffic, Users, parse
from tests.unit import che


def alike(count: int, **more: float) -> dict[str, Model]:
    return {f"m{number:03}": Model(Extent(1, 1), **{"service": 0.0, **more}) for number in range(count)}


def rates(models: dict[str, Model], traffic: Traffic, rate: float) -> dict[str, float]:
    return {name: rate * share for name, share in zip(models, traffic.shares(len(models)), strict=True)}


def run(models: dict[str, Model], machine: Machine, source: Stream | Users, **more: int | bool) -> Outcome:
    return simulate(models, machine, source, seed=1, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0, 1.4])
@pytest.mark.parametrize("room", [5, 20, 60])
def test_the_hit_ratio_is_that_of_ches_approximation(exponent: float, room: int) -> None:
    models, traffic = alike(100), Traffic(exponent)
    stream = Stream(rates(models, traffic, 10), 40_000, 3)
    found = run(models, Machine(room, 1000), stream, skipped=4000)
    assert found.hit_ratio == pytest.approx(che.hit_ratio(traffic.shares(100), [1] * 100, room), abs=0.015)


def test_the_hit_ratio_is_ches_for_models_of_different_sizes() -> None:
    sizes = [1 + number % 7 for number in range(100)]
    models = {f"m{number:03}": Model(Extent(size, size), 0.0) for number, size in enumerate(sizes)}
    traffic = Traffic(0.8)
    found = run(models, Machine(100, 1000), Stream(rates(models, traffic, 10), 40_000, 3), skipped=4000)
    assert found.hit_ratio == pytest.approx(che.hit_ratio(traffic.shares(100), sizes, 100), abs=0.03)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 2), st.integers(0, 99))
def test_every_call_is_answered_and_no_bound_is_broken(count: int, room: int, exponent: float, seed: int) -> None:
    models = alike(count, service=0.01, store=0.2, load=0.1)
    stream = Stream(rates(models, Traffic(exponent), 20), 300, seed)
    found = run(models, Machine(room, 40, overhead=0.005), stream)
    assert found.calls == 300
    assert 0 <= found.hits <= found.calls
    assert found.loads <= found.calls - found.hits
    assert found.resident <= min(room, count)
    assert 0 <= found.busy <= 1 + 1e-9
    assert found.latencies.min() >= 0.005
    if room >= count:
        assert found.loads <= count


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.integers(0, 99))
def test_calls_far_apart_are_hits_and_misses_as_of_the_bare_cache(room: int, seed: int) -> None:
    models = alike(10, service=0.001, load=0.01)
    stream = Stream(rates(models, Traffic(0.7), 0.001), 200, seed)
    cache = ModelCache(room, 40, {name: model.extent for name, model in models.items()})
    hits = 0
    for call in stream.calls:
        hits += cache.holds(call.model)
        assert cache.holds(call.model) or cache.admit(call.model)
        cache.touch(call.model)
    assert run(models, Machine(room, 40), stream).hits == hits


def test_the_same_seed_gives_the_same_outcome_and_another_a_different_one() -> None:
    models = alike(8, service=0.02, load=0.5)

    def latencies(seed: int) -> list[float]:
        stream = Stream(rates(models, Traffic(), 20), 500, seed)
        return run(models, Machine(4, 40), stream).latencies.tolist()

    assert latencies(1) == latencies(1) != latencies(2)


def test_one_model_alone_waits_as_the_m_m_1_queue() -> None:
    models, rate, service = alike(1, service=0.05), 12.0, 0.05
    found = run(models, Machine(1, 2), Stream({"m000": rate}, 60_000, 5), full=True)
    assert float(np.mean(found.latencies)) == pytest.approx(service / (1 - rate * service), rel=0.05)
    assert found.busy == pytest.approx(rate * service, rel=0.02)
    assert found.hit_ratio == 1


def test_models_share_the_gpu_evenly_and_a_model_answers_one_call_after_the_other() -> None:
    models = {"a": Model(Extent(1, 1), 1.0), "b": Model(Extent(1, 1), 1.0)}
    machine = Machine(2, 4, varies=False)
    stream = Stream({"a": 1.0, "b": 1.0}, 1, 1)
    stream.calls = (Call(0.0, 0, "a"), Call(0.0, 1, "a"), Call(0.0, 2, "b"))
    # a and b share until b and the first of a are answered at 2 s; then the second of a is alone.
    found = run(models, machine, stream, full=True)
    assert sorted(found.latencies.tolist()) == pytest.approx([2.0, 2.0, 3.0])
    assert run(models, Machine(2, 4, slots=2, varies=False), stream, full=True).percentile(100) == pytest.approx(2.0)


def test_calls_for_a_model_that_is_being_loaded_wait_for_the_same_load() -> None:
    models = {"a": Model(Extent(1, 1), 0.0, store=2.0, load=1.0)}
    stream = Stream({"a": 1.0}, 1, 1)
    stream.calls = (Call(0.0, 0, "a"), Call(1.0, 1, "a"), Call(5.0, 2, "a"))
    found = run(models, Machine(1, 2, overhead=0.5), stream)
    assert (found.loads, found.hits) == (1, 1)
    assert sorted(found.latencies.tolist()) == pytest.approx([0.5, 2.5, 3.5])


def test_a_load_without_room_waits_for_a_model_in_use() -> None:
    models = {name: Model(Extent(1, 1), 4.0, load=1.0) for name in "ab"}
    stream = Stream({"a": 1.0}, 1, 1)
    stream.calls = (Call(0.0, 0, "a"), Call(2.0, 1, "b"))
    found = run(models, Machine(1, 4, varies=False), stream)
    # a is loaded at 1 s and answers at 5 s; only then b is loaded, at 6 s, and answers at 10 s.
    assert found.latencies.tolist() == pytest.approx([5.0, 8.0])


def test_a_call_of_more_than_a_minute_is_late() -> None:
    models = {"a": Model(Extent(1, 1), 0.0, load=61.0)}
    assert run(models, Machine(1, 2), Stream({"a": 1.0}, 1, 1)).late == 1


def test_users_obey_the_law_of_interactive_response_times() -> None:
    models = alike(10, service=0.02)
    users = Users(list(models), [Stage(400.0, 60, 1000.0)], (0.1, 0.5), 2)
    found = run(models, Machine(10, 20), users, full=True)
    throughput = found.calls / 400
    # N = X (R + Z); Lazowska et al., "Quantitative System Performance", 1984, section 3.3.
    assert throughput * (float(np.mean(found.latencies)) + 0.3) == pytest.approx(60, rel=0.03)


@pytest.mark.parametrize(("text", "exponent"), [("uniform", 0.0), ("zipf:1", 1.0), ("zipf:0.8", 0.8)])
def test_traffic_is_read_and_printed_alike(text: str, exponent: float) -> None:
    found = parse(text)
    assert found == Traffic(exponent)
    assert str(found) == text


@pytest.mark.parametrize("text", ["", "zipf", "zipf:", "zipf:0", "zipf:-1", "zipf:nan", "uniform:1", "Zipf:1"])
def test_no_other_traffic_is_known(text: str) -> None:
    assert parse(text) is None


@given(st.floats(0, 3), st.integers(1, 60))
def test_shares_are_all_of_the_calls_and_never_grow(exponent: float, count: int) -> None:
    shares = Traffic(exponent).shares(count)
    assert math.fsum(shares) == pytest.approx(1)
    assert all(before >= after for before, after in itertools.pairwise(shares))
