from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohost import fleet, vertex_fleet
from cohost.errors import InputError
from cohost.plan import inputs, machines
from cohost.plan.inputs import Assumptions, PlannedModel, Told
from cohost.plan.memory import Footprint, count_until, of_first_loads
from cohost.plan.packing import pack, spread
from cohost.plan.sizing import Goal, Room, with_cache, without_cache
from cohost.plan.traffic import Traffic

MIB = 2**20
SIZES = st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(1, 10), min_size=1, max_size=20)


@given(SIZES, st.integers(10, 30))
def test_every_model_has_one_endpoint_and_none_is_over_full(sizes: dict[str, int], capacity: int) -> None:
    bins = pack(sizes, capacity)
    assert sorted(name for names in bins for name in names) == sorted(sizes)
    assert all(sum(sizes[name] for name in names) <= capacity for names in bins)
    fewest = math.ceil(sum(sizes.values()) / capacity)
    # No two endpoints could be one, so that there are fewer than twice the fewest.
    assert fewest <= len(bins) <= max(1, 2 * fewest - 1)


@given(SIZES)
def test_the_order_of_the_models_changes_no_endpoint(sizes: dict[str, int]) -> None:
    assert pack(sizes, 12) == pack(dict(reversed(sizes.items())), 12)


def test_a_model_larger_than_an_endpoint_cannot_be_packed() -> None:
    with pytest.raises(ValueError, match="big takes 5 and an endpoint holds 4"):
        pack({"big": 5}, 4)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), st.floats(0, 9), min_size=1), st.integers(1, 8))
def test_all_calls_are_shared_out_and_no_machine_has_a_model_twice(weights: dict[str, float], bins: int) -> None:
    shares = spread(weights, bins)
    assert len(shares) == bins
    for name, weight in weights.items():
        assert math.fsum(share.get(name, 0.0) for share in shares) == pytest.approx(weight)


def test_a_hot_model_is_shared_by_machines_and_cold_ones_are_not() -> None:
    shares = spread({"hot": 8.0, "a": 1.0, "b": 1.0}, 2)
    assert [share["hot"] for share in shares] == [4.0, 4.0]
    assert sum("a" in share for share in shares) == sum("b" in share for share in shares) == 1


def test_first_loads_tell_what_all_share_from_what_each_adds() -> None:
    found = of_first_loads([1200, 1468, 1736])
    assert (found.base, found.each) == pytest.approx((932, 268))
    assert found.used(10) == pytest.approx(932 + 2680)
    assert count_until(Footprint(100, 10), lambda models, used: used + 10 > 150) == 5


@pytest.mark.parametrize(("used", "words"), [([], "two or more"), ([5], "two or more"), ([5, 5], "does not grow")])
def test_loads_that_tell_nothing_are_refused(used: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        of_first_loads(used)


def model(name: str, *, rate: float = 1.0, memory: int = 10, service: float = 0.01) -> PlannedModel:
    return PlannedModel(name, rate, memory, memory, measured=True, service=service, store=0.1, load=1.0)


MODELS = [model(f"m{number}") for number in range(6)]
PLAIN = Assumptions(overhead_ms=0)


def test_without_a_cache_all_models_are_in_memory_and_no_call_is_cold() -> None:
    found = without_cache(MODELS, Room(25, 1000), PLAIN, Goal(None, 1))
    assert [endpoint.models for endpoint in found.endpoints] == [("m0", "m1"), ("m2", "m3"), ("m4", "m5")]
    assert (found.machines, found.resident, found.hit_ratio, found.cold_calls) == (3, 6.0, 1.0, 0.0)
    assert found.met


def test_with_a_cache_one_endpoint_serves_more_than_it_holds_and_some_calls_are_cold() -> None:
    found = with_cache(MODELS, Room(25, 1000), PLAIN, Goal(None, 1))
    assert [(len(endpoint.models), endpoint.machines) for endpoint in found.endpoints] == [(6, 1)]
    assert found.resident <= 2
    assert 0 < found.hit_ratio < 1
    assert found.p99 > 1


def test_a_latency_asked_for_takes_as_many_machines_as_hold_all_models() -> None:
    found = with_cache(MODELS, Room(25, 1000), PLAIN, Goal(0.2, 1))
    assert found.met
    assert (found.machines, found.hit_ratio) == (3, 1.0)
    assert found.p99 <= 0.2


def test_busy_gpus_take_more_machines() -> None:
    heavy = [model("heavy", rate=100.0, service=0.02)]
    for size in (with_cache, without_cache):
        found = size(heavy, Room(100, 1000), PLAIN, Goal(None, 1))
        assert found.machines == 3
        assert found.busy == pytest.approx(2 / 3, abs=0.05)


def test_a_latency_that_no_number_of_machines_gives_is_not_met() -> None:
    for size in (with_cache, without_cache):
        found = size([model("slow", service=0.5)], Room(100, 1000), PLAIN, Goal(0.1, 1))
        assert not found.met
        assert found.p99 > 0.1


def told(**models: dict[str, object]) -> Told:
    return Told.model_validate({"models": models})


def test_models_of_the_catalog_share_the_rate_and_the_file_overrides() -> None:
    found = inputs.models(
        told(b={"rate": "3", "memory": "300MiB", "service_ms": "4", "load_s": "7"}),
        "f.yaml",
        sizes={"a": 10 * MIB, "b": MIB, "c": MIB},
        rate=3,
        traffic=Traffic(1.0),
    )
    by_name = {model.name: model for model in found}
    assert [model.name for model in found] == ["b", "a", "c"]
    assert [by_name[name].rate for name in "abc"] == pytest.approx([2.0, 3.0, 1.0])
    assert (by_name["b"].memory, by_name["b"].measured) == (300 * MIB, True)
    assert (by_name["b"].service, by_name["b"].load) == (0.004, 7)
    assert (by_name["a"].memory, by_name["a"].measured) == (74 * MIB, False)


def test_copies_are_models_of_their_own() -> None:
    found = inputs.models(
        told(net={"size": "1MiB", "copies": "12"}), "f.yaml", sizes=None, rate=12, traffic=Traffic(0.0)
    )
    assert [model.name for model in found][:2] == ["net-01", "net-02"]
    assert len(found) == 12
    assert {model.rate for model in found} == {1.0}


def test_everything_wrong_with_the_models_is_said_at_once() -> None:
    wrong = told(iri={"rate": "1"}, wine={"copies": "2"})
    with pytest.raises(InputError) as caught:
        inputs.models(wrong, "f.yaml", sizes={"iris": None, "wine": 5}, rate=None, traffic=Traffic())
    assert [str(problem) for problem in caught.value.problems] == [
        'f.yaml: models.iri: is not in the catalog: did you mean "iris"?',
        "f.yaml: models.iris.rate: is missing: give --rate N, or a rate for each model",
        "f.yaml: models.iris.size: is missing, and no folder is here: give one such as 98MiB",
        "f.yaml: models.wine.copies: is for plans without a stack: a catalog lists each model",
    ]


def test_a_rate_that_no_model_could_have_is_refused() -> None:
    with pytest.raises(InputError, match="every model has a rate in the file"):
        inputs.models(told(a={"rate": "1", "size": "1MiB"}), "f.yaml", sizes=None, rate=2, traffic=Traffic())
    with pytest.raises(InputError, match="no model has a rate above 0"):
        inputs.models(told(a={"rate": "0", "size": "1MiB"}), "f.yaml", sizes=None, rate=None, traffic=Traffic())
    twice = Told.model_validate({"models": {"net": {"size": "1MiB", "copies": "2"}, "net-1": {"size": "1MiB"}}})
    with pytest.raises(InputError, match='"net-1", which is a model already'):
        inputs.models(twice, "f.yaml", sizes=None, rate=1, traffic=Traffic())
    with pytest.raises(InputError, match="lists no model"):
        inputs.models(Told(), "f.yaml", sizes=None, rate=2, traffic=Traffic())


def test_a_file_with_faults_names_each_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text("assumptions: {usable: 2, sloth: 1}\nmodels: {a: {rate: -1, memory: much}}\n")
    with pytest.raises(InputError) as caught:
        inputs.read(file)
    assert [problem.key for problem in caught.value.problems] == [
        "assumptions.sloth",
        "assumptions.usable",
        "models.a.memory",
        "models.a.rate",
    ]


def test_kinds_are_of_both_clouds_with_regions_that_are_near() -> None:
    found = machines.kinds("aws", "eu-west-1", [])
    assert {(kind.platform, kind.fleet.region) for kind in found} == {
        ("sagemaker", "eu-west-1"),
        ("ec2", "eu-west-1"),
        ("vertex", "europe-west1"),
        ("compute-engine", "europe-west1"),
    }
    assert {kind.platform for kind in machines.kinds("gcp", "us-central1", ["g2-standard-4"])} == {
        "vertex",
        "compute-engine",
    }
    assert {kind.platform for kind in machines.kinds("aws", "nowhere", [])} == {"sagemaker", "ec2"}


def test_only_machines_with_one_known_gpu_can_be_chosen() -> None:
    for name in (*fleet.instance_types(), "n1-standard-4", "a2-highgpu-1g"):
        assert machines.kinds("aws", "us-east-1", [name]), name
    with pytest.raises(InputError) as caught:
        machines.kinds("aws", "us-east-1", ["ml.g6.xlarge", "g2-standard-24", "n9"])
    assert [problem.key for problem in caught.value.problems] == ["--instance"] * 3


def test_memory_for_models_is_less_than_the_gpu_has() -> None:
    for kind in machines.kinds("aws", "us-east-1", [*fleet.instance_types(), *("g2-standard-8", "n1-standard-8")]):
        room = kind.room(Assumptions(), 1000)
        assert 0 < room.memory < kind.gpu_memory <= 24 * 2**30, kind
    [lacking] = [k for k in machines.kinds("gcp", "europe-north1", ["g2-standard-8"]) if k.platform == "vertex"]
    assert lacking.absent == "europe-north1 is not known to have NVIDIA_L4"
    assert "europe-north1" not in vertex_fleet.regions("NVIDIA_L4")
