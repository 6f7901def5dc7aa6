"""The price data itself: what every price must have, and what any set of true prices keeps to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cohost import fleet, vertex_fleet
from cohost.cost import aws, gcp
from cohost.cost.elsewhere import Fleet, elsewhere
from cohost.cost.prices import (
    AWS,
    DERIVED,
    EVERYWHERE,
    GCP,
    OLD_DAYS,
    ON_DEMAND,
    SPOT,
    SURE,
    UNITS,
    Price,
    PriceList,
    document,
    known,
)
from tests.documents import ROOT

PRICES = known().prices
MADE = date(2026, 11, 24)


def name_of(price: Price) -> str:
    return f"{price.service} {price.item} {price.purchase} {price.region}"


def ratios(over: tuple[str, Callable[[str], str]], under: str) -> dict[str, Decimal]:
    """What one service asks for a machine over what another does in the same region, by machine and region."""
    service, item_of = over
    found = {}
    for price in PRICES:
        if price.service == service and price.unit == "hour" and price.purchase == ON_DEMAND:
            plain = known().find(under, item_of(price.item), price.region)
            if plain:
                found[name_of(price)] = price.amount / plain.amount
    return found


def test_every_price_is_more_than_nothing_in_a_known_unit_and_says_where_it_is_from_when_and_how_sure() -> None:
    for price in PRICES:
        assert price.amount > 0, name_of(price)
        assert price.unit in UNITS, name_of(price)
        assert price.currency == "USD", name_of(price)
        assert len(price.source) > 10, name_of(price)
        assert date(2020, 1, 1) < price.retrieved <= date.today(), name_of(price)
        assert price.sure in SURE, name_of(price)


def test_no_price_stands_twice() -> None:
    keys = [name_of(price) for price in PRICES]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize("cloud", [AWS, GCP])
def test_every_source_of_a_file_is_the_source_of_a_price(cloud: str) -> None:
    content = document(cloud)
    assert {row["source"] for row in content["prices"]} == set(content["sources"])


def test_a_spot_machine_is_cheaper_than_the_same_on_demand() -> None:
    spot = [price for price in PRICES if price.purchase == SPOT]
    assert spot
    for price in spot:
        on_demand = known().find(price.service, price.item, price.region)
        assert on_demand is not None, name_of(price)
        assert price.amount < on_demand.amount, name_of(price)


def test_what_a_platform_asks_for_serving_is_in_proportion_to_the_plain_machine() -> None:
    """Public repositories hold wrong constants (ml.g6.xlarge at three prices): one that is out of line shows here."""
    sagemaker = ratios((aws.SAGEMAKER, lambda item: item.removeprefix("ml.")), aws.EC2)
    vertex = ratios((gcp.VERTEX, lambda item: item), gcp.COMPUTE)
    assert len(sagemaker) > 20
    assert len(vertex) > 100
    assert {name: ratio for name, ratio in sagemaker.items() if not Decimal("1.2") < ratio < Decimal("1.5")} == {}
    assert {name: ratio for name, ratio in vertex.items() if not Decimal("1.1") < ratio < Decimal("1.2")} == {}


def test_the_same_thing_costs_about_the_same_in_every_region() -> None:
    things = {(price.service, price.item, price.purchase) for price in PRICES}
    for service, item, purchase in things:
        amounts = [p.amount for p in PRICES if (p.service, p.item, p.purchase) == (service, item, purchase)]
        # Spot prices follow supply, list prices the region.
        most = Decimal(6) if purchase == SPOT else Decimal(2)
        assert max(amounts) < most * min(amounts), (service, item, purchase)


def test_a_larger_machine_with_as_many_gpus_costs_more() -> None:
    for service, names in (
        (aws.SAGEMAKER, [f"ml.g5.{size}xlarge" for size in ("", "2", "4", "8", "16")]),
        (aws.EC2, [f"g5.{size}xlarge" for size in ("", "2", "4", "8", "16")]),
        (gcp.VERTEX, [f"g2-standard-{size}" for size in (4, 8, 12, 16, 32)]),
    ):
        region = "us-central1" if service == gcp.VERTEX else "us-east-1"
        amounts = [price.amount for name in names if (price := known().find(service, name, region))]
        assert len(amounts) == len(names), service
        assert amounts == sorted(set(amounts)), service


def test_the_default_machines_have_a_price_where_the_stacks_of_this_project_are() -> None:
    assert known().find(aws.SAGEMAKER, fleet.default_instance_type(), "eu-west-1")
    assert known().find(gcp.VERTEX, vertex_fleet.default_machine(), "us-central1")


def test_prices_are_for_machines_that_can_serve() -> None:
    served = {price.item for price in PRICES if price.service == aws.SAGEMAKER}
    assert served <= set(fleet.instance_types())
    machines = {price.item for price in PRICES if price.service == gcp.VERTEX}
    assert machines <= {*vertex_fleet.machines(), *vertex_fleet.accelerators()}


def test_each_like_in_the_other_cloud_can_serve_there_with_a_gpu_of_its_class() -> None:
    for name in fleet.instance_types():
        like = elsewhere(Fleet(AWS, "us-east-1", name, 1, 1))[1]
        if like.machine:
            gpu = {"T4": "NVIDIA_TESLA_T4", "A10G": "NVIDIA_L4"}
            found = fleet.instance_type(name)
            assert found is not None
            assert gpu[found.gpu] in like.machine, name
            assert vertex_fleet.machine(like.machine.split()[0]) is not None, name


def test_a_price_of_a_region_comes_before_one_that_holds_everywhere() -> None:
    def price(region: str, amount: str) -> Price:
        return Price("s", "i", ON_DEMAND, region, Decimal(amount), "USD", "hour", "source", MADE, DERIVED)

    prices = PriceList([price(EVERYWHERE, "1"), price("eu-west-1", "2")])
    here, elsewhere_ = prices.find("s", "i", "eu-west-1"), prices.find("s", "i", "eu-west-2")
    assert here is not None
    assert elsewhere_ is not None
    assert (here.amount, elsewhere_.amount) == (2, 1)
    assert prices.find("s", "i", "eu-west-1", SPOT) is None
    assert here.age(date(2026, 11, 30)) == 6
    assert OLD_DAYS > 0


def test_the_estimate_needs_nothing_but_the_standard_library() -> None:
    """The policy pack has an environment of its own, without this project's packages."""
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from cohost import cost
print(cost.of_resources([{{"type": "aws:kms/key:Key", "name": "key", "props": {{"region": "eu-west-1"}}}}]).headline())
print(sorted({{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names)))
"""
    done: Any = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["$1.00 a month, $0.0014 an hour", "['__main__', 'cohost']"]
