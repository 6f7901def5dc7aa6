"""What must hold of the published facts, whatever they say (cohost/data/sagemaker_fleet.json)."""

from __future__ import annotations

import datetime
import json
import re
from importlib import resources
from typing import Any

import botocore.session
import pytest

from cohost import fleet

DATA: dict[str, Any] = json.loads(resources.files("cohost").joinpath("data/sagemaker_fleet.json").read_text("utf-8"))
PARTS = {name: part for name, part in DATA.items() if isinstance(part, dict) and name != "defaults"}
MODEL = botocore.session.get_session().get_service_model("sagemaker")


def choices(shape: str) -> set[str]:
    """What SageMaker's API takes."""
    found: Any = MODEL.shape_for(shape)
    return set(found.enum)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_names_its_source_and_the_day_it_was_read(part: str) -> None:
    assert len(PARTS[part]["source"]) > 20
    read = datetime.date.fromisoformat(PARTS[part]["retrieved"])
    assert datetime.date(2026, 1, 1) <= read


def test_the_parts_are_the_ones_that_are_read() -> None:
    assert set(PARTS) == {"amis", "images", "accounts", "instances", "refused"}
    assert set(DATA) - set(PARTS) == {"_comment", "repository", "defaults"}


def test_the_defaults_are_known_and_nothing_speaks_against_them() -> None:
    image = fleet.image_version(fleet.default_image_version())
    assert image is not None
    assert image.issue is None
    assert fleet.instance_type(fleet.default_instance_type()) is not None


def test_every_ami_is_one_that_sagemaker_takes_and_none_is_for_other_chips() -> None:
    offered = choices("ProductionVariantInferenceAmiVersion")
    assert set(fleet.amis()) == {name for name in offered if "-gpu-" in name}


@pytest.mark.parametrize("tag", fleet.image_versions())
def test_every_image_has_an_ami_of_its_cuda_version(tag: str) -> None:
    image = fleet.image_version(tag)
    assert image is not None
    assert image.ami in fleet.amis()
    cuda = DATA["images"]["versions"][tag]["cuda"]
    # Source: botocore 1.44.5, ProductionVariantInferenceAmiVersion (CUDA 12.4 and 13.0).
    assert image.ami == {12: "al2-ami-sagemaker-inference-gpu-3-1", 13: "al2023-ami-sagemaker-inference-gpu-4-1"}[cuda]


def test_images_are_listed_with_the_newest_first_and_old_ones_say_what_speaks_against_them() -> None:
    tags = fleet.image_versions()
    assert list(tags) == sorted(tags, reverse=True)
    for tag in tags:
        image = fleet.image_version(tag)
        assert image is not None
        # triton-inference-server/server#8571: fixed in 26.01 and later.
        assert (image.issue is not None) == (tag < "26.01")


@pytest.mark.parametrize("name", fleet.instance_types())
def test_every_instance_type_is_sagemakers_and_has_one_gpu_with_memory_and_a_disk(name: str) -> None:
    assert name in choices("ProductionVariantInstanceType")
    found = fleet.instance_type(name)
    assert found is not None
    assert {"T4": 16384, "A10G": 22888}[found.gpu] == found.gpu_memory_mib
    assert found.memory_mib >= 16384
    assert found.disk_gb * 10**9 > found.max_model_bytes > 10 * 10**9
    assert fleet.instance_type_fault(name) is None


def test_within_a_family_a_larger_type_has_at_least_as_much_of_everything() -> None:
    for family in ("ml.g4dn.", "ml.g5."):
        types = [fleet.instance_type(name) for name in fleet.instance_types() if name.startswith(family)]
        sizes = [(found.memory_mib, found.disk_gb) for found in types if found]
        assert len(sizes) == 5
        assert sizes == sorted(sizes)


def test_every_other_instance_type_is_refused_with_a_reason_of_its_own_and_what_to_use_instead() -> None:
    for name in choices("ProductionVariantInstanceType") - set(fleet.instance_types()):
        fault = fleet.instance_type_fault(name)
        assert fault is not None
        assert "there is no such type" not in fault, name
        assert "ml.g5.xlarge" in fault


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ml.g5.12xlarge", "it has 4 GPUs"),
        ("ml.p3.2xlarge", "Volta"),
        ("ml.g6.xlarge", "g6"),
        ("ml.m5.xlarge", "it has no GPU"),
        ("ml.g5.xlarg", "did you mean ml.g5.xlarge?"),
        ("", "there is no such type"),
    ],
)
def test_a_type_that_cannot_serve_is_refused_for_what_is_wrong_with_it(name: str, words: str) -> None:
    assert words in (fleet.instance_type_fault(name) or "")


def test_every_region_is_one_that_sagemaker_serves_and_has_an_account_of_twelve_digits() -> None:
    served = set(botocore.session.get_session().get_available_regions("sagemaker"))
    assert len(fleet.regions()) > 30
    for region in fleet.regions():
        assert region in served, region
        assert re.fullmatch(r"[0-9]{12}", fleet.image_account(region) or ""), region


def test_an_image_in_china_is_of_the_domain_there() -> None:
    parts = {"tag": "1", "account": "123456789012"}
    assert fleet.image_uri(region="cn-north-1", **parts).startswith("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/")
    assert fleet.image_uri(region="eu-west-1", **parts).startswith("123456789012.dkr.ecr.eu-west-1.amazonaws.com/")
