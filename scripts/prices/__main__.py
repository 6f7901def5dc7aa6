"""`python -m scripts.prices aws|gcp`: reads a cloud's price list and writes what it says into `cohost/cost/prices/`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from cohost.cost import aws as aws_prices
from cohost.cost import gcp as gcp_prices
from cohost.cost.prices import AWS, EVERYWHERE, GCP
from cohost.errors import CohostError
from scripts.prices import aws, fetch, file, gcp
from scripts.prices.file import Found

KEY: Final = "GOOGLE_API_KEY"
_FOLDER: Final = Path(__file__).resolve().parents[2] / "cohost" / "cost" / "prices"
_SOURCES: Final[Mapping[str, str]] = {AWS: "AWS Price List Bulk API", GCP: "Cloud Billing Catalog API"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the script; returns 0 when the file was written, 1 when a price list could not be had."""
    parser = argparse.ArgumentParser(prog="python -m scripts.prices", description=__doc__)
    parser.add_argument("cloud", choices=(AWS, GCP))
    parser.add_argument(
        "--region", action="append", metavar="REGION", help="only this one (default: those in the file)"
    )
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where the files are (default: this checkout's)")
    given = parser.parse_args(arguments)
    path = given.folder / f"{given.cloud}.json"
    try:
        return _refresh(given.cloud, path, given.region)
    except (CohostError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _refresh(cloud: str, path: Path, regions: list[str] | None) -> int:
    document = json.loads(path.read_text("utf-8"))
    wanted = _wanted(document)
    where = regions or sorted({region for keys in wanted.values() for region in keys} - {EVERYWHERE})
    found, several = file.single(_from_aws(wanted, where) if cloud == AWS else _from_gcp(where))
    kept = [each for each in found if each.item in wanted]
    path.write_text(file.to_text(file.merge(document, kept, _SOURCES[cloud], date.today())), "utf-8")
    print(f"{path}: {len(kept)} prices of {_SOURCES[cloud]}")
    for line in (*several, *_missing(wanted, kept, where)):
        print(f"  {line}")
    return 0


def _wanted(document: Mapping[str, Any]) -> dict[str, set[str]]:
    """The regions in which the file has a price, by item."""
    wanted: dict[str, set[str]] = {}
    for row in document["prices"]:
        wanted.setdefault(row["item"], set()).update(row["regions"])
    return wanted


def _missing(wanted: Mapping[str, set[str]], found: Iterable[Found], where: Sequence[str]) -> Iterator[str]:
    seen = {(each.item, each.region) for each in found}
    for item, regions in wanted.items():
        lacking = sorted(region for region in regions & set(where) if (item, region) not in seen)
        if lacking:
            yield f"{item}: not in the price list of {', '.join(lacking)}; left as it was"


def _from_aws(wanted: Mapping[str, set[str]], where: Sequence[str]) -> Iterator[Found]:
    served = [item for item in wanted if item.startswith("ml.")]
    plain = [item for item in wanted if "." in item and not item.startswith("ml.")]
    for region in where:
        print(f"{region} …", file=sys.stderr)
        yield from aws.hosting(fetch.document(aws.url(aws_prices.SAGEMAKER, region)), served, region)
        yield from aws.storage(fetch.document(aws.url(aws_prices.S3, region)), region)
        yield from aws.keys(fetch.document(aws.url(aws_prices.KMS, region)), region)
        yield from aws.alarms(fetch.document(aws.url(aws_prices.CLOUDWATCH, region)), region)
        yield from aws.instances(fetch.lines(aws.url(aws_prices.EC2, region, "csv")), plain, region)


def _from_gcp(where: Sequence[str]) -> Iterator[Found]:
    key, now = os.environ.get(KEY, ""), datetime.now(UTC)
    if not key:
        raise CohostError(f"{KEY} is not set; an API key that may use the Cloud Billing API is to be in it")
    for service in (gcp_prices.COMPUTE, gcp_prices.VERTEX):
        found = gcp.machines(service, fetch.skus(gcp.url(service), key), now)
        yield from (each for each in found if each.region in where)
    stored = gcp.storage(fetch.skus(gcp.url(gcp_prices.STORAGE), key), now)
    yield from (each for each in stored if each.region in where)


if __name__ == "__main__":
    sys.exit(main())
