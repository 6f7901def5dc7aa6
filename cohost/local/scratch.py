"""A copy of a project that can be changed at will: what demonstrations and tests run on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

# `uv.lock` without pyproject.toml: the real engine reads what the program needs there, and installs nothing.
_FILES: Final = ("Pulumi.yaml", "Pulumi.aws.yaml", "Pulumi.gcp.yaml", "__main__.py", "uv.lock")
_FOLDERS: Final = ("stacks", "components", "provider", "model_artifacts")


def copy(checkout: Path, into: Path) -> Path:
    """Copies what makes the project, without its local state; the environment is shared.

    Args:
        checkout: The project's folder.
        into: The copy's folder; made when missing, its own local state is kept.

    Returns:
        The copy's folder.
    """
    into.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        if (checkout / name).exists():
            shutil.copy2(checkout / name, into / name)
    for name in _FOLDERS:
        shutil.rmtree(into / name, ignore_errors=True)
        shutil.copytree(checkout / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = into / ".venv"
    if not environment.exists():
        environment.symlink_to((checkout / ".venv").resolve())
    return into
