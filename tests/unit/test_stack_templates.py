from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from cohost.errors import InputError
from scripts.stacks.models import BOXES, STACKS, Box
from scripts.stacks.pages import FOLDER, ROOT, made
from tests.documents import broken_links


def data(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / FOLDER / f"{name}.yaml").read_text())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout that has the data, and everything it links to as far as that is there."""
    for name in ("sources", *STACKS):
        (tmp_path / FOLDER).mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / FOLDER / f"{name}.yaml", tmp_path / FOLDER)
    for name in STACKS:
        for box in data(name)["boxes"].values():
            for path in box["here"].get("links", {}).values():
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).touch()
    return tmp_path


def problems(root: Path) -> list[str]:
    with pytest.raises(InputError) as raised:
        made(root)
    return [f"{problem.file}: {problem.key}" for problem in raised.value.problems]


def change(root: Path, name: str, edit: Any) -> None:
    document = data(name)
    edit(document)
    (root / FOLDER / f"{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def test_the_committed_pages_are_those_of_the_data() -> None:
    for name, text in made().items():
        assert (ROOT / FOLDER / name).read_text() == text, f"{name}: python -m scripts.stacks"


@pytest.mark.parametrize("name", STACKS)
def test_a_page_has_every_box_of_the_canvas_with_every_field_and_a_drawing(name: str) -> None:
    page = (ROOT / FOLDER / f"{name}.md").read_text()
    parts = page.split("\n## ")
    assert [part.partition("\n")[0] for part in parts[1:]] == [*BOXES.values(), "Sources"]
    assert len(BOXES) == 11
    fields = ("Component", "Why", "Alternative", "In this repository", "What remains to do", "Cost driver")
    for part in parts[1:-1]:
        for field in (*fields, "Lock-in and exit"):
            assert f"\n| {field} | " in part, field
    assert "```mermaid\nflowchart" in page
    assert "**What was tried.**" in page


@pytest.mark.parametrize("name", STACKS)
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    assert broken_links(ROOT / FOLDER / f"{name}.md") == []


@pytest.mark.parametrize("name", STACKS)
def test_every_bracket_of_a_drawing_is_closed(name: str) -> None:
    """Mermaid draws nothing at all where one is open."""
    lines = data(name)["diagram"].splitlines()
    for opening, closing in ("[]", "()", "{}"):
        assert [line for line in lines if line.count(opening) != line.count(closing)] == []
    words = [line.split()[0] for line in lines]
    assert words.count("subgraph") == words.count("end")


def test_every_source_is_used() -> None:
    listed = {source["id"] for source in data("sources")["sources"]}
    used = {name for stack in STACKS for box in data(stack)["boxes"].values() for name in box.get("sources", [])}
    assert listed == used


def test_a_box_or_a_field_that_is_missing_is_named(copy: Path) -> None:
    change(copy, "vertex", lambda document: document["boxes"].pop("metadata"))
    change(copy, "sagemaker", lambda document: document["boxes"]["serving"].pop("why"))
    assert problems(copy) == ["docs/stacks/sagemaker.yaml: boxes.serving.why", "docs/stacks/vertex.yaml: "]


@pytest.mark.parametrize("field", [name for name, info in Box.model_fields.items() if info.is_required()])
def test_no_field_of_a_box_may_be_empty(copy: Path, field: str) -> None:
    change(copy, "vertex", lambda document: document["boxes"]["serving"].update({field: ""}))
    assert problems(copy) == [f"docs/stacks/vertex.yaml: boxes.serving.{field}"]


def test_a_link_that_leads_nowhere_and_a_source_that_is_not_listed_are_named_together(copy: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["boxes"]["serving"]["here"]["links"]["nowhere"] = "components/nowhere.py"
        document["boxes"]["serving"]["sources"] = ["hearsay"]

    change(copy, "sagemaker", edit)
    assert problems(copy) == [
        "docs/stacks/sagemaker.yaml: boxes.serving.here.links.nowhere",
        "docs/stacks/sagemaker.yaml: boxes.serving.sources",
    ]


def test_what_is_provisioned_must_be_shown(copy: Path) -> None:
    change(copy, "sagemaker", lambda document: document["boxes"]["serving"]["here"].pop("links"))
    assert problems(copy) == ["docs/stacks/sagemaker.yaml: boxes.serving.here"]
