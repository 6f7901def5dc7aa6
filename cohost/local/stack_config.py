"""What Pulumi.yaml and Pulumi.<stack>.yaml say of a stack, as the real engine hands it on.

Every value is a string: numbers and booleans as JSON writes them, lists and maps as JSON
(https://www.pulumi.com/docs/iac/concepts/config/, "Structured configuration").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from cohost.errors import InputError, Problem

PROJECT_FILE: Final = "Pulumi.yaml"
_STACK_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
# Folders of .cohost/ that are no stack's.
_RESERVED: Final = frozenset({"emulators", "cache", "demo"})


@dataclass(frozen=True)
class StackConfig:
    """The configuration of one stack.

    Attributes:
        project: The project's name.
        stack: The stack's name.
        values: Every value by its full key ("aws:region").
        secret_keys: The keys whose values are secret.
    """

    project: str
    stack: str
    values: Mapping[str, str]
    secret_keys: frozenset[str]

    @property
    def platform(self) -> str:
        """The cloud this stack is for; empty when the configuration does not say."""
        return self.values.get(f"{self.project}:platform", "")


def find_root(start: Path) -> Path:
    """Returns the nearest folder at or above `start` that holds a Pulumi.yaml.

    Raises:
        InputError: There is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise InputError([Problem(str(start), "", f"no {PROJECT_FILE} here or above; name the project's folder with -C")])


def stack_file(root: Path, stack: str) -> Path:
    """Returns the file that holds a stack's own settings."""
    return root / f"Pulumi.{stack}.yaml"


def load(root: Path, stack: str) -> StackConfig:
    """Reads a stack's configuration, defaults of the project included.

    Raises:
        InputError: A file is missing or malformed, or a value is encrypted.
    """
    if not _STACK_NAME.fullmatch(stack) or stack in _RESERVED:
        raise InputError([Problem("", "STACK", f"{stack!r} cannot name a stack; letters, digits, - _ . can")])
    if not stack_file(root, stack).is_file():
        known = ", ".join(sorted(file.name.split(".")[1] for file in root.glob("Pulumi.*.yaml"))) or "none"
        raise InputError([Problem(stack_file(root, stack).name, "", f"not found; stacks of this project: {known}")])
    project_text = _mapping(root / PROJECT_FILE)
    project = str(project_text.get("name", ""))
    entries = [
        *_project_entries(project, project_text),
        *_stack_entries(project, _mapping(stack_file(root, stack))),
    ]
    file = stack_file(root, stack).name
    problems = [_encrypted(file, key) for key, value, _ in entries if _holds_ciphertext(value)]
    if problems:
        raise InputError(problems)
    return StackConfig(
        project=project,
        stack=stack,
        values={key: _as_text(value) for key, value, _ in entries},
        secret_keys=frozenset(key for key, _, secret in entries if secret),
    )


def _project_entries(project: str, content: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """Yields what Pulumi.yaml gives every stack: defaults of declared keys, and plain values."""
    for key, declared in (content.get("config") or {}).items():
        if not isinstance(declared, Mapping):
            yield _full(project, key), declared, False
            continue
        for field in ("value", "default"):
            if field in declared:
                yield _full(project, key), declared[field], bool(declared.get("secret"))


def _stack_entries(project: str, content: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    for key, value in (content.get("config") or {}).items():
        yield _full(project, key), value, False


def _full(project: str, key: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), sort_keys=True)


def _holds_ciphertext(value: Any) -> bool:
    if isinstance(value, Mapping):
        return set(value) == {"secure"} or any(_holds_ciphertext(item) for item in value.values())
    return isinstance(value, list) and any(_holds_ciphertext(item) for item in value)


def _encrypted(file: str, key: str) -> Problem:
    return Problem(file, key, "is encrypted for the real stack; a local stack needs a stack file with a plain value")


def _mapping(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError([Problem(file.name, "", f"cannot be read: {' '.join(str(error).split())}")]) from None
    if not isinstance(content, Mapping) or not isinstance(content.get("config") or {}, Mapping):
        raise InputError([Problem(file.name, "", "is not a map of settings with a map `config`")])
    return content
