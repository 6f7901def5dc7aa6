"""The page that shows the comment is what the previews of that pull request give."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local.pull_request import EXAMPLE, POLICIES, rendered

NEEDS_PACK = pytest.mark.skipif(not (POLICIES / ".venv").exists(), reason="the policy pack has no environment yet")
COMMAND = "python -m tests.local.pull_request example"


@NEEDS_PACK
def test_the_page_shows_the_comment_on_a_pull_request_that_adds_changes_and_enlarges(tmp_path: Path) -> None:
    text = rendered(tmp_path / "project")
    for words in ("| added | `wine` |", "| changed | `iris` |", "→ `1 x ml.g5.2xlarge`", "`1 x g2-standard-12"):
        assert words in text
    assert text == EXAMPLE.read_text(), f"the comment is another; if that is meant: {COMMAND}"
