from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pulumi.output import UNKNOWN

from cohost import tokens
from cohost.cost import Estimate, Price, PriceList, Range, difference, money, of_resources, span
from cohost.cost.elsewhere import Fleet, elsewhere
from cohost.cost.prices import AWS, DERIVED, EVERYWHERE, GCP, LISTED, ON_DEMAND, QUOTED, SPOT

DAY = date(2026, 11, 24)


def price(
    service: str, item: str, region: str, amount: str, unit: str = "hour", purchase: str = ON_DEMAND, sure: str = LISTED
) -> Price:
    return Price(service, item, purchase, region, Decimal(amount), "USD", unit, "a price list", DAY, sure)


PRICES = PriceList(
    [
        price("AmazonSageMaker", "ml.g5.xlarge", "eu-west-1", "1.5"),
        price("AmazonSageMaker", "ml.g5.2xlarge", "eu-west-1", "2", sure=DERIVED),
        price("AmazonEC2", "g5.xlarge", "eu-west-1", "1"),
        price("awskms", "Key", EVERYWHERE, "1", "month"),
        price("AmazonCloudWatch", "Alarm", EVERYWHERE, "0.1", "month", sure=QUOTED),
        price("Vertex AI", "g2-standard-4", "europe-west1", "0.9"),
        price("Compute Engine", "g2-standard-4", "europe-west1", "0.8"),
        price("Vertex AI", "n1-standard-4", "us-central1", "0.2"),
        price("Vertex AI", "NVIDIA_TESLA_T4", "us-central1", "0.4"),
        price("Vertex AI", "g2-standard-8", "us-central1", "1"),
        price("Vertex AI", "g2-standard-8", "us-west1", "0.3", purchase=SPOT),
    ]
)


def resource(type_: str, name: str = "shared", **props: Any) -> dict[str, Any]:
    return {"type": type_, "name": name, "props": props}


def here(region: str = "eu-west-1") -> dict[str, Any]:
    return resource(tokens.ARTIFACT_SET, "models", region=region)


def configuration(instance_type: Any = "ml.g5.xlarge", count: Any = 1.0) -> dict[str, Any]:
    variant = {"variantName": "main", "instanceType": instance_type, "initialInstanceCount": count}
    return resource("aws:sagemaker/endpointConfiguration:EndpointConfiguration", productionVariants=[variant])


def target(least: float, most: float) -> dict[str, Any]:
    variant = "endpoint/shared-dev/variant/main"
    return resource("aws:appautoscaling/target:Target", resourceId=variant, minCapacity=least, maxCapacity=most)


def deployed(**more: Any) -> dict[str, Any]:
    props = {
        "region": "us-central1",
        "machineType": "g2-standard-8",
        "acceleratorType": "NVIDIA_L4",
        "acceleratorCount": 1.0,
        "minReplicas": 1.0,
        "maxReplicas": 1.0,
        "spot": False,
        "update": "surge",
    }
    return {"type": tokens.VERTEX_DEPLOYED_MODEL, "name": "shared-0a", "props": props | more}


def of(*resources: Mapping[str, Any], region: str | None = None) -> Estimate:
    return of_resources(resources, region=region, prices=PRICES)


def amounts(least: str, most: str) -> Range:
    return Range(Decimal(least), Decimal(most))


def test_machines_keys_and_alarms_of_a_stack_on_aws_add_up() -> None:
    alarms = [resource("aws:cloudwatch/metricAlarm:MetricAlarm", f"alarm-{n}") for n in range(3)]
    found = of(here(), configuration(), resource("aws:kms/key:Key", "models"), *alarms)
    assert found.per_month == amounts("1096.3", "1096.3")
    assert [line.text for line in found.lines] == ["1 × ml.g5.xlarge", "KMS key", "3 alarms"]
    assert found.unknown == ()
    assert found.headline() == "$1,096.30 a month, $1.5018 an hour"


def test_autoscaling_makes_a_range_of_fewest_and_most_machines() -> None:
    found = of(here(), configuration(), target(2, 5))
    assert found.per_hour == amounts("3.0", "7.5")
    assert found.headline() == "$2,190.00 to $5,475.00 a month, $3.0000 to $7.5000 an hour"
    least, most = found.per_month
    assert (least, most) == (2190, 5475)


def test_an_update_is_told_to_cost_both_fleets_for_as_long_as_it_runs() -> None:
    assert of(here(), configuration()).during_update == amounts("1.5", "1.5")
    assert of(deployed()).during_update == amounts("1", "1")
    assert of(deployed(update="replace")).during_update == amounts("0", "0")
    assert "while an update runs: up to $1.0000 an hour more" in of(deployed()).text()


def test_a_machine_of_gcp_has_its_gpus_in_its_price_or_beside_it() -> None:
    [line] = of(deployed(maxReplicas=3.0)).lines
    assert (line.text, line.per_hour) == ("1 to 3 × g2-standard-8 with 1 NVIDIA_L4", amounts("1", "3"))
    beside = of(deployed(machineType="n1-standard-4", acceleratorType="NVIDIA_TESLA_T4", acceleratorCount=2.0))
    assert [(each.text, each.per_hour.minimum) for each in beside.lines] == [
        ("2 × NVIDIA_TESLA_T4", Decimal("0.8")),
        ("1 × n1-standard-4", Decimal("0.2")),
    ]


def test_a_canary_costs_what_both_releases_do() -> None:
    other = {**deployed(), "name": "shared-1b"}
    assert of(deployed(), other).per_hour == amounts("2", "2")


def test_what_has_no_price_where_it_is_is_named_and_never_taken_for_nothing() -> None:
    found = of(here("eu-north-1"), configuration(), resource("aws:kms/key:Key", "models"))
    [missing] = found.unknown
    assert missing.why == ("no price of ml.g5.xlarge (AmazonSageMaker) is known in eu-north-1; it is in eu-west-1")
    assert found.headline() == "at least $1.00 a month, $0.0014 an hour; not priced: shared"
    assert f"shared: not priced: {missing.why}" in found.text()
    assert of(here("eu-north-1"), configuration()).headline() == "nothing priced; not priced: shared"


def test_spot_without_a_price_is_told_with_its_ceiling() -> None:
    [missing] = of(deployed(spot=True)).unknown
    assert missing.why == (
        "no spot price of g2-standard-8 (Vertex AI) is known in us-central1; "
        "on demand it would be $730.00 a month at the most"
    )
    [line] = of(deployed(spot=True, region="us-west1")).lines
    assert (line.text, line.per_hour.minimum) == ("1 × g2-standard-8 with 1 NVIDIA_L4, Spot", Decimal("0.3"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (configuration(count=UNKNOWN), "how many ml.g5.xlarge there are is not known before the deployment"),
        (configuration(instance_type=UNKNOWN), "a variant without an instance type, or one not known yet"),
        (
            resource("aws:sagemaker/endpointConfiguration:EndpointConfiguration", productionVariants=UNKNOWN),
            "its production variants are not known before the deployment",
        ),
        (deployed(machineType=UNKNOWN), "its machine, or how many there are, is not known before the deployment"),
        (resource("aws:ec2/instance:Instance"), "no price is kept for aws:ec2/instance:Instance"),
    ],
)
def test_what_a_preview_does_not_know_and_what_is_not_kept_is_said(given: dict[str, Any], why: str) -> None:
    assert [item.why for item in of(here(), given).unknown] == [why]


def test_what_costs_by_its_use_is_listed_and_in_no_sum() -> None:
    found = of(here(), resource("aws:s3/bucket:Bucket"), resource("aws:s3/bucketPolicy:BucketPolicy"))
    assert found.by_use == ("objects in S3 and requests to it",)
    assert found.per_month == amounts("0", "0")
    assert found.headline() == "nothing that costs by the hour"


def test_the_region_is_that_of_the_resource_then_the_given_one_then_that_of_the_projects_own_resources() -> None:
    assert of(configuration(), region="eu-west-1").lines
    assert of(here("eu-north-1"), configuration(), region="eu-west-1").lines
    own = configuration()
    own["props"]["region"] = "eu-west-1"
    assert of(here("eu-north-1"), own).lines
    assert "a region that nothing tells" in of(configuration()).unknown[0].why


def test_an_amount_from_a_price_that_nobody_has_read_in_a_list_is_marked_wherever_it_counts() -> None:
    found = of(here(), configuration("ml.g5.2xlarge"), resource("aws:kms/key:Key", "models"))
    assert found.headline() == "$1,461.00~ a month, $2.0014~ an hour (~: calculated or recalled prices)"
    assert [line.mark for line in found.lines] == ["~", ""]
    assert "1 × ml.g5.2xlarge: $1,460.00~ a month" in found.text()
    assert found.lines[0].source == "derived, 2026-11-24: a price list"


def test_the_difference_of_two_estimates_tells_what_changes_and_by_how_much() -> None:
    key = resource("aws:kms/key:Key", "models")
    found = difference(of(here(), configuration(), key), of(here(), configuration("ml.g5.2xlarge"), target(1, 2), key))
    assert found.per_month == amounts("365", "1825")
    assert found.text() == "+$365.00 to +$1,825.00 a month"
    assert [(each.text, each.before.maximum, each.after.maximum) for each in found.changes] == [
        ("1 to 2 × ml.g5.2xlarge", 0, 2920),
        ("1 × ml.g5.xlarge", 1095, 0),
    ]
    assert found.as_document()["changes"][1]["before"] == {"minimum": 1095.0, "maximum": 1095.0}


def test_a_difference_says_when_nothing_changes_and_when_it_does_not_know_all() -> None:
    found = of(here(), configuration())
    assert difference(found, found).text() == "no change"
    cheaper = difference(of(here(), configuration(count=2)), found)
    assert cheaper.text() == "-$1,095.00 a month"
    unknown = difference(found, of(here(), configuration(), resource("aws:ec2/instance:Instance")))
    assert (unknown.complete, unknown.text()) == (False, "no change (of what has a price)")


def test_the_same_machines_elsewhere_are_plain_ones_and_the_nearest_like_in_the_other_cloud() -> None:
    plain, served, other = elsewhere(Fleet(AWS, "eu-west-1", "ml.g5.xlarge", 1, 2), PRICES)
    assert (plain.where, plain.machine, plain.estimate.per_hour) == ("EC2", "g5.xlarge", amounts("1", "2"))
    assert (served.where, served.region) == ("Vertex AI", "europe-west1")
    assert (served.machine, served.estimate.per_hour) == ("g2-standard-4 with 1 NVIDIA_L4", amounts("0.9", "1.8"))
    assert (other.where, other.estimate.per_hour) == ("Compute Engine", amounts("0.8", "1.6"))
    back = elsewhere(Fleet(GCP, "europe-west1", "g2-standard-4", 1, 1, "NVIDIA_L4", 1), PRICES)
    assert [(each.where, each.machine, each.region) for each in back] == [
        ("Compute Engine", "g2-standard-4 with 1 NVIDIA_L4", "europe-west1"),
        ("SageMaker", "ml.g5.xlarge", "eu-west-1"),
        ("EC2", "g5.xlarge", "eu-west-1"),
    ]
    assert back[1].estimate.per_hour == amounts("1.5", "1.5")


@pytest.mark.parametrize(
    ("fleet", "why"),
    [
        (Fleet(AWS, "eu-west-1", "ml.g5.16xlarge", 1, 1), "ml.g5.16xlarge has no like there"),
        (Fleet(GCP, "us-central1", "a3-highgpu-1g", 1, 1, "NVIDIA_H100_80GB", 1), "a3-highgpu-1g has no like there"),
        (Fleet(GCP, "us-central1", "n1-standard-4", 1, 1, "NVIDIA_TESLA_T4", 4), "n1-standard-4 has no like there"),
        (Fleet(AWS, "me-south-1", "ml.g5.xlarge", 1, 1), "no region there is known to be near me-south-1"),
    ],
)
def test_without_a_like_in_the_other_cloud_that_is_said(fleet: Fleet, why: str) -> None:
    found = elsewhere(fleet, PRICES)
    assert [item.why for each in found[1:] for item in each.estimate.unknown] == [why, why]


def test_amounts_are_shown_to_the_cent_with_their_sign_where_asked() -> None:
    assert money(Decimal("1234.005")) == "$1,234.01"
    assert money(Decimal("-0.001"), signed=True) == "$0.00"
    assert money(Decimal(-5), signed=True) == "-$5.00"
    assert money(Decimal(5), signed=True) == "+$5.00"
    assert money(Decimal("0.00137"), fine=True) == "$0.0014"
    assert money(Decimal(1), "EUR") == "EUR 1.00"
    assert span(amounts("1", "1.001")) == "$1.00"
