"""`cohost doctor` on the emulators: what stands in the way of an `up`, each with its remedy, and nothing changed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.cloud import cloud_of
from tests.local.google_cloud import PARENT, google_cloud_of
from tests.local.project import CHECKOUT, Done, Project, scratch_project
from tests.local.test_cli_contract import holds

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS")
PAGE = CHECKOUT / "docs" / "doctor.md"
STACKS = ("aws", "gcp")


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose emulators all tests share that deploy nothing; each leaves its settings as they were."""
    made = scratch_project(tmp_path_factory.mktemp("standing") / "project", models=("digits", "iris"))
    yield made
    assert made.cohost("local", "stop").code == 0


@pytest.fixture
def project(standing: Project) -> Iterator[Project]:
    """The shared project, with settings and limits for one test."""
    files = {stack: standing.root / f"Pulumi.{stack}.yaml" for stack in STACKS}
    kept = {stack: file.read_text() for stack, file in files.items()}
    yield standing
    for stack, file in files.items():
        file.write_text(kept[stack])
    assert standing.cohost("local", "limit", "--clear").code == 0


def doctor(project: Project, stack: str, *, code: int) -> dict[str, dict[str, str]]:
    """The checks of a local stack by name."""
    return by_name(holds(project.cohost("local", "doctor", stack, "--json"), "doctor", code=code))


def by_name(document: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in document["checks"]}


def outcomes(checks: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: check["outcome"] for name, check in checks.items()}


def without_credentials(project: Project, stack: str, home: Path) -> Done:
    """The doctor of the real stack, whose clients reach the emulators and find no credentials."""
    reached = {name: value for name, value in project.cloud(stack).items() if name not in CREDENTIALS}
    environment = {**project.environment(), **reached, "HOME": str(home), "CLOUDSDK_CONFIG": str(home)}
    done = subprocess.run(
        project.command("doctor", stack, "--json"),
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def shown(check: dict[str, str]) -> None:
    """The page shows this answer, line by line."""
    page = PAGE.read_text()
    for line in [*check["found"].splitlines(), *(f"-> {line}" for line in check["remedy"].splitlines())]:
        assert line in page, f"docs/doctor.md does not show: {line}"


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_that_could_be_deployed_has_no_failures_and_nothing_is_changed(project: Project, stack: str) -> None:
    checks = doctor(project, stack, code=0)
    # Before the first `up` the APIs of a project are off, and Vertex AI has no service agent.
    before_the_first = {"APIs": "warning", "service agent": "skipped"} if stack == "gcp" else {}
    assert outcomes(checks) == dict.fromkeys(checks, "ok") | before_the_first
    assert {"credentials", "region", "quota", "image", "orphans"} <= checks.keys()
    left = (cloud_of(project) if stack == "aws" else google_cloud_of(project)).leftovers()
    assert left == {}


@pytest.mark.parametrize("stack", STACKS)
def test_without_credentials_there_is_one_clear_answer_and_what_needs_them_is_skipped(
    project: Project, stack: str, tmp_path: Path
) -> None:
    done = without_credentials(project, stack, tmp_path)
    checks = by_name(holds(done, "doctor", code=1))
    assert "Traceback" not in done.err
    assert checks["credentials"]["outcome"] == "failed"
    shown(checks["credentials"])
    asking = {"quota", "image", "orphans"} | ({"APIs", "service agent"} if stack == "gcp" else {"region enabled"})
    assert {checks[name]["outcome"] for name in asking} == {"skipped"}
    assert all("needs credentials" in checks[name]["found"] for name in asking - {"service agent"})
    assert (checks["settings"]["outcome"], checks["region"]["outcome"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("stack", "key", "wrong"), [("aws", "aws:region", "eu-west-9"), ("gcp", "gcp:region", "us-central9")]
)
def test_a_wrong_region_is_told_and_nothing_is_asked_there(project: Project, stack: str, key: str, wrong: str) -> None:
    project.configure({key: wrong}, stack=stack)
    checks = doctor(project, stack, code=1)
    told = checks["region" if stack == "aws" else "region offered"]
    assert told["outcome"] == "failed"
    assert wrong in told["found"]
    shown(told)
    assert checks["orphans"]["outcome"] == "skipped"
    assert checks["credentials"]["outcome"] == "ok"


@pytest.mark.parametrize(("stack", "kind"), [("aws", "ml.g5.xlarge"), ("gcp", "NVIDIA_L4")])
def test_a_quota_of_0_fails_and_one_too_small_for_an_update_is_a_warning(
    project: Project, stack: str, kind: str
) -> None:
    assert project.cohost("local", "limit", "--quota", f"{kind}=0").code == 0
    none = doctor(project, stack, code=1)["quota"]
    assert none["outcome"] == "failed"
    shown(none)
    assert project.cohost("local", "limit", "--quota", f"{kind}=1").code == 0
    checks = doctor(project, stack, code=0)
    assert checks["quota"]["outcome"] == "warning"
    assert "ask for 2 at https://console." in checks["quota"]["remedy"]


def test_an_image_that_is_not_there_is_told_with_what_could_be_meant(project: Project) -> None:
    elsewhere = "999999999999.dkr.ecr.eu-west-1.amazonaws.com/models:1"
    ami = "al2023-ami-sagemaker-inference-gpu-4-1"
    given = {"shared-endpoint:image": {"uri": elsewhere}, "shared-endpoint:inferenceAmiVersion": ami}
    project.configure(given)
    image = doctor(project, "aws", code=1)["image"]
    assert "RepositoryNotFoundException" in image["found"]
    assert "image.account" in image["remedy"]
    untagged = elsewhere.replace("999999999999", "763104351884").replace("models:1", "sagemaker-tritonserver:latest")
    project.configure({"shared-endpoint:image": {"uri": untagged}})
    image = doctor(project, "aws", code=1)["image"]
    assert "Requested image not found" in image["found"]
    assert "26.05-py3" in image["remedy"]
    config = project.root / "Pulumi.gcp.yaml"
    config.write_text(config.read_text().replace("serving/triton@", "serving/absent@"))
    image = doctor(project, "gcp", code=1)["image"]
    assert (image["outcome"], "NOT_FOUND" in image["found"]) == ("failed", True)
    assert "bootstrap/README.md" in image["remedy"]


def test_what_is_in_no_state_is_listed_what_costs_first_and_left_alone_on_aws(small_project: Project) -> None:
    small_project.operate("up")
    assert doctor(small_project, "aws", code=0)["orphans"]["outcome"] == "ok"
    forget(small_project, "aws")
    orphans = doctor(small_project, "aws", code=1)["orphans"]
    lines = orphans["found"].splitlines()[1:]
    assert lines[0] == "endpoint shared-endpoint-aws costs by the hour"
    assert [line.rpartition(" ")[0] for line in lines[1:]] == ["endpoint configuration", "model"]
    assert "aws sagemaker delete-endpoint --endpoint-name shared-endpoint-aws --region eu-west-1" in orphans["remedy"]
    assert cloud_of(small_project).endpoint()["EndpointStatus"] == "InService"


def test_what_is_in_no_state_is_listed_what_costs_first_and_left_alone_on_gcp(
    small_project: Project,
) -> None:
    name = small_project.operate("up", stack="gcp")["outputs"]["endpoint"]
    checks = doctor(small_project, "gcp", code=0)
    assert set(outcomes(checks).values()) == {"ok"}
    assert checks["service agent"]["found"].endswith("@gcp-sa-aiplatform.iam.gserviceaccount.com")
    forget(small_project, "gcp")
    orphans = doctor(small_project, "gcp", code=1)["orphans"]
    number = name.rpartition("/")[2]
    lines = orphans["found"].splitlines()[1:]
    assert lines[0].startswith("deployed model ")
    assert lines[0].endswith(f"on endpoint {number} costs by the hour")
    assert lines[1:] == [f"endpoint {number}", *(f"model cohost-gcp{each}" for each in ("", "-digits", "-iris"))]
    assert f"gcloud ai endpoints undeploy-model {number}" in orphans["remedy"]
    cloud = google_cloud_of(small_project)
    assert len(cloud.endpoint().deployed_models) == 1
    assert len(list(cloud.models.list_models(parent=PARENT))) == 3


def forget(project: Project, stack: str) -> None:
    """Loses the state of a local stack."""
    for file in ("state.json", "engine"):
        (project.root / ".cohost" / stack / file).unlink()
