"""`cohost cost` and a preview must tell the same: settings alone against what the program registers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cohost import catalog, costing, settings, tokens
from cohost.cost import Estimate, of_resources
from cohost.digest_cache import DigestCache
from tests.unit import mocks, mocks_gcp
from tests.unit.inventory import VARIANTS
from tests.unit.mocks import ROOT, Recording
from tests.unit.model_folders import write_model

# pulumi_aws and pulumi_gcp import their own deprecated parts.
pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")

ON_GCP: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "autoscaling": {"machine": {"minReplicas": 2, "maxReplicas": 4}},
    "t4": {"machine": {"type": "n1-standard-4", "accelerator": "NVIDIA_TESLA_T4", "acceleratorCount": 2}},
    "spot": {"machine": {"spot": True}},
    "replace": {"update": "replace"},
    "canary": {"canary": {"weight": 10, "stable": "1b" * 32}},
    "no-price": {"machine": {"type": "a2-highgpu-1g", "accelerator": "NVIDIA_TESLA_A100"}},
}


def previewed(recording: Recording) -> Estimate:
    declared = [{"type": each.type, "name": each.name, "props": each.inputs} for each in recording.resources.values()]
    return of_resources(declared)


def parsed(values: Mapping[str, Any], **more: str) -> settings.Settings:
    config = {
        f"{tokens.PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }
    return settings.parse({**more, **config}, stack="dev")


def tells_the_same(alone: Estimate, preview: Estimate) -> None:
    assert alone.headline().partition(";")[0] == preview.headline().partition(";")[0]
    assert (alone.per_hour, alone.per_month) == (preview.per_hour, preview.per_month)
    assert alone.during_update == preview.during_update
    assert alone.by_use == preview.by_use
    assert [item.why for item in alone.unknown] == [item.why for item in preview.unknown]
    assert [(line.text, line.per_month, line.source) for line in alone.lines] == [
        (line.text, line.per_month, line.source) for line in preview.lines
    ]


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_on_aws_the_settings_alone_cost_what_a_preview_of_the_stack_does(variant: str, preview: bool) -> None:
    chosen = parsed({"platform": "aws", **VARIANTS[variant]}, **{"aws:region": mocks.REGION})
    recording = mocks.run_main(VARIANTS[variant], preview=preview)
    alone = of_resources(costing.resources(chosen, recording.outputs["release"]))
    assert alone.lines
    tells_the_same(alone, previewed(recording))


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("variant", ON_GCP)
def test_on_gcp_the_settings_alone_cost_what_a_preview_of_the_stack_does(variant: str, preview: bool) -> None:
    values = {"platform": "gcp", "image": mocks_gcp.IMAGE, **ON_GCP[variant]}
    chosen = parsed(values, **{"gcp:project": mocks_gcp.PROJECT, "gcp:region": mocks_gcp.REGION})
    recording = mocks_gcp.run_main(ON_GCP[variant], preview=preview)
    alone = of_resources(costing.resources(chosen, recording.outputs["release"]))
    assert alone.lines or alone.unknown
    tells_the_same(alone, previewed(recording))


@pytest.mark.parametrize("run_main", [mocks.run_main, mocks_gcp.run_main])
def test_every_kind_of_resource_of_the_stacks_has_a_price_or_is_known_to_have_none(run_main: Any) -> None:
    """A resource that is new in a stack must be put to one side or the other in `cohost.cost`."""
    kept = [item for item in previewed(run_main()).unknown if item.why.startswith("no price is kept")]
    assert kept == []


def test_what_is_stored_is_every_file_once_on_aws_and_twice_on_gcp_without_what_only_has_a_digest(
    tmp_path: Path,
) -> None:
    folder = write_model(tmp_path / "digits")
    entry = catalog.CatalogModel(name="digits", owner="team", tags={}, path=folder, artifact=None)
    stored = catalog.CatalogModel(name="iris", owner="team", tags={}, path=None, artifact="0" * 64)
    models = catalog.Catalog(path=tmp_path / "catalog.yaml", models=(entry, stored))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != "smoke.json")
    aws = parsed({"platform": "aws"}, **{"aws:region": "eu-west-1"})
    gcp = parsed(
        {"platform": "gcp", "image": mocks_gcp.IMAGE}, **{"gcp:project": "my-project", "gcp:region": mocks_gcp.REGION}
    )
    assert costing.stored_bytes(aws, models, DigestCache()) == (size, ("iris",))
    assert costing.stored_bytes(gcp, models, DigestCache()) == (2 * size, ("iris",))


def test_a_stack_of_this_checkout_is_estimated_from_its_files_alone() -> None:
    """What `cohost cost` starts from: the stack's file and the catalog, no account and no Pulumi."""
    from cohost.local import stack_config

    for stack in ("aws", "gcp"):
        chosen = settings.parse(stack_config.load(ROOT, stack).values, stack=stack)
        assert of_resources(costing.resources(chosen, "0" * 64)).unknown == ()
