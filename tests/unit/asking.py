"""The `cohost` command asked in this process, as a test of one of its commands needs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cohost.cli.main import main

Ask = Callable[..., tuple[int, str, str]]


def asking(command: str, project: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Gives what runs the command with arguments: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([command, *arguments, "-C", str(project)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def document(ask: Ask, schema: Mapping[str, Any], *arguments: str) -> Any:
    """The answer to `--json`, which keeps its schema, when nothing was wrong."""
    code, out, err = ask(*arguments, "--json")
    assert (code, err) == (0, "")
    answer = json.loads(out)
    jsonschema.validate(answer, schema, format_checker=jsonschema.FormatChecker())
    return answer
