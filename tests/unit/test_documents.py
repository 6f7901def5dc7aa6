from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT, blocks, relative_links

# The only reasons a shown command may go without being run.
REASONS = {"it is what the tests of this page are part of", "needs an account"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    broken = [link for link in relative_links(document) if not (document.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_command_goes_unrun_only_for_a_stated_reason(document: Path) -> None:
    assert {block.not_run for block in blocks(document) if block.not_run} <= REASONS


def test_the_readme_shows_commands_and_the_reader_of_blocks_finds_them() -> None:
    shown = [command for block in blocks(ROOT / "README.md") for command in block.commands]
    assert "make test     # lint, types and every test" in shown
    assert any(command.startswith("uv run cohost local up") for command in shown)


def test_the_readme_shows_what_the_demo_prints() -> None:
    assert "@@" not in (ROOT / "README.md").read_text()
