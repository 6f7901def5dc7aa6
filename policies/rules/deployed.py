"""What is deployed now. A policy is not told, so the stack's state is read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cohost.tokens import DEPLOYED_STATE

_SECONDS: Final = 60


def deployed(urn: str) -> list[Mapping[str, Any]] | None:
    """Returns the resources in the state of a stack, as `cohost.cost.of_resources` takes them.

    Reading a state takes no lock, and secrets stay encrypted in it.

    Args:
        urn: Of any resource of the stack.

    Returns:
        The resources; none where the stack is not deployed; None where the state cannot be read.
    """
    try:
        file = os.environ.get(DEPLOYED_STATE)
        state = _kept(Path(file)) if file else _exported(urn)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    resources = (state.get("deployment") or {}).get("resources") or []
    return [
        {"type": found["type"], "name": found["urn"].rpartition("::")[2], "props": found.get("inputs", {})}
        for found in resources
        # What waits for its deletion is no longer a part of the stack.
        if not found.get("delete")
    ]


def _kept(file: Path) -> Mapping[str, Any]:
    """The state in the file of the embedded engine, which has the same form."""
    return json.loads(file.read_bytes()) if file.exists() else {}


def _exported(urn: str) -> Mapping[str, Any]:
    """The state as the command tells it that runs the preview: with its backend, and what it is logged in to."""
    stack, _, rest = urn.removeprefix("urn:pulumi:").partition("::")
    project = rest.partition("::")[0]
    command = shutil.which("pulumi")
    if command is None:
        raise FileNotFoundError("pulumi")
    # Backends without organizations take this name for theirs.
    organization = os.environ.get("PULUMI_ORGANIZATION") or "organization"
    arguments = ["stack", "export", "--stack", f"{organization}/{project}/{stack}", "--non-interactive"]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=True)
    return json.loads(done.stdout)
