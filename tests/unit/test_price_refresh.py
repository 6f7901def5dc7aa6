"""`python -m scripts.prices` against answers in the form of the real ones (tests/data/prices/README.md)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cohost.cost import prices as price_data
from cohost.cost.prices import LISTED, ON_DEMAND, SPOT, PriceList, parse
from scripts.prices import __main__ as script
from scripts.prices import aws, file, gcp
from scripts.prices.file import Found
from tests.documents import ROOT
from tests.unit.loopback import listening

DATA = ROOT / "tests" / "data" / "prices"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
TYPES = ("ml.g5.xlarge", "ml.g4dn.xlarge")


def answer(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


def found(prices: Iterator[Found]) -> dict[tuple[str, str, str], str]:
    """Amounts by item, purchase and region; every one told once."""
    once, several = file.single(prices)
    assert several == []
    return {(each.item, each.purchase, each.region): str(each.amount.normalize()) for each in once}


def test_sagemakers_price_of_an_instance_is_that_of_hosting_in_the_region_itself() -> None:
    assert found(aws.hosting(answer("AmazonSageMaker"), TYPES, "eu-west-1")) == {
        ("ml.g5.xlarge", ON_DEMAND, "eu-west-1"): "1.572",
        ("ml.g4dn.xlarge", ON_DEMAND, "eu-west-1"): "0.822",
    }


def test_ec2s_price_of_an_instance_is_that_of_plain_linux_among_all_the_others() -> None:
    lines = (DATA / "AmazonEC2.csv").open()
    with lines:
        assert found(aws.instances(lines, ("g5.xlarge", "g4dn.xlarge"), "eu-west-1")) == {
            ("g5.xlarge", ON_DEMAND, "eu-west-1"): "1.123",
            ("g4dn.xlarge", ON_DEMAND, "eu-west-1"): "0.587",
        }


def test_storage_keys_and_alarms_have_the_price_of_their_first_tier_that_is_not_free() -> None:
    here = "eu-west-1"
    assert found(aws.storage(answer("AmazonS3"), here)) == {("Standard storage", ON_DEMAND, here): "0.023"}
    assert found(aws.keys(answer("awskms"), here)) == {("Key", ON_DEMAND, here): "1"}
    assert found(aws.alarms(answer("AmazonCloudWatch"), here)) == {("Alarm", ON_DEMAND, here): "0.1"}


def test_a_machine_of_compute_engine_is_the_sum_of_its_parts_as_they_cost_now() -> None:
    """0.853608 for a g2-standard-8 in us-central1 is what a public worked example comes to."""
    machines = found(gcp.machines("Compute Engine", answer("compute-engine")["skus"], NOW))
    assert machines["g2-standard-8", ON_DEMAND, "us-central1"] == "0.853608"
    assert machines["g2-standard-48", ON_DEMAND, "us-central1"] == str(
        Decimal("48") * Decimal("0.024988") + 192 * Decimal("0.002927") + 4 * Decimal("0.56004")
    )
    assert machines["n1-standard-4", ON_DEMAND, "us-central1"] == "0.189999"
    assert machines["NVIDIA_TESLA_T4", ON_DEMAND, "us-west1"] == "0.35"
    assert machines["g2-standard-4", SPOT, "us-central1"] == "0.361212"


def test_a_machine_with_a_part_in_another_unit_or_without_one_has_no_price() -> None:
    machines = found(gcp.machines("Compute Engine", answer("compute-engine")["skus"], NOW))
    regions = {region for item, _, region in machines if item.startswith("g2-")}
    assert regions == {"us-central1", "us-east1", "us-west1"}
    assert ("g2-standard-4", SPOT, "us-east1") not in machines


def test_what_vertex_ai_asks_is_the_use_of_a_part_and_the_fee_on_it_and_never_a_guess_between_two() -> None:
    machines = found(gcp.machines("Vertex AI", answer("vertex-ai")["skus"], NOW))
    g2 = 8 * (Decimal("0.024988") + Decimal("0.003748")) + 32 * (Decimal("0.002927") + Decimal("0.000439"))
    assert machines["g2-standard-8", ON_DEMAND, "us-central1"] == str(g2 + Decimal("0.644046"))
    assert machines["n1-standard-4", ON_DEMAND, "us-west1"] == "0.21849885"
    # Oregon has two prices of an L4 that fit.
    assert ("g2-standard-8", ON_DEMAND, "us-west1") not in machines


def test_standard_storage_is_that_of_single_regions() -> None:
    assert found(gcp.storage(answer("cloud-storage")["skus"], NOW)) == {
        ("Standard storage", ON_DEMAND, region): "0.02"
        for region in ("us-central1", "us-east1", "us-west1", "europe-west4")
    }


def test_a_thing_with_several_prices_that_fit_is_left_and_told() -> None:
    once, several = file.single(Found("s", "i", "r", Decimal(amount), "hour") for amount in ("1", "2", "2"))
    assert once == []
    assert several == ["s i on-demand r: several prices fit (1, 2); left as it was"]


@pytest.mark.parametrize("cloud", [price_data.AWS, price_data.GCP])
def test_the_files_of_this_project_are_written_as_the_script_writes_them(cloud: str) -> None:
    """So that a refresh changes the lines of what has changed, and no other."""
    path = ROOT / "cohost" / "cost" / "prices" / f"{cloud}.json"
    assert file.to_text(file.merge(json.loads(path.read_text()), [], "", date.today())) == path.read_text()


def test_what_is_found_takes_the_place_of_what_was_there_and_everything_else_stays() -> None:
    before = price_data.document(price_data.AWS)
    new = [Found("AmazonEC2", "g5.xlarge", "eu-west-1", Decimal("1.2000000000"), "hour")]
    after = file.merge(before, new, "AWS Price List Bulk API", date(2026, 12, 1))
    changed = PriceList(parse(after)).find("AmazonEC2", "g5.xlarge", "eu-west-1")
    assert changed is not None
    assert (changed.amount, changed.sure, changed.retrieved) == (Decimal("1.2"), LISTED, date(2026, 12, 1))
    assert changed.source == "AWS Price List Bulk API"
    kept = {price for price in parse(before) if (price.item, price.region) != ("g5.xlarge", "eu-west-1")}
    assert kept <= set(parse(after))
    assert len(parse(after)) == len(parse(before))


def test_a_price_of_nothing_is_not_taken_and_a_source_without_a_price_goes() -> None:
    before = price_data.document(price_data.AWS)
    free = [Found("awskms", "Key", "*", Decimal(0), "month")]
    assert set(parse(file.merge(before, free, "a list", date(2026, 12, 1)))) == set(parse(before))
    all_s3 = [
        Found("AmazonS3", "Standard storage", price.region, Decimal("0.02"), "gib-month")
        for price in parse(before)
        if price.service == "AmazonS3"
    ]
    assert "s3-page" not in file.merge(before, all_s3, "a list", date(2026, 12, 1))["sources"]


@dataclass
class Lists:
    """The clouds' price lists on a loopback port."""

    url: str
    asked: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lists]:
    known = Lists("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            known.asked.append(parts.path)
            known.keys.add(self.headers.get("X-Goog-Api-Key", ""))
            body = _body(parts.path, parse_qs(parts.query))
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Keeps quiet."""

    with listening(Handler) as known.url:
        monkeypatch.setattr(aws, "_ROOT", known.url)
        monkeypatch.setattr(gcp, "_ROOT", known.url)
        yield known


def _body(path: str, query: dict[str, list[str]]) -> bytes:
    service = path.split("/")[1]
    if path.endswith("/skus"):
        name = {told: of.lower().replace(" ", "-") for of, told in gcp.SERVICES.items()}[service]
        skus = answer(name)["skus"]
        # Two pages, as a real answer has many.
        half = len(skus) // 2
        first = "pageToken" not in query
        page = {"skus": skus[:half] if first else skus[half:], "nextPageToken": "next" if first else ""}
        return json.dumps(page).encode() if query["currencyCode"] == ["USD"] else b""
    form = path.rpartition(".")[2]
    data = DATA / f"{service}.{form}"
    return data.read_bytes() if "/eu-west-1/" in path and data.is_file() else b""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the price files."""
    return shutil.copytree(ROOT / "cohost" / "cost" / "prices", tmp_path / "prices")


def refreshed(folder: Path, cloud: str) -> PriceList:
    return PriceList(parse(json.loads((folder / f"{cloud}.json").read_text())))


def test_the_script_reads_a_region_of_aws_from_its_price_lists(
    lists: Lists, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["aws", "--region", "eu-west-1", "--folder", str(folder)]) == 0
    assert lists.asked == [
        *(f"/{service}/current/eu-west-1/index.json" for service in ("AmazonSageMaker", "AmazonS3", "awskms")),
        "/AmazonCloudWatch/current/eu-west-1/index.json",
        "/AmazonEC2/current/eu-west-1/index.csv",
    ]
    prices = refreshed(folder, "aws")
    for service, item in (("AmazonSageMaker", "ml.g5.xlarge"), ("AmazonEC2", "g5.xlarge"), ("awskms", "Key")):
        now = prices.find(service, item, "eu-west-1")
        assert now is not None
        assert (now.sure, now.retrieved) == (LISTED, date.today())
    untouched = prices.find("AmazonSageMaker", "ml.g5.xlarge", "us-east-1")
    assert untouched is not None
    assert untouched.sure != LISTED
    out = capsys.readouterr().out
    assert "7 prices of AWS Price List Bulk API" in out
    assert "ml.g5.2xlarge: not in the price list of eu-west-1; left as it was" in out


def test_the_script_reads_every_page_of_the_cloud_billing_catalog_with_the_key_in_a_header(
    lists: Lists, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(script.KEY, "a-key")
    assert script.main(["gcp", "--region", "us-central1", "--folder", str(folder)]) == 0
    assert len(lists.asked) == 6
    assert lists.keys == {"a-key"}
    now = refreshed(folder, "gcp").find("Compute Engine", "g2-standard-8", "us-central1")
    assert now is not None
    assert (now.amount, now.sure) == (Decimal("0.853608"), LISTED)
    kept = refreshed(folder, "gcp").find("Vertex AI", "a3-highgpu-1g", "us-central1")
    assert kept is not None
    assert kept.sure != LISTED
    captured = capsys.readouterr()
    assert "a3-highgpu-1g: not in the price list of us-central1; left as it was" in captured.out
    assert "a-key" not in captured.out + captured.err


def test_without_a_key_or_without_an_answer_no_file_is_touched(
    lists: Lists, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.delenv(script.KEY, raising=False)
    assert script.main(["gcp", "--folder", str(folder)]) == 1
    assert f"error: {script.KEY} is not set" in capsys.readouterr().err
    assert lists.asked == []
    assert script.main(["aws", "--region", "eu-west-2", "--folder", str(folder)]) == 1
    assert "answers 404" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_addresses_of_the_price_lists_are_those_that_the_clouds_document() -> None:
    assert aws.url("AmazonEC2", "eu-west-1", "csv") == (
        "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEC2/current/eu-west-1/index.csv"
    )
    assert gcp.url("Vertex AI") == "https://cloudbilling.googleapis.com/v1/services/C7E2-9256-1C43/skus"
