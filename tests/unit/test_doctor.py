from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from cohost.cli import doctor as command
from cohost.doctor import environment, orphans, project, state, versions
from cohost.doctor.check import Check, Finding, Outcome, Step, failed, ok, run, skipped, warning
from cohost.doctor.orphans import Orphan
from cohost.doctor.subject import Subject
from cohost.errors import CohostError, DeploymentError

ROOT = Path(__file__).resolve().parents[2]


def subject(root: Path = ROOT, /, **config: str) -> Subject:
    given = {"aws:region": "eu-west-1", "shared-endpoint:platform": "aws", **config}
    return Subject(
        root=root,
        project="shared-endpoint",
        stack="aws",
        config=given,
        local=False,
        needs_pulumi=True,
        resources=lambda: (),
    )


def unseen() -> Finding:
    raise DeploymentError("AccessDenied: not yours")


def never() -> Finding:
    raise AssertionError("it needs what is not there")


def outcomes(checks: Sequence[Check]) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in checks}


def test_all_steps_run_also_after_one_failed_and_only_those_that_need_it_are_skipped() -> None:
    found = run(
        [
            Step("credentials", lambda: failed("none", "sign in")),
            Step("region", lambda: ok("eu-west-1")),
            Step("quota", never, needs=("credentials", "region")),
            Step("orphans", never, needs=("quota",)),
            Step("python", lambda: ok("3.11")),
        ]
    )
    assert outcomes(found) == {
        "credentials": Outcome.FAILED,
        "region": Outcome.OK,
        "quota": Outcome.SKIPPED,
        "orphans": Outcome.SKIPPED,
        "python": Outcome.OK,
    }
    assert [check.found for check in found[2:4]] == ["needs credentials", "needs quota"]


def test_a_warning_is_in_nobodys_way() -> None:
    found = run([Step("quota", lambda: warning("small", "more")), Step("image", lambda: ok("there"), needs=("quota",))])
    assert outcomes(found)["image"] is Outcome.OK


def test_what_may_not_be_looked_at_is_a_warning_with_the_clouds_words() -> None:
    (found,) = run([Step("quota", unseen)])
    assert (found.outcome, found.found) == (Outcome.WARNING, "cannot be looked at: AccessDenied: not yours")
    assert found.remedy


def test_everything_wrong_in_the_settings_is_told_and_the_catalog_waits() -> None:
    wrong = subject(**{"shared-endpoint:varient": "{}", "shared-endpoint:logRetentionDays": "2"})
    settings, catalog = run(project.steps(wrong))
    assert settings.outcome is Outcome.FAILED
    assert "varient" in settings.found
    assert "logRetentionDays" in settings.found
    assert catalog.outcome is Outcome.SKIPPED


def test_a_model_that_is_wrong_is_told_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text("models:\n  - name: iris\n    owner: team\n    path: absent\n")
    _, catalog = run(project.steps(subject(tmp_path, **{"shared-endpoint:catalog": "catalog.yaml"})))
    assert catalog.outcome is Outcome.FAILED
    assert "catalog.yaml" in catalog.found


def test_the_projects_own_stack_and_catalog_are_good() -> None:
    assert set(outcomes(run(project.steps(subject()))).values()) == {Outcome.OK}


def test_a_python_that_is_too_old_is_told() -> None:
    assert versions.python(">=3.11").outcome is Outcome.OK
    found = versions.python(">=3.99")
    assert (found.outcome, ">=3.99" in found.found) == (Outcome.FAILED, True)


def test_packages_are_compared_with_what_was_asked_for_and_every_wrong_one_is_named() -> None:
    wanted = ["pulumi>=3", "pydantic>=99", "no-such-package>=1", "no-such-extra; extra == 'local'"]
    found = versions.packages(wanted, ("",))
    assert found.outcome is Outcome.FAILED
    assert found.found.splitlines() == [
        f"pydantic is {metadata.version('pydantic')}, and >=99 is needed",
        "no-such-package>=1 is not installed",
    ]
    assert "no-such-extra" in versions.packages(wanted, ("local",)).found
    assert versions.packages(["pulumi>=3"], ("",)).outcome is Outcome.OK


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that is all there is in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def command_that(folder: Path, name: str, body: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_a_missing_pulumi_command_fails_and_says_where_to_get_it(commands: Path) -> None:
    found = versions.pulumi()
    assert (found.outcome, "https://www.pulumi.com" in found.remedy) == (Outcome.FAILED, True)


@pytest.mark.parametrize(
    ("said", "outcome"), [("v3.260.0", Outcome.OK), ("v3.1.0", Outcome.WARNING), ("hello", Outcome.WARNING)]
)
def test_a_pulumi_command_older_than_what_was_tried_is_a_warning(commands: Path, said: str, outcome: Outcome) -> None:
    command_that(commands, "pulumi", f"echo {said}")
    assert versions.pulumi().outcome is outcome


def test_the_plugin_must_be_of_the_packages_own_version(commands: Path) -> None:
    version = metadata.version("pulumi-aws")
    command_that(commands, "pulumi", f"""echo '[{{"name": "aws", "kind": "resource", "version": "{version}"}}]'""")
    assert versions.plugin("pulumi-aws").outcome is Outcome.OK
    other = versions.plugin("pulumi-gcp")
    assert (other.outcome, "pulumi plugin install resource gcp" in other.remedy) == (Outcome.WARNING, True)


def test_uv_is_needed_where_the_project_asks_for_it(commands: Path, tmp_path: Path) -> None:
    assert versions.uv(ROOT).outcome is Outcome.FAILED
    command_that(commands, "uv", "true")
    assert versions.uv(ROOT).outcome is Outcome.OK
    (tmp_path / "Pulumi.yaml").write_text("name: x\nruntime: python\n")
    assert versions.uv(tmp_path).outcome is Outcome.OK


def test_an_environment_that_says_another_region_is_a_warning() -> None:
    def look(variables: dict[str, str]) -> Finding | None:
        return environment.differing("aws:region", "eu-west-1", ("AWS_REGION", "AWS_DEFAULT_REGION"), variables)

    assert look({}) is None
    assert look({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": ""}) is None
    found = look({"AWS_DEFAULT_REGION": "us-east-1"})
    assert found is not None
    assert (found.outcome, "AWS_DEFAULT_REGION=us-east-1" in found.found) == (Outcome.WARNING, True)


def test_orphans_that_cost_come_first_and_alone_are_a_failure() -> None:
    model, endpoint = Orphan("model", "a", False, "rm a"), Orphan("endpoint", "z", True, "rm z")
    found = orphans.finding([model, endpoint], "everything")
    assert found.outcome is Outcome.FAILED
    assert found.found.splitlines()[1:] == ["endpoint z costs by the hour", "model a"]
    assert found.remedy.splitlines()[1:] == ["rm z", "rm a"]
    assert orphans.finding([model], "everything").outcome is Outcome.WARNING
    assert orphans.finding([], "everything").outcome is Outcome.OK
    many = orphans.finding([Orphan("model", str(each), False, "rm") for each in range(30)], "everything")
    assert many.found.endswith("and 10 more")


DEPLOYMENT: dict[str, Any] = {
    "resources": [{"urn": "u", "type": "t:endpoint", "id": "one"}, {"urn": "v", "type": "t:component"}],
    "pending_operations": [{"type": "creating", "resource": {"urn": "w", "type": "t:endpoint", "id": "two"}}],
}


def test_the_state_tells_also_what_is_being_created(commands: Path, tmp_path: Path) -> None:
    command_that(commands, "pulumi", f'while read -r line; do echo "$line"; done < {tmp_path}/export.json')
    (tmp_path / "export.json").write_text(json.dumps({"version": 3, "deployment": DEPLOYMENT}) + "\n")
    assert state.ids(state.exported(ROOT, "aws"), ("t:endpoint",)) == {"one", "two"}
    assert state.resources(None) == []


def test_a_stack_that_is_not_there_yet_holds_nothing_and_any_other_refusal_is_told(commands: Path) -> None:
    command_that(commands, "pulumi", "echo \"error: no stack named 'aws' found\" >&2; exit 6")
    assert state.exported(ROOT, "aws") == ()
    command_that(commands, "pulumi", "echo 'error: PULUMI_ACCESS_TOKEN must be set' >&2; exit 3")
    with pytest.raises(CohostError, match="PULUMI_ACCESS_TOKEN must be set"):
        state.exported(ROOT, "aws")


def test_a_person_reads_what_was_found_and_below_it_what_to_do() -> None:
    checks = (
        Check("quota", Outcome.FAILED, "is 0\nand none is left", "ask for more"),
        Check("image", *_parts(skipped("needs quota"))),
    )
    assert command.text(checks).splitlines() == [
        "failed   quota  is 0",
        "                and none is left",
        "                -> ask for more",
        "skipped  image  needs quota",
        "1 failed, 1 skipped",
    ]


def _parts(found: Finding) -> tuple[Outcome, str, str]:
    return found.outcome, found.found, found.remedy
