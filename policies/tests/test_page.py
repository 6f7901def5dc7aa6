"""The table of rules in docs/policies.md, made from the code.

`PYTHONPATH=.. .venv/bin/python -m tests.test_page` in this folder writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rules import ALL
from rules.rule import Rule

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "policies.md"
BEGIN: Final = "<!-- rules: made by policies/tests/test_page.py -->\n"
END: Final = "<!-- end of rules -->\n"
_CLOUDS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws": ("AWS",),
    "gcp": ("GCP",),
    "cohost:sagemaker": ("AWS",),
    "cohost:vertex": ("GCP",),
    "cohost:index": ("AWS", "GCP"),
}


def table() -> str:
    """Returns the table as it should be."""
    lines = ["| rule | cloud | level | what must be, and what to do when it is not | settings | where from |"]
    lines += ["|---|---|---|---|---|---|", *(_row(rule) for rule in ALL)]
    return "\n".join(lines) + "\n"


def _row(rule: Rule) -> str:
    settings = "<br>".join(_setting(name, schema) for name, schema in rule.settings.items())
    what = "<br>".join(_prose(text) for text in (rule.description, rule.remedy) if text)
    cells = [f"`{rule.name}`", ", ".join(_clouds(rule)), rule.level, what, settings or "–", _prose(rule.source)]
    return f"| {' | '.join(cells)} |"


def _prose(text: str) -> str:
    return text.replace("*", "\\*")


def _setting(name: str, schema: Mapping[str, Any]) -> str:
    return f"`{name}` = `{json.dumps(schema['default'])}`: {schema['description']}"


def _clouds(rule: Rule) -> list[str]:
    found = {cloud for pattern in rule.checks for cloud in _of(pattern)}
    return sorted(found or rule.clouds)


def _of(pattern: str) -> tuple[str, ...]:
    return next(clouds for prefix, clouds in _CLOUDS.items() if pattern.startswith(f"{prefix}:"))


def _split() -> tuple[str, str, str]:
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    found, end, after = rest.partition(END)
    assert begin, PAGE
    assert end, PAGE
    return before + begin, found, end + after


def test_the_page_lists_the_rules_as_they_are() -> None:
    assert _split()[1] == table(), "run `PYTHONPATH=.. .venv/bin/python -m tests.test_page` in policies/"


if __name__ == "__main__":
    head, _, tail = _split()
    PAGE.write_text(head + table() + tail, encoding="utf-8")
