"""States as releases have left them: how they are recorded, and how a project is put back into one.

`python -m tests.local.recorded_release [--engine pulumi]` records those of this checkout: both stacks, brought up on
the emulators with a catalog of two models. A file holds what a user of that release has: the stack's settings, the
catalog, by artifact so that no later change of a model folder is in it, and the resources of the state.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from cohost.engine.crypto import Crypter
from cohost.engine.values import SECRET_SIGNATURE, SIGNATURE
from cohost.local import session
from tests.local.project import CHECKOUT, Project, scratch_project

FOLDER = CHECKOUT / "tests" / "data" / "upgrade"
MODELS = ("digits", "iris")
_PASSPHRASE = "recorded"
# Where in which file of which Python a resource was declared; no engine compares it.
_OF_THE_MACHINE = ("sourcePosition", "stackTrace")


@dataclass(frozen=True)
class Recorded:
    """A stack as a release has left it."""

    file: Path
    content: dict[str, Any]

    @property
    def stack(self) -> str:
        return self.content["stack"]

    def put_into(self, project: Project) -> None:
        """Gives a project this stack's settings, catalog and state, to be gone on with by the embedded engine."""
        (project.root / f"Pulumi.{self.stack}.yaml").write_text(yaml.safe_dump(self.content["settings"]))
        (project.root / "model_artifacts" / "catalog.yaml").write_text(yaml.safe_dump(self.content["catalog"]))
        folder = session.folder(project.root, self.stack)
        folder.mkdir(parents=True)
        (folder / "engine").write_text(session.Engine.EMBEDDED)
        (folder / "passphrase").write_text(_PASSPHRASE)
        crypter = Crypter(_PASSPHRASE)
        secrets = {"type": "passphrase", "state": {"salt": crypter.describe()}}
        resources = _closed(self.content["resources"], crypter)
        deployment = {"secrets_providers": secrets, "resources": resources, "pending_operations": []}
        (folder / "state.json").write_text(json.dumps({"version": 3, "deployment": deployment}))


def every() -> list[Recorded]:
    """All recorded states, by file."""
    return [Recorded(file, json.loads(file.read_text())) for file in sorted(FOLDER.glob("*.json"))]


def record(project: Project, stack: str, engine: session.Engine) -> dict[str, Any]:
    """Brings a stack up and returns what is kept of it."""
    project.operate("up", "--engine", engine, stack=stack)
    served = project.cohost("local", "models", stack, "--json").json()
    catalog = yaml.safe_load((project.root / "model_artifacts" / "catalog.yaml").read_text())
    digests = {entry["model"]: entry["artifact"] for entry in served}
    models = [{**_without_folder(entry), "artifact": digests[entry["name"]]} for entry in catalog["models"]]
    read = _exported if engine is session.Engine.PULUMI else _kept
    resources = [
        {key: value for key, value in each.items() if key not in _OF_THE_MACHINE}
        for each in read(session.folder(project.root, stack), stack)
    ]
    text = json.dumps(resources)
    # What is of this machine would be wrong on any other.
    for own in (str(project.root), str(CHECKOUT), "127.0.0.1"):
        assert own not in text, own
    return {
        "release": metadata.version("cohost"),
        "recorded": date.today().isoformat(),
        "engine": str(engine),
        "stack": stack,
        "settings": yaml.safe_load((project.root / f"Pulumi.{stack}.yaml").read_text()),
        "catalog": {"models": models},
        "resources": resources,
    }


def _kept(folder: Path, _stack: str) -> Any:
    """The resources in the embedded engine's state."""
    deployment = json.loads((folder / "state.json").read_text())["deployment"]
    salt = deployment["secrets_providers"]["state"]["salt"]
    return _opened(deployment["resources"], Crypter.open((folder / "passphrase").read_text(), salt))


def _exported(folder: Path, stack: str) -> Any:
    """The resources in the state of the `pulumi` command."""
    environment = {
        **os.environ,
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": (folder / "passphrase").read_text(),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    export = ["pulumi", "stack", "export", "--show-secrets", "--stack", stack, "--cwd", str(folder / "settings")]
    done = subprocess.run(export, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["deployment"]["resources"]


def _opened(value: Any, crypter: Crypter) -> Any:
    """Secrets as `pulumi stack export --show-secrets` writes them; those of these stacks are labels."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return {SIGNATURE: SECRET_SIGNATURE, "plaintext": json.dumps(crypter.decrypt(value["ciphertext"]))}
        return {key: _opened(item, crypter) for key, item in value.items()}
    return [_opened(item, crypter) for item in value] if isinstance(value, list) else value


def _closed(value: Any, crypter: Crypter) -> Any:
    """The opposite of `_opened`."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return {SIGNATURE: SECRET_SIGNATURE, "ciphertext": crypter.encrypt(json.loads(value["plaintext"]))}
        return {key: _closed(item, crypter) for key, item in value.items()}
    return [_closed(item, crypter) for item in value] if isinstance(value, list) else value


def _without_folder(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "path"}


def main() -> None:
    """Records both stacks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", type=session.Engine, default=session.Engine.EMBEDDED)
    engine = parser.parse_args().engine
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        project = scratch_project(Path(scratch) / "project", models=MODELS)
        try:
            for stack in ("aws", "gcp"):
                content = record(project, stack, engine)
                file = FOLDER / f"{content['release']}-{stack}-{engine}.json"
                file.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
        finally:
            project.cohost("local", "stop")


if __name__ == "__main__":
    main()
