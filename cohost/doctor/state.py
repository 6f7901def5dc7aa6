"""What a stack's state holds, by `pulumi stack export`, which reads and changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cohost.doctor.subject import Resource
from cohost.errors import CohostError

_SECONDS: Final = 60


def exported(root: Path, stack: str) -> Sequence[Resource]:
    """Returns the resources of a real stack's state, pending ones included; none when there is no such stack yet.

    Args:
        root: The folder of Pulumi.yaml.
        stack: The stack's name.

    Raises:
        CohostError: There is no `pulumi` command, or it does not answer.
    """
    if not shutil.which("pulumi"):
        raise CohostError("the `pulumi` command is not in PATH, and the state is read by it")
    asked = ["pulumi", "stack", "export", "--stack", stack, "--cwd", str(root), "--non-interactive"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise CohostError(f"`pulumi stack export` has not answered for {_SECONDS} seconds") from None
    if done.returncode:
        # pulumi/pulumi, pkg/backend: "no stack named '…' found".
        if "no stack named" in done.stderr:
            return ()
        raise CohostError(f"pulumi stack export: {done.stderr.strip().removeprefix('error: ')}")
    return resources(json.loads(done.stdout)["deployment"])


def resources(deployment: Mapping[str, Any] | None) -> Sequence[Resource]:
    """Returns the resources of a deployment of Pulumi's (version 3), those that are being created included."""
    found = deployment or {}
    pending = [each["resource"] for each in found.get("pending_operations") or ()]
    return [*(found.get("resources") or ()), *pending]


def ids(of: Sequence[Resource], types: Collection[str]) -> frozenset[str]:
    """Returns the ids of the resources of some types."""
    return frozenset(each["id"] for each in of if each["type"] in types and each.get("id"))
