"""A deployed stack as the serving commands see it: its outputs, and an environment that reaches it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cohost.errors import CohostError
from cohost.local import stack_config
from cohost.local.stack_config import StackConfig

if TYPE_CHECKING:
    from cohost.local.session import LocalStack


@dataclass(frozen=True)
class Deployed:
    """A deployed stack.

    Attributes:
        root: The project's folder.
        config: The stack's configuration; its values are empty where the stack has no file here.
        outputs: Its outputs.
        local: Whether it is on the emulators.
    """

    root: Path
    config: StackConfig
    outputs: Mapping[str, Any]
    local: bool

    @property
    def region(self) -> str:
        """The region its store is in."""
        return self.outputs["region"]

    @property
    def catalog(self) -> Path:
        """The catalog's file."""
        named = self.config.values.get(f"{self.config.project}:catalog", "model_artifacts/catalog.yaml")
        return self.root / named


def connect(arguments: argparse.Namespace) -> Deployed:
    """Reads a stack's outputs; from then on this process's AWS clients reach what it is deployed to.

    Raises:
        InputError: There is no such stack.
        CohostError: It is not deployed, or `pulumi` does not answer.
    """
    root = stack_config.find_root(arguments.root)
    config = stack_config.load(root, arguments.stack)
    outputs = _on_emulators(root, arguments.stack) if arguments.local else _real_outputs(root, arguments.stack)
    missing = [name for name in ("platform", "region", "endpoint", "store") if name not in outputs]
    if missing:
        raise CohostError(f"stack {arguments.stack} is not deployed: it has no output {', '.join(missing)}")
    return Deployed(root=root, config=config, outputs=outputs, local=arguments.local)


def reach_emulators(stack: LocalStack) -> None:
    """From now on this process's cloud clients reach the stack's emulators, started if need be, and nothing else."""
    from cohost.local import emulators, session

    variables = emulators.isolated(os.environ) | session.environment(stack)
    os.environ.clear()
    os.environ.update(variables)


def _on_emulators(root: Path, name: str) -> Mapping[str, Any]:
    from cohost.local import session

    stack = session.open_stack(root, name)
    outputs, _ = session.outputs(stack)
    reach_emulators(stack)
    return outputs


def _real_outputs(root: Path, name: str) -> Mapping[str, Any]:
    command = shutil.which("pulumi")
    if not command:
        raise CohostError(
            "the `pulumi` command is not in PATH (https://www.pulumi.com/docs/install/); "
            "for the stack on this machine's emulators: `cohost local …`"
        )
    asked = [command, "stack", "output", "--json", "--stack", name, "--cwd", str(root), "--non-interactive"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CohostError(f"pulumi stack output: {done.stderr.strip().removeprefix('error: ')}")
    return json.loads(done.stdout)
