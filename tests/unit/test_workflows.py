"""The workflows: pinned, least permissions, no text of others in a shell, and every command they run exists."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cohost.cli.main import parser
from tests.documents import ROOT, rows

FOLDER = ROOT / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
ACTIONS = sorted((FOLDER / "actions").glob("*/action.yml"))
PINNED = re.compile(r"(?P<name>[\w.-]+/[\w./-]+)@(?P<commit>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)")
# All that may be written with a workflow's token, and where.
WRITES = {
    ("preview", "cloud", "id-token"),
    ("preview", "comment", "pull-requests"),
    ("deploy", "deploy", "id-token"),
    ("deploy", "ephemeral", "id-token"),
    ("drift", "look", "id-token"),
    ("drift", "report", "issues"),
    ("teardown", "destroy", "id-token"),
}
NEEDS_PULUMI = pytest.mark.skipif(not shutil.which("pulumi"), reason="there is no `pulumi` command in PATH")


def load(file: Path) -> dict[Any, Any]:
    return yaml.safe_load(file.read_text())


def triggers(workflow: dict[Any, Any]) -> dict[str, Any]:
    """What starts a workflow; YAML 1.1 reads the key `on` as true."""
    found = workflow[True]
    return found if isinstance(found, dict) else dict.fromkeys([found] if isinstance(found, str) else found)


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file in WORKFLOWS:
        for name, job in load(file)["jobs"].items():
            yield file.stem, name, job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow, name, job in jobs():
        yield from ((f"{workflow}/{name}", step) for step in job["steps"])
    for file in ACTIONS:
        yield from ((file.parent.name, step) for step in load(file)["runs"]["steps"])


def commands() -> list[str]:
    """Every line that a step gives to a shell."""
    return [line.strip() for _, step in steps() for line in step.get("run", "").splitlines() if line.strip()]


def words(command: str, program: str) -> list[list[str]]:
    """The arguments of each call of a program in a line, variables replaced by what they can hold."""
    line = command.replace("$STACKS", '["aws"]').replace("$STACK", "aws").replace("$ENGINE", "embedded")
    line = line.replace("$NUMBER", "7").replace("$BEFORE", "HEAD^1").replace('"["aws"]"', "'[\"aws\"]'")
    parts = re.split(r"\s(?:\|\||&&|>)\s", line)
    return [shlex.split(part)[1:] for part in parts if part.startswith(program)]


def test_the_five_workflows_are_there() -> None:
    assert [file.stem for file in WORKFLOWS] == ["checks", "deploy", "drift", "preview", "teardown"]
    assert len(commands()) > 20


def test_every_action_is_pinned_by_its_commit_the_same_everywhere() -> None:
    used = [
        line.strip().removeprefix("- ") for file in (*WORKFLOWS, *ACTIONS) for line in file.read_text().splitlines()
    ]
    foreign = [line for line in used if line.startswith("uses:") and not line.startswith("uses: ./.github/actions/")]
    assert len(foreign) > 15
    pins: dict[str, set[tuple[str, str]]] = {}
    for line in foreign:
        match = PINNED.fullmatch(line.removeprefix("uses: "))
        assert match, line
        pins.setdefault(match["name"], set()).add((match["commit"], match["version"]))
    assert {name: len(found) for name, found in pins.items()} == dict.fromkeys(pins, 1)


def test_an_own_action_that_is_used_exists_and_knows_what_it_is_given() -> None:
    own = [step for _, step in steps() if step.get("uses", "").startswith("./")]
    assert {step["uses"] for step in own} == {f"./{file.parent.relative_to(ROOT)}" for file in ACTIONS}
    for step in own:
        assert step.get("with", {}).keys() <= load(ROOT / step["uses"] / "action.yml")["inputs"].keys()


def test_nothing_may_be_done_that_a_job_does_not_ask_for() -> None:
    for file in WORKFLOWS:
        assert load(file)["permissions"] == {}, file.name
    found = set()
    for workflow, name, job in jobs():
        assert set(job["permissions"].values()) <= {"read", "write"}
        found |= {(workflow, name, what) for what, how in job["permissions"].items() if how == "write"}
        assert job["permissions"].get("contents") == "read"
    assert found == WRITES


def test_a_job_signs_in_to_a_cloud_exactly_where_it_may_ask_for_a_token() -> None:
    for workflow, name, job in jobs():
        signs_in = any(step.get("uses") == "./.github/actions/sign-in" for step in job["steps"])
        assert signs_in == ((workflow, name, "id-token") in WRITES), f"{workflow}/{name}"


def test_code_of_a_pull_request_never_runs_where_something_can_be_written() -> None:
    started = {name for file in WORKFLOWS for name in triggers(load(file))}
    assert started == {"pull_request", "push", "schedule", "workflow_dispatch"}
    base = "${{ github.event.pull_request.base.sha }}"
    for workflow, name, job in jobs():
        writes = [what for where, of, what in WRITES if (where, of) == (workflow, name) and what != "id-token"]
        if "pull_request" in triggers(load(FOLDER / f"workflows/{workflow}.yml")) and writes:
            assert job["steps"][0]["with"]["ref"] == base, f"{workflow}/{name}"


def test_a_role_that_writes_needs_an_approval_and_a_preview_gets_the_one_that_reads() -> None:
    for workflow, name, job in jobs():
        given = [step["with"] for step in job["steps"] if step.get("uses") == "./.github/actions/sign-in"]
        if given:
            kind = "DEPLOY" if job.get("environment") else "PREVIEW"
            (roles,) = given
            assert roles["aws-role"] == f"${{{{ vars.AWS_{kind}_ROLE }}}}", f"{workflow}/{name}"
            assert roles["gcp-account"] == f"${{{{ vars.GCP_{kind}_ACCOUNT }}}}", f"{workflow}/{name}"


def test_no_expression_stands_in_a_shell_command() -> None:
    for where, step in steps():
        assert "${{" not in step.get("run", ""), where


def test_no_credentials_stay_in_a_checkout() -> None:
    for where, step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, where


def test_every_job_ends_and_every_workflow_queues() -> None:
    for workflow, name, job in jobs():
        assert 0 < job["timeout-minutes"] <= 120, f"{workflow}/{name}"
        assert job["runs-on"] == "ubuntu-24.04"
    for file in WORKFLOWS:
        of_jobs = [job for workflow, _, job in jobs() if workflow == file.stem and "concurrency" in job]
        assert "concurrency" in load(file) or of_jobs, file.name
    unbroken = [load(FOLDER / "workflows/teardown.yml"), *(job for w, _, job in jobs() if w == "deploy")]
    assert not any(item.get("concurrency", {}).get("cancel-in-progress") for item in unbroken)


def test_every_cohost_command_is_one_of_the_command_line() -> None:
    calls = [call for command in commands() for call in words(command, ".venv/bin/cohost")]
    assert len(calls) > 5
    for call in calls:
        assert parser().parse_args(call).handler, call


def test_every_script_is_there_and_takes_its_arguments() -> None:
    calls = [call for command in commands() for call in words(command, ".venv/bin/python -m scripts.ci.")]
    modules = {call[1] for call in calls}
    own = {f"scripts.ci.{file.stem}" for file in (ROOT / "scripts/ci").glob("*.py")}
    assert own - modules == {"scripts.ci.__init__", "scripts.ci.github", "scripts.ci.pulumi"}
    for _, module, *rest in calls:
        assert importlib.import_module(module).parser().parse_args(rest), module


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    calls = [call for command in commands() for call in words(command, "make ")]
    asked = {word for call in calls for word in call if "=" not in word}
    assert {"lint", "types", "unit"} <= asked <= targets


@NEEDS_PULUMI
def test_every_flag_of_pulumi_is_one_of_the_command() -> None:
    calls = [call for command in commands() for call in words(command, "pulumi ")]
    assert calls
    for verb, *rest in calls:
        help_text = subprocess.run(["pulumi", verb, "--help"], capture_output=True, text=True, check=True).stdout
        for flag in (word for word in rest if word.startswith("--")):
            assert re.search(rf"{flag}\b", help_text), f"pulumi {verb} {flag}"


def test_the_page_lists_the_variables_that_the_workflows_read() -> None:
    used = {name for file in WORKFLOWS for name in re.findall(r"\bvars\.([A-Z_]+)", file.read_text())}
    listed = {row[0].strip("`") for row in rows(ROOT / "docs/pull-requests.md")}
    assert used <= listed
    assert {name for name in listed if name.isupper() and "_" in name} == used


def test_the_pulumi_command_has_one_version_everywhere() -> None:
    version = (ROOT / ".pulumi.version").read_text().strip()
    assert re.fullmatch(r"3\.\d+\.\d+", version)
    installing = [step for _, step in steps() if step.get("uses", "").startswith("pulumi/actions@")]
    assert [step["with"] for step in installing] == [{"pulumi-version-file": ".pulumi.version"}]
