from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.output import Unknown
from pulumi.runtime.mocks import Mocks
from pydantic import TypeAdapter

from cohost import fleet, gcp_rules
from cohost.gcp_settings import ImageAddress
from tests.documents import DOCUMENTS, ROOT, blocks
from tests.unit.mocks import Recording, record
from tests.unit.mocks_gcp import PROJECT, REGION, GoogleCloud

FOLDER = ROOT / "bootstrap"
README = FOLDER / "README.md"
COMPONENT = "cohost:bootstrap:ImageRepository"
SERVICE = "gcp:projects/service:Service"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
ACCOUNT = "gcp:serviceaccount/account:Account"
WRITER = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"
BUILDER = f"mirror-{REGION}@{PROJECT}.iam.gserviceaccount.com"
NVIDIA = "nvcr.io/nvidia/tritonserver"
HERE = f"{REGION}-docker.pkg.dev/{PROJECT}/serving"
DIGEST, OTHER = f"sha256:{'0a' * 32}", f"sha256:{'1b' * 32}"
# pulumi_gcp imports its own deprecated functions.
pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")


def up(
    config: Mapping[str, str] | None = None, *, cloud: Mocks | None = None, preview: bool = False, **how: Any
) -> Recording:
    """Runs the program unchanged, as Pulumi does: its folder comes first where modules are looked for."""
    cloud = cloud or GoogleCloud(preview=preview)
    config = {"gcp:project": PROJECT, "gcp:region": REGION} if config is None else config
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        main = str(FOLDER / "__main__.py")
        return record(
            lambda: runpy.run_path(main, run_name="__main__"), config=config, cloud=cloud, preview=preview, **how
        )


@pytest.fixture(scope="module")
def made() -> Recording:
    return up(stack="gcp")


@pytest.fixture(scope="module")
def build() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "cloudbuild.yaml").read_text())


def test_the_bootstrap_is_these_resources(made: Recording) -> None:
    assert sorted(f"{resource.type} {resource.name}" for resource in made.custom) == sorted(
        [
            *(f"{SERVICE} {api}" for api in ("artifactregistry", "cloudbuild", "iam", "logging")),
            f"{REPOSITORY} serving",
            f"{ACCOUNT} mirror",
            f"{WRITER} mirror-writes",
            f"{PROJECT_MEMBER} mirror-logs",
        ]
    )
    assert {resource.parent for resource in made.custom} == {"serving"}
    assert made.one(COMPONENT).custom is False


def test_the_outputs_are_what_the_command_is_given(made: Recording) -> None:
    assert made.outputs == {"repository": HERE, "builder": f"projects/{PROJECT}/serviceAccounts/{BUILDER}"}


def test_a_first_preview_declares_what_an_up_does_and_knows_the_repository(made: Recording) -> None:
    preview = up(stack="gcp", preview=True)
    assert set(preview.resources) == set(made.resources)
    assert preview.outputs["repository"] == HERE
    assert isinstance(preview.outputs["builder"], Unknown)


def test_every_api_is_on_before_anything_else_and_stays_on(made: Recording) -> None:
    services = made.of(SERVICE)
    for service in services:
        assert service.inputs == {
            "project": PROJECT,
            "service": f"{service.name}.googleapis.com",
            "disableOnDestroy": False,
        }
    on = {service.urn for service in services}
    for resource in made.custom:
        if resource.type != SERVICE:
            assert on <= made.after(resource), resource.urn


def test_the_repository_is_a_regional_one_of_its_own_images_whose_tags_never_move(made: Recording) -> None:
    repository = made.one(REPOSITORY)
    inputs = {name: value for name, value in repository.inputs.items() if name != "cleanupPolicies"}
    assert inputs == {
        "project": PROJECT,
        "location": REGION,
        "repositoryId": "serving",
        "format": "DOCKER",
        "mode": "STANDARD_REPOSITORY",
        "description": "Serving images of shared endpoints",
        "dockerConfig": {"immutableTags": True},
        "cleanupPolicyDryRun": False,
    }
    assert repository.options == {"protect": True}


def test_the_cleanup_never_deletes_an_image_that_was_mirrored(made: Recording) -> None:
    policies = made.one(REPOSITORY).inputs["cleanupPolicies"]
    deleting = [policy for policy in policies if policy["action"] == "DELETE"]
    assert [policy["condition"] for policy in deleting] == [{"tagState": "UNTAGGED", "olderThan": "30d"}]
    keeping = [policy["condition"] for policy in policies if policy["action"] == "KEEP"]
    assert keeping == [{"tagState": "TAGGED"}]
    assert len({policy["id"] for policy in policies}) == len(policies)


def test_the_builder_may_fill_this_repository_and_write_logs_and_nothing_else(made: Recording) -> None:
    writer, logs = made.one(WRITER), made.one(PROJECT_MEMBER)
    member = f"serviceAccount:{BUILDER}"
    assert writer.inputs == {
        **{"project": PROJECT, "location": REGION, "repository": "serving"},
        **{"role": "roles/artifactregistry.writer", "member": member},
    }
    assert logs.inputs == {"project": PROJECT, "role": "roles/logging.logWriter", "member": member}
    assert made.one(REPOSITORY).urn in made.after(writer)
    granted = {resource.urn for resource in made.custom if "role" in resource.inputs}
    assert granted == {writer.urn, logs.urn}


@pytest.mark.parametrize("region", ["us-central1", "northamerica-northeast1"])
def test_every_region_of_a_project_can_have_a_repository_and_an_account(region: str) -> None:
    account = up({"gcp:project": PROJECT, "gcp:region": region}).one(ACCOUNT).inputs["accountId"]
    assert account == f"mirror-{region}"
    # IAM reference, projects.serviceAccounts.create, accountId.
    assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", account)


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        ({}, ["Pulumi.dev.yaml: gcp:project: is missing", "Pulumi.dev.yaml: gcp:region: is missing"]),
        (
            {"gcp:project": "12345", "gcp:region": "europe"},
            ["Pulumi.dev.yaml: gcp:project: '12345' is not", "Pulumi.dev.yaml: gcp:region: 'europe' is not a region"],
        ),
    ],
)
def test_everything_wrong_with_the_place_is_said_at_once(config: Mapping[str, str], lines: list[str]) -> None:
    recording = Recording()
    with pytest.raises(pulumi.RunError) as refused:
        up(config, into=recording)
    assert [said.startswith(line) for said, line in zip(str(refused.value).splitlines(), lines, strict=True)] == [
        True,
        True,
    ]
    assert recording.custom == []


def test_the_project_is_one_of_its_own_with_its_state_in_a_file_and_the_checkouts_environment() -> None:
    project = yaml.safe_load((FOLDER / "Pulumi.yaml").read_text())
    assert project["name"] != yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["name"]
    assert project["backend"] == {"url": "file://~"}
    assert project["runtime"]["options"] == {"virtualenv": "../.venv"}


def test_the_build_logs_where_an_account_of_ones_own_may(build: Mapping[str, Any]) -> None:
    assert build["options"]["logging"] == "CLOUD_LOGGING_ONLY"
    assert "serviceAccount" not in build, "the command names it"
    assert re.fullmatch(r"gcr\.io/go-containerregistry/gcrane/debug:v\d+\.\d+\.\d+", build["steps"][0]["name"])


def test_the_version_is_that_of_the_aws_stack_unless_another_is_given(build: Mapping[str, Any]) -> None:
    assert build["substitutions"] == {"_VERSION": fleet.default_image_version(), "_DIGEST": ""}


def test_the_command_of_the_readme_gives_all_that_the_build_needs(build: Mapping[str, Any], made: Recording) -> None:
    command = shlex.split(shown("gcloud builds submit"))
    assert command[:4] == ["gcloud", "builds", "submit", "--no-source"]
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert (ROOT / options["--config"]).samefile(FOLDER / "cloudbuild.yaml")
    assert options["--service-account"] == "$(pulumi -C bootstrap stack output builder)"
    given = dict(pair.split("=") for pair in options["--substitutions"].split(","))
    assert given == {"_REPOSITORY": "$(pulumi -C bootstrap stack output repository)"}
    # Cloud Build refuses a substitution that is used and not given, and one that is given and not used.
    assert set(re.findall(r"\$\{(_[A-Z]+)\}", script(build))) == {*given, *build["substitutions"]}
    assert {"builder", "repository"} == set(made.outputs)


def test_the_readme_names_the_substitutions_the_image_and_where_it_goes(build: Mapping[str, Any]) -> None:
    text = README.read_text()
    for name, default in {**build["substitutions"], "_REPOSITORY": ""}.items():
        assert f"| `{name}` | {f'`{default}`' if default else 'none'} |" in text
    assert f"/triton:{build['substitutions']['_VERSION']}" in shown("image=")
    told = shown("pulumi config set --stack gcp shared-endpoint:image")
    assert told == 'pulumi config set --stack gcp shared-endpoint:image "$image"'


def test_every_command_of_the_readme_needs_an_account() -> None:
    assert README in DOCUMENTS
    assert {block.not_run for block in blocks(README)} == {"needs an account"}


def test_the_readme_lists_the_roles_that_are_given(made: Recording) -> None:
    account = next(line for line in README.read_text().splitlines() if line.startswith("| account"))
    granted = {resource.inputs["role"] for resource in made.custom if "role" in resource.inputs}
    assert set(re.findall(r"roles/[\w.]+", account)) == granted


class Registry:
    """A `gcrane` that knows some images, and notes how it is called."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "images").mkdir()
        tool = folder / "gcrane"
        tool.write_text(
            f"""#!/bin/sh
cd {shlex.quote(str(folder))} && echo "$*" >> calls
file() {{ echo "images/$(echo "$1" | tr '/:@' '___')"; }}
case "$1" in
  digest) for last; do :; done; cat "$(file "$last")" ;;
  cp) cp "$(file "$2")" "$(file "$3")" ;;
esac
"""
        )
        tool.chmod(0o755)

    def has(self, image: str, digest: str) -> None:
        (self._folder / "images" / re.sub("[/:@]", "_", image)).write_text(f"{digest}\n")

    @property
    def copies(self) -> list[str]:
        return [call for call in (self._folder / "calls").read_text().splitlines() if call.startswith("cp ")]

    def mirror(self, build: Mapping[str, Any], **given: str) -> subprocess.CompletedProcess[str]:
        """Runs the build's step as Cloud Build does: substitutions first, then the shell."""
        values = {**build["substitutions"], "_REPOSITORY": HERE, **given}
        text = re.sub(r"\$\{(_[A-Z]+)\}", lambda match: values[match[1]], script(build)).replace("$$", "$")
        environment = {"PATH": f"{self._folder}{os.pathsep}{os.environ['PATH']}"}
        step = build["steps"][0]
        command = [step["entrypoint"], step["args"][0], text]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path)
    registry.has(f"{NVIDIA}:26.05-py3", DIGEST)
    registry.has(f"{NVIDIA}@{DIGEST}", DIGEST)
    registry.has(f"{NVIDIA}@{OTHER}", OTHER)
    return registry


def test_the_image_is_copied_by_its_digest_and_the_line_for_the_stack_is_said(
    build: Mapping[str, Any], registry: Registry
) -> None:
    done = registry.mirror(build)
    assert (done.returncode, done.stderr) == (0, "")
    assert registry.copies == [f"cp {NVIDIA}@{DIGEST} {HERE}/triton:26.05-py3"]
    key, _, address = done.stdout.strip().partition(": ")
    assert (key, address) == ("shared-endpoint:image", f"{HERE}/triton@{DIGEST}")
    assert TypeAdapter(ImageAddress).validate_python(address) == address
    assert list(gcp_rules.image(address, REGION)) == []


def test_a_second_run_copies_nothing(build: Mapping[str, Any], registry: Registry) -> None:
    first, second = registry.mirror(build), registry.mirror(build)
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert len(registry.copies) == 1


def test_a_given_digest_is_the_image_whatever_the_version_stands_for(
    build: Mapping[str, Any], registry: Registry
) -> None:
    assert registry.mirror(build, _DIGEST=OTHER).stdout.endswith(f"/triton@{OTHER}\n")
    assert registry.copies == [f"cp {NVIDIA}@{OTHER} {HERE}/triton:26.05-py3"]


def test_a_version_that_is_another_image_here_stays_what_it_is(build: Mapping[str, Any], registry: Registry) -> None:
    registry.has(f"{HERE}/triton:26.05-py3", OTHER)
    done = registry.mirror(build)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {HERE}/triton:26.05-py3 is {OTHER} already, not {DIGEST}, and tags here never move")
    assert line.endswith(f"with _DIGEST={OTHER}")
    assert registry.copies == []
    assert registry.mirror(build, _DIGEST=OTHER).stdout.endswith(f"/triton@{OTHER}\n")
    assert registry.copies == []


def test_a_version_that_nvidia_does_not_have_fails_the_build(build: Mapping[str, Any], registry: Registry) -> None:
    assert registry.mirror(build, _VERSION="99.99-py3").returncode != 0
    assert registry.copies == []


def test_nothing_of_the_shell_is_left_to_cloud_build_to_substitute(build: Mapping[str, Any]) -> None:
    assert re.findall(r"\$[^$]?", re.sub(r"\$\$|\$\{_[A-Z]+\}", "", script(build))) == []


def script(build: Mapping[str, Any]) -> str:
    """The shell script of the build's only step, as it stands in the file."""
    [step] = build["steps"]
    return step["args"][1]


def shown(beginning: str) -> str:
    """The only command of the README that begins so."""
    [command] = [line for block in blocks(README) for line in block.commands if line.startswith(beginning)]
    return command
