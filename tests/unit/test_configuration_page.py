from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from cohost import settings, tokens
from cohost.aws_settings import AwsSettings
from cohost.gcp_settings import GcpSettings
from tests.documents import ROOT
from tests.unit.setting_keys import keys

PAGE = (ROOT / "docs" / "configuration.md").read_text()


@dataclass(frozen=True)
class Part:
    """What the page says of one cloud.

    Attributes:
        platform: The cloud.
        title: Heading of its part.
        model: The settings that it describes.
        needed: What every example needs and may leave out.
        told: Defaults that are not one value, by key.
    """

    platform: str
    title: str
    model: type[BaseModel]
    needed: Mapping[str, str]
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return re.split(r"^## ", PAGE.partition(f"## {self.title}\n")[2], flags=re.MULTILINE)[0]

    @property
    def rows(self) -> dict[str, str]:
        found = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", self.text, re.MULTILINE)
        return {key.removeprefix(f"{self.platform}:"): default for key, default in found}


IMAGE = f"europe-west4-docker.pkg.dev/my-project/serving/triton@sha256:{'0a' * 32}"
AWS = Part(
    "aws",
    "On AWS",
    AwsSettings,
    {"aws:region": "eu-west-1"},
    {
        "endpointName": "`shared-endpoint-<stack>`",
        "image.account": "the region's own",
        "inferenceAmiVersion": "the image's own",
    },
)
GCP = Part(
    "gcp",
    "On GCP",
    GcpSettings,
    {"gcp:project": "my-project", "gcp:region": "europe-west4", f"{tokens.PROJECT}:image": IMAGE},
)
PARTS = pytest.mark.parametrize("part", [AWS, GCP], ids=lambda part: part.platform)
EXAMPLES = [(part, block) for part in (AWS, GCP) for block in re.findall(r"```yaml\n(.*?)```", part.text, re.DOTALL)]


def shown(default: Any) -> str:
    if default in ("required", None):
        return str(default).lower()
    if isinstance(default, (tuple, bool)):
        return f"`{json.dumps(default)}`"
    return f"`{default}`"


@PARTS
def test_the_page_names_every_key_with_its_default_and_no_other(part: Part) -> None:
    assert part.rows == {key: part.told.get(key, shown(default)) for key, default in keys(part.model)}


def test_both_clouds_have_examples() -> None:
    assert {part.platform for part, _ in EXAMPLES} == {"aws", "gcp"}


@pytest.mark.parametrize(("part", "block"), EXAMPLES)
def test_every_example_of_the_page_is_taken(part: Part, block: str) -> None:
    config = {**part.needed, f"{tokens.PROJECT}:platform": part.platform, **yaml.safe_load(block)["config"]}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    assert settings.check(texts, stack="dev") == []


@PARTS
def test_every_set_of_the_page_names_a_key_that_there_is(part: Part) -> None:
    named = re.findall(rf"config set --path {tokens.PROJECT}:(\S+)", part.text)
    assert named
    assert set(named) <= {key for key, _ in keys(part.model)}
