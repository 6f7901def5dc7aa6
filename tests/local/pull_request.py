"""The pull request that docs/examples/pull-request-comment.md shows: it adds a model, changes one, and asks for
larger machines, on both clouds.

`python -m tests.local.pull_request example` writes that page, from previews on the local emulators.
`python -m tests.local.pull_request record` records in tests/unit/previews what the real `pulumi` (the command in PATH)
prints of it, without what `cohost report pr` does not read: the digest of `preview --json`, its stream of events, that
of a refresh that finds an alarm gone; and what `cohost local preview --json` answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import yaml

from cohost.engine import Operation
from cohost.local import pulumi_command, session
from tests.local.project import CHECKOUT, Project, change_model, scratch_project

STACKS = ("aws", "gcp")
RECORDED = CHECKOUT / "tests/unit/previews"
EXAMPLE = CHECKOUT / "docs/examples/pull-request-comment.md"
POLICIES = CHECKOUT / "policies"
_KEPT = ("digits", "iris")
_ADDED = "wine"
_STATE = ("inputs",)
_STEP = ("op", "urn", "oldState", "newState", "diffReasons", "detailedDiff")
_METADATA = ("op", "urn", "type", "old", "new", "diffs", "detailedDiff")


def base(into: Path) -> Project:
    """The project as it is on the main branch, with two models."""
    project = scratch_project(into, models=(*_KEPT, _ADDED))
    project.edit(
        "model_artifacts/catalog.yaml",
        lambda content: {"models": [entry for entry in content["models"] if entry["name"] != _ADDED]},
    )
    return project


def open_pull_request(project: Project) -> None:
    """Makes the change."""
    catalog = _entries()
    project.edit("model_artifacts/catalog.yaml", lambda content: {"models": [*content["models"], catalog[_ADDED]]})
    change_model(project, "iris")
    for stack, key, field, machine in (
        ("aws", "variant", "instanceType", "ml.g5.2xlarge"),
        ("gcp", "machine", "type", "g2-standard-12"),
    ):
        config = f"shared-endpoint:{key}"
        project.edit(
            f"Pulumi.{stack}.yaml",
            lambda content, config=config, field=field, machine=machine: {
                **content,
                "config": {**content["config"], config: {**content["config"][config], field: machine}},
            },
        )


def _entries() -> dict[str, Any]:
    """The entries of the checkout's catalog by name."""
    entries = yaml.safe_load((CHECKOUT / "model_artifacts/catalog.yaml").read_text())["models"]
    return {entry["name"]: entry for entry in entries}


def rendered(into: Path) -> str:
    """The comment on the pull request, from previews on the local emulators."""
    project = base(into)
    try:
        for stack in STACKS:
            project.operate("up", "--policy-pack", str(POLICIES), stack=stack)
        open_pull_request(project)
        arguments: list[str] = []
        for stack in STACKS:
            preview = project.cohost("local", "preview", stack, "--policy-pack", str(POLICIES), "--json")
            (into / f"{stack}.json").write_text(preview.out)
            arguments += ["--preview", f"{stack}={stack}.json"]
        done = project.cohost("report", "pr", *arguments)
        assert done.code == 0, done.err
        return done.out
    finally:
        project.cohost("local", "stop")


def real_output(project: Project, stack: str, *arguments: str, stream: bool) -> str:
    """What a `pulumi` command that changes nothing prints of a local stack that the real engine made."""
    variable = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": str(stream).lower()}
    environment = pulumi_command._environment
    with (
        patch.dict(pulumi_command._VERB, {Operation.PREVIEW: (*arguments, "--skip-plugin-pre-install", "--json")}),
        patch.object(pulumi_command, "_environment", lambda of: environment(of) | variable),
    ):
        opened = session.open_stack(project.root, stack)
        session.run(opened, Operation.PREVIEW, on_event=lambda event: None)
    return (opened.folder / "pulumi.log").read_text()


def delete_an_alarm(project: Project) -> None:
    """Changes the emulated account behind the program's back."""
    with patch.dict(os.environ, project.cloud("aws")):
        watch: Any = boto3.client("cloudwatch")
        watch.delete_alarms(AlarmNames=[watch.describe_alarms()["MetricAlarms"][0]["AlarmName"]])


def trimmed_digest(text: str) -> str:
    digest = json.loads(text)
    steps = [{key: _brief(step[key]) for key in _STEP if key in step} for step in digest["steps"]]
    return json.dumps({**digest, "steps": steps}, indent=1) + "\n"


def trimmed_stream(text: str) -> str:
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return "".join(f"{json.dumps(kept)}\n" for event in events if (kept := _brief_event(event)))


def _brief_event(event: dict[str, Any]) -> dict[str, Any] | None:
    if "resourcePreEvent" in event or event.get("diagnosticEvent", {}).get("severity") == "debug":
        return None
    outputs = event.get("resOutputsEvent")
    if outputs is None:
        return event
    metadata = {key: _brief(outputs["metadata"][key]) for key in _METADATA if key in outputs["metadata"]}
    return {**event, "resOutputsEvent": {**outputs, "metadata": metadata}}


def _brief(value: Any) -> Any:
    """A state's inputs alone; anything else as it is."""
    return {key: value[key] for key in _STATE} if isinstance(value, dict) and "inputs" in value else value


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="previews-") as temporary:
        folder = Path(temporary) / "project"
        if sys.argv[1:] == ["example"]:
            EXAMPLE.parent.mkdir(exist_ok=True)
            EXAMPLE.write_text(rendered(folder))
        elif sys.argv[1:] == ["record"]:
            _record(folder)
        else:
            sys.exit(__doc__)


def _record(folder: Path) -> None:
    project = base(folder)
    try:
        for name, text in _recordings(project):
            RECORDED.mkdir(exist_ok=True)
            (RECORDED / f"{name}.json").write_text(text.replace(str(project.root), "/project"))
    finally:
        project.cohost("local", "stop")
    version = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"recorded in {RECORDED.relative_to(CHECKOUT)}, with pulumi {version}")


def _recordings(project: Project) -> Iterator[tuple[str, str]]:
    for stack in STACKS:
        project.operate("up", "--engine", "pulumi", stack=stack)
    open_pull_request(project)
    preview = ("preview", "--show-sames")
    for stack in STACKS:
        yield f"digest-{stack}", trimmed_digest(real_output(project, stack, *preview, stream=False))
        yield f"stream-{stack}", trimmed_stream(real_output(project, stack, *preview, stream=True))
        yield f"answer-{stack}", project.cohost("local", "preview", stack, "--json").out
    delete_an_alarm(project)
    refresh = ("refresh", "--preview-only", "--expect-no-changes")
    yield "drift-aws", trimmed_stream(real_output(project, "aws", *refresh, stream=True))


if __name__ == "__main__":
    sys.exit(main())
