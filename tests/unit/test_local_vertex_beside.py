from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cohost.local.gcp_provider.ledger import Ledger
from cohost.local.http import Request
from cohost.local.vertex.names import project_number
from tests.unit.local_vertex import BEARER, PARENT, PROJECT, Control

SERVICE, GRANT = "gcp:projects/service:Service", "gcp:projects/iAMMember:IAMMember"
AGENT = f"serviceAccount:service-{project_number(PROJECT)}@gcp-sa-aiplatform.iam.gserviceaccount.com"
QUOTAS = f"/v1beta1/projects/{PROJECT}/services/aiplatform.googleapis.com/consumerQuotaMetrics"
IMAGES = "repositories/serving/dockerImages"
DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path)


def switch_on(folder: Path) -> None:
    Ledger(folder).put(SERVICE, f"{PROJECT}/aiplatform.googleapis.com", {"service": "aiplatform.googleapis.com"})


def ask(control: Control, target: str) -> Any:
    answer = control.application(Request("GET", target.partition("?")[0], {}, BEARER, b"", target))
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def test_apis_are_on_that_nothing_works_without_and_those_that_the_provider_switched_on(
    control: Control, tmp_path: Path
) -> None:
    switch_on(tmp_path)
    apis = ("serviceusage", "aiplatform", "storage")
    names = "&".join(f"names=projects/{PROJECT}/services/{api}.googleapis.com" for api in apis)
    told = ask(control, f"/v1/projects/{PROJECT}/services:batchGet?{names}")["services"]
    assert [each["state"] for each in told] == ["ENABLED", "ENABLED", "DISABLED"]


def test_a_quota_is_that_of_the_limits_by_the_name_that_serving_is_charged_to(control: Control) -> None:
    control.limit(quota={"NVIDIA_L4": 3})
    told = ask(control, f"{QUOTAS}/aiplatform.googleapis.com/custom_model_serving_nvidia_l4_gpus")
    assert told["consumerQuotaLimits"][0]["quotaBuckets"] == [{"effectiveLimit": "3"}]
    assert control.send("GET", f"{QUOTAS}/aiplatform.googleapis.com/other")[0] == 404


def test_the_policy_holds_the_grants_of_the_provider_and_the_service_agent_once_the_api_is_on(
    control: Control, tmp_path: Path
) -> None:
    def members() -> dict[str, list[str]]:
        bindings = control.ok("POST", f"projects/{PROJECT}:getIamPolicy")["bindings"]
        return {each["role"]: each["members"] for each in bindings}

    assert members() == {}
    switch_on(tmp_path)
    grant = {"project": PROJECT, "role": "roles/logging.logWriter", "member": "serviceAccount:a"}
    Ledger(tmp_path).put(GRANT, "one", grant)
    Ledger(tmp_path).put(GRANT, "two", {**grant, "project": "another"})
    assert members() == {"roles/aiplatform.serviceAgent": [AGENT], "roles/logging.logWriter": ["serviceAccount:a"]}


def test_an_image_is_there_when_its_name_says_that_it_holds_triton(control: Control) -> None:
    assert control.ok("GET", f"{PARENT}/{IMAGES}/triton@{DIGEST}")["uri"].endswith(f"/serving/triton@{DIGEST}")
    assert control.refused("GET", f"{PARENT}/{IMAGES}/other@{DIGEST}")[0] == "NOT_FOUND"


def test_a_region_is_one_that_has_a_gpu(control: Control) -> None:
    assert control.ok("GET", PARENT)["locationId"] == "us-central1"
    assert control.refused("GET", f"projects/{PROJECT}/locations/nowhere1")[0] == "NOT_FOUND"
