"""The policy pack over both stacks on the local cloud, with either engine; policies/tests has each rule by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

import pytest

from tests.engine.test_policies import NEEDS_PACK
from tests.local import policy_previews
from tests.local.policy_previews import PACK, STACKS
from tests.local.project import Project

pytestmark = NEEDS_PACK
NEEDS_PULUMI = pytest.mark.skipif(not shutil.which("pulumi"), reason="there is no `pulumi` command in PATH")

EVERYTHING_IS_PRODUCTION = {"productionStacks": ["*"]}
PRODUCTION_RULES = (
    "alarms",
    "customer-key",
    "gpu-verified",
    "logs",
    "no-spot",
    "private-network",
    "protected",
    "replicas",
    "way-back",
)
STRICT: Mapping[str, Any] = {
    **{f"{name}-in-production": EVERYTHING_IS_PRODUCTION for name in PRODUCTION_RULES},
    "endpoint-fits-requests": {"largestRequestBytes": 20_000_000},
    "image-pinned": {"requireDigest": True},
    "monthly-budget": {"maximum": 100},
}
TOO_FAR: Mapping[str, Mapping[str, Any]] = {
    "aws": {
        "shared-endpoint:variant": {
            "instanceType": "ml.g5.16xlarge",
            "maxInstances": 9,
            "invocationsPerInstance": 100,
        },
        "shared-endpoint:alarms": {"enabled": False},
        "shared-endpoint:rollback": {"enabled": False},
        "shared-endpoint:verify": {"gpu": False},
        "shared-endpoint:logRetentionDays": 7,
    },
    "gcp": {
        "shared-endpoint:machine": {"type": "g2-standard-24", "acceleratorCount": 2, "maxReplicas": 9, "spot": True},
        "shared-endpoint:update": "replace",
        "shared-endpoint:endpoint": {"containerLogs": False},
        "shared-endpoint:verify": {"gpu": False},
    },
}
BROKEN: Mapping[str, set[str]] = {
    "aws": {
        "endpoint-fits-requests",
        "gpu-verified-in-production",
        "image-pinned",
        "logs-in-production",
        "machine-allowed",
        "monthly-budget",
        "private-network-in-production",
        "protected-in-production",
        "replica-ceiling",
        "replicas-in-production",
        "way-back-in-production",
    },
    "gcp": {
        "endpoint-fits-requests",
        "gpu-verified-in-production",
        "logs-in-production",
        "machine-allowed",
        "monthly-budget",
        "no-spot-in-production",
        "protected-in-production",
        "replica-ceiling",
        "replicas-in-production",
        "way-back-in-production",
    },
}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("engine", ["embedded", pytest.param("pulumi", marks=NEEDS_PULUMI)])
def test_settings_that_go_too_far_break_their_rules_and_fail_the_preview(
    small_project: Project, stack: str, engine: str
) -> None:
    settings = small_project.root / "settings.json"
    settings.write_text(json.dumps(STRICT))
    small_project.configure(TOO_FAR[stack], stack)
    pack = ("--policy-pack", str(PACK), "--policy-pack-config", str(settings))
    done = small_project.cohost("local", "preview", stack, "--engine", engine, *pack, "--json")
    assert done.code == 1, done.err
    found = done.json()["policies"]
    assert {each["policy"] for each in found if each["level"] == "mandatory"} == BROKEN[stack]


@pytest.mark.parametrize("stack", STACKS)
def test_the_projects_own_stacks_keep_the_rules_and_the_preview_says_what_they_cost(
    small_project: Project, stack: str
) -> None:
    done = small_project.operate("preview", "--policy-pack", str(PACK), stack=stack)
    assert {each["level"] for each in done["policies"]} == {"advisory", "remediate"}
    (cost,) = [each for each in done["policies"] if each["level"] == "advisory"]
    assert cost["policy"] == "estimated-cost"
    assert "a month" in cost["message"]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("engine", ["embedded", pytest.param("pulumi", marks=NEEDS_PULUMI)])
def test_a_stack_is_production_by_its_own_setting(small_project: Project, stack: str, engine: str) -> None:
    small_project.configure({"shared-endpoint:production": True}, stack)
    pack = ("--engine", engine, "--policy-pack", str(PACK), "--json")
    done = small_project.cohost("local", "preview", stack, *pack)
    assert done.code == 1, done.err
    found = {each["policy"] for each in done.json()["policies"] if each["level"] == "mandatory"}
    # Production on GCP needs no network of its own: nothing there can demand one yet.
    assert found == {"replicas-in-production"} | ({"private-network-in-production"} if stack == "aws" else set())


@NEEDS_PULUMI
@pytest.mark.parametrize("stack", STACKS)
def test_the_kept_previews_are_what_the_real_command_prints(project: Project, stack: str) -> None:
    kept = policy_previews.file(stack).read_text(encoding="utf-8")
    printed = policy_previews.taken(project, stack)
    assert policy_previews.lines(printed) == policy_previews.lines(kept), f"run {policy_previews.COMMAND}"
