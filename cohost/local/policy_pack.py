"""A policy pack on this machine, as the real engine reads it: PulumiPolicy.yaml, and the file with its settings.

Sources: pulumi/pulumi 3.260, sdk/python/cmd/pulumi-language-python/main.go (RunPlugin, parseOptions) and
pkg/resource/analyzer/config.go (the file with the settings).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from cohost.engine import Launch, PolicyPack
from cohost.engine.policy_config import LEVEL, LEVELS
from cohost.errors import InputError, Problem

PACK_FILE: Final = "PulumiPolicy.yaml"


def read(folder: Path, config: Path | None, environment: Mapping[str, str]) -> PolicyPack:
    """Returns the pack in a folder and what a file sets it to.

    Args:
        folder: Where PulumiPolicy.yaml lies.
        config: A JSON file: of each policy its level, or an object with `enforcementLevel` and properties.
        environment: The whole environment of the pack's process.

    Raises:
        InputError: There is no such pack, it cannot be started here, or the file is none of that kind.
    """
    problems: list[Problem] = []
    python = folder.resolve()
    settings: Mapping[str, Mapping[str, Any]] = {}
    try:
        python = _interpreter(folder)
    except InputError as error:
        problems += error.problems
    try:
        settings = _settings(config) if config else {}
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    launch = Launch(command=(str(python), "-u", "-m", "pulumi.policy"), cwd=folder.resolve(), env=environment)
    return PolicyPack(folder=folder.resolve(), launch=launch, config_file=config, config=settings)


def _interpreter(folder: Path) -> Path:
    """Finds the pack's own Python: pulumi-policy pins libraries that the project itself needs newer."""
    file = folder / PACK_FILE
    if not file.is_file():
        raise InputError([Problem(str(folder), "", f"holds no {PACK_FILE}; name the folder of a policy pack")])
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError([Problem(str(file), "", f"cannot be read: {' '.join(str(error).split())}")]) from None
    runtime = content.get("runtime") if isinstance(content, Mapping) else None
    if not isinstance(runtime, Mapping):
        runtime = {"name": runtime}
    if runtime.get("name") != "python":
        raise InputError([Problem(str(file), "runtime.name", f"is {runtime.get('name')!r}; a local pack is python")])
    virtualenv = (runtime.get("options") or {}).get("virtualenv")
    if not isinstance(virtualenv, str):
        raise InputError([Problem(str(file), "runtime.options.virtualenv", "is missing; name the pack's environment")])
    python = folder.resolve() / virtualenv / "bin" / "python"
    if not python.exists():
        message = f"{python.parent.parent} is no environment; make it (that of policies/: `make policies-install`)"
        raise InputError([Problem(str(file), "runtime.options.virtualenv", message)])
    return python


def _settings(file: Path) -> dict[str, Mapping[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text) if text.strip() else {}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError([Problem(str(file), "", f"cannot be read as JSON: {error}")]) from None
    if not isinstance(content, dict):
        raise InputError([Problem(str(file), "", "is no JSON object of settings by policy")])
    problems = list(_faults(str(file), content))
    if problems:
        raise InputError(problems)
    return {name: {LEVEL: value} if isinstance(value, str) else value for name, value in content.items()}


def _faults(file: str, content: Mapping[str, Any]) -> Iterator[Problem]:
    known = ", ".join(LEVELS)
    for name, value in content.items():
        level = value.get(LEVEL, "advisory") if isinstance(value, dict) else value
        if not isinstance(value, dict | str):
            yield Problem(file, name, f"is {value!r}; give a level ({known}) or an object of properties")
        elif level not in LEVELS:
            key = f"{name}.{LEVEL}" if isinstance(value, dict) else name
            yield Problem(file, key, f"is {level!r}; the levels are {known}")
