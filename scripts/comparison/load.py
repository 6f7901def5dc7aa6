"""Reads the data of the comparison; everything wrong with its form is reported at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from cohost import catalog_yaml
from cohost.errors import InputError, Problem
from scripts.comparison.models import Conclusions, Figure, Figures, Source, Sources, Theme

ROOT: Final = Path(__file__).resolve().parents[2]
DATA: Final = ROOT / "docs" / "comparison"
# The themes, in the order of the page.
THEMES: Final = ("cost", "speed", "delivery", "operation", "security", "limits", "ownership")
# The pages: the fixed text of each stands in `templates/`.
TEMPLATES: Final = ("index", "conclusions", "sources")
_SCHEMAS: Final[dict[str, type[BaseModel]]] = {
    "theme": Theme,
    "sources": Sources,
    "figures": Figures,
    "conclusions": Conclusions,
}

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Comparison:
    """All of the data.

    Attributes:
        themes: The tables.
        sources: Where statements are from, in the order of the file.
        figures: The numbers that texts name, by their names.
        conclusions: What follows.
        templates: The fixed text of each page, by its name.
    """

    themes: tuple[Theme, ...]
    sources: tuple[Source, ...]
    figures: dict[str, Figure]
    conclusions: Conclusions
    templates: dict[str, str]


def load(folder: Path = DATA) -> Comparison:
    """Reads the data.

    Args:
        folder: Where the YAML files are.

    Raises:
        InputError: A file is missing or not of its form; every problem with file and key.
    """
    problems: list[Problem] = []
    themes = [_read(folder / f"{theme}.yaml", Theme, problems) for theme in THEMES]
    sources = _read(folder / "sources.yaml", Sources, problems)
    figures = _read(folder / "figures.yaml", Figures, problems)
    conclusions = _read(folder / "conclusions.yaml", Conclusions, problems)
    if problems or sources is None or figures is None or conclusions is None:
        raise InputError(problems)
    by_name = {figure.name: figure for figure in figures.figures}
    if len(by_name) != len(figures.figures) or len({s.id for s in sources.sources}) != len(sources.sources):
        raise InputError([Problem("docs/comparison", "", "two sources or two figures have the same name")])
    fixed = {name: (Path(__file__).parent / "templates" / f"{name}.md").read_text("utf-8") for name in TEMPLATES}
    return Comparison(tuple(theme for theme in themes if theme), sources.sources, by_name, conclusions, fixed)


def schemas() -> dict[str, str]:
    """Returns the JSON schemas of the files, by file name."""
    return {
        f"{name}.schema.json": json.dumps(model.model_json_schema(), indent=2) + "\n"
        for name, model in _SCHEMAS.items()
    }


def _read(path: Path, model: type[_Model], problems: list[Problem]) -> _Model | None:
    try:
        return model.model_validate(catalog_yaml.parse(path.read_bytes(), path.name))
    except FileNotFoundError:
        problems.append(Problem(path.name, "", "does not exist"))
    except InputError as error:
        problems += error.problems
    except ValidationError as error:
        problems += [Problem(path.name, _key(fault["loc"]), fault["msg"]) for fault in error.errors()]
    return None


def _key(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
