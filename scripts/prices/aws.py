"""What AWS's price list holds of what this project uses.

The files of the Price List Bulk API, one for each service and region (AWS Billing guide, "Getting price list files
manually" and "Reading the service price list file for an AWS service"): in JSON the products and their terms, in CSV a
row for each price, after five rows of metadata. EC2's JSON has hundreds of megabytes, so its CSV is read, row by row.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from cohost.cost import aws
from cohost.cost.prices import GIB_MONTH, HOUR, MONTH
from scripts.prices.file import Found

_ROOT: Final = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws"
_METADATA_ROWS: Final = 5
# A region's file holds its Local and Wavelength Zones too.
_REGION: Final = "AWS Region"
# Which of the many rows of an instance type is the plain one (dstackai/gpuhunt, providers/aws.py): among the others are
# dedicated hosts, other systems, reservations that stand unused, and capacity blocks that are priced 0.
_PLAIN: Final[Mapping[str, Collection[str]]] = {
    "TermType": ("OnDemand",),
    "Location Type": (_REGION,),
    "Tenancy": ("Shared",),
    "Operating System": ("Linux",),
    "CapacityStatus": ("Used",),
    "Unit": ("Hrs",),
    "Currency": ("USD",),
    "Pre Installed S/W": ("", "NA"),
    "MarketOption": ("OnDemand",),
}


def url(service: str, region: str, form: str = "json") -> str:
    """Returns the address of the current price list file of a service in a region."""
    return f"{_ROOT}/{service}/current/{region}/index.{form}"


def instances(lines: Iterable[str], types: Collection[str], region: str) -> Iterator[Found]:
    """Yields the prices of plain Linux instances in EC2's CSV file.

    Args:
        lines: The file's lines.
        types: The instance types that are wanted.
        region: Whose file it is.
    """
    for row in csv.DictReader(itertools.islice(lines, _METADATA_ROWS, None)):
        if row["Instance Type"] in types and all(row[name] in fit for name, fit in _PLAIN.items()):
            yield Found(aws.EC2, row["Instance Type"], region, Decimal(row["PricePerUnit"]), HOUR)


def hosting(offers: Mapping[str, Any], types: Collection[str], region: str) -> Iterator[Found]:
    """Yields the prices of instances for real-time endpoints in SageMaker's JSON file.

    The same instance name stands there once for each component: only "Hosting" is an endpoint's (awslabs/llmeter,
    callbacks/cost/providers/sagemaker.py).
    """
    for attributes, amount in _first_rates(offers):
        if attributes.get("component") == "Hosting" and attributes.get("instanceName") in types:
            yield Found(aws.SAGEMAKER, attributes["instanceName"], region, amount, HOUR)


def storage(offers: Mapping[str, Any], region: str) -> Iterator[Found]:
    """Yields the price of S3 Standard, of its first tier (the first 50 TB), in S3's JSON file."""
    for attributes, amount in _first_rates(offers):
        is_standard = attributes.get("volumeType") == "Standard" and attributes.get("storageClass") == "General Purpose"
        if is_standard and attributes.get("usagetype", "").endswith("TimedStorage-ByteHrs"):
            yield Found(aws.S3, aws.STANDARD_STORAGE, region, amount, GIB_MONTH)


def keys(offers: Mapping[str, Any], region: str) -> Iterator[Found]:
    """Yields the price of a customer's key in the JSON file of KMS."""
    for attributes, amount in _first_rates(offers):
        if attributes.get("usagetype", "").endswith("-KMS-Keys"):
            yield Found(aws.KMS, aws.KEY, region, amount, MONTH)


def alarms(offers: Mapping[str, Any], region: str) -> Iterator[Found]:
    """Yields the price of a standard alarm on one metric in CloudWatch's JSON file."""
    for attributes, amount in _first_rates(offers):
        if attributes.get("usagetype", "").endswith("CW:AlarmMonitorUsage"):
            yield Found(aws.CLOUDWATCH, aws.ALARM, region, amount, MONTH)


def _first_rates(offers: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, str], Decimal]]:
    """Yields each product's attributes with the first on-demand price that is none of a free tier."""
    terms = offers["terms"].get("OnDemand", {})
    for sku, product in offers["products"].items():
        if product["attributes"].get("locationType", _REGION) != _REGION:
            continue
        for term in terms.get(sku, {}).values():
            rates = sorted(term["priceDimensions"].values(), key=lambda rate: Decimal(rate.get("beginRange") or 0))
            amounts = (Decimal(rate["pricePerUnit"].get("USD", "0")) for rate in rates)
            amount = next((amount for amount in amounts if amount > 0), None)
            if amount is not None:
                yield product["attributes"], amount
