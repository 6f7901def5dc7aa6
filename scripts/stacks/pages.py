"""Reads the stack templates, checks what a schema cannot, and writes their pages as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cohost.errors import InputError, Problem
from scripts.comparison.models import Source, Sources
from scripts.stacks.models import BOXES, STACKS, Box, Share, Stack

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = "docs/stacks"
COMMAND: Final = "python -m scripts.stacks"
_NOTE: Final = f"<!-- {COMMAND} makes this page of the data beside it. -->"
_SHARES: Final = {
    Share.WHOLE: "provisioned here",
    Share.PART: "partly provisioned here",
    Share.OPTIONAL: "optional here, off by default",
    Share.NOTHING: "not provisioned here",
}
_Model = TypeVar("_Model", bound=BaseModel)


def made(root: Path = ROOT) -> dict[str, str]:
    """Returns every file that is made of the data, by its path below docs/stacks.

    Raises:
        InputError: With everything wrong in the data.
    """
    problems: list[Problem] = []
    sources = _read(root, "sources.yaml", Sources, problems)
    stacks = {name: _read(root, f"{name}.yaml", Stack, problems) for name in STACKS}
    known = {source.id: source for source in sources.sources} if sources else {}
    for name, stack in stacks.items():
        if stack and sources:
            problems += _wrong(root, name, stack, known)
    if problems:
        raise InputError(problems)
    whole = {name: stack for name, stack in stacks.items() if stack}
    return {
        "index.md": _index(whole),
        **{f"{name}.md": _page(stack, known) for name, stack in whole.items()},
        "schemas/stack.schema.json": json.dumps(Stack.model_json_schema(), indent=2) + "\n",
    }


def _read(root: Path, file: str, model: type[_Model], problems: list[Problem]) -> _Model | None:
    shown = f"{FOLDER}/{file}"
    try:
        return model.model_validate(yaml.safe_load((root / shown).read_text(encoding="utf-8")))
    except OSError as error:
        problems.append(Problem(shown, "", f"cannot be read: {error.strerror}"))
    except yaml.YAMLError as error:
        problems.append(Problem(shown, "", f"is not YAML: {' '.join(str(error).split())}"))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problems.append(Problem(shown, ".".join(map(str, detail["loc"])), detail["msg"]))
    return None


def _wrong(root: Path, name: str, stack: Stack, known: Mapping[str, Source]) -> Iterator[Problem]:
    file = f"{FOLDER}/{name}.yaml"
    for key, box in stack.boxes.items():
        for source in box.sources:
            if source not in known:
                yield Problem(file, f"boxes.{key}.sources", f'"{source}" is not in {FOLDER}/sources.yaml')
        for title, path in box.here.links.items():
            if not (root / path.partition("#")[0]).exists():
                yield Problem(file, f"boxes.{key}.here.links.{title}", f"there is no {path}; a path from the root is")


def _page(stack: Stack, known: Mapping[str, Source]) -> str:
    parts = [
        _NOTE,
        f"# {stack.title}",
        stack.about,
        f"**What was tried.** {stack.tried}",
        f"```mermaid\n{stack.diagram.strip()}\n```",
        *(_box(BOXES[key], box) for key, box in stack.boxes.items()),
        "## Sources",
        _sources(stack, known),
    ]
    return "\n\n".join(parts) + "\n"


def _box(title: str, box: Box) -> str:
    links = ", ".join(f"[{name}](../../{path})" for name, path in box.here.links.items())
    rows = {
        "Component": box.component,
        "Why": box.why,
        "Alternative": box.alternative,
        "In this repository": f"**{_SHARES[box.here.share]}.** {box.here.text}" + (f" {links}." if links else ""),
        "What remains to do": box.remains,
        "Cost driver": box.cost,
        "Lock-in and exit": box.lock_in,
        "Sources": ", ".join(f"[{source}](#sources)" for source in box.sources),
    }
    cells = "\n".join(f"| {name} | {_cell(text)} |" for name, text in rows.items() if text)
    return f"## {title}\n\n| | |\n|---|---|\n{cells}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _sources(stack: Stack, known: Mapping[str, Source]) -> str:
    used = sorted({source for box in stack.boxes.values() for source in box.sources})
    return "\n".join(_source(known[name]) for name in used)


def _source(source: Source) -> str:
    where = source.address if "://" in source.address else f"../../{source.address}"
    read = f" ({source.read})" if source.read else ""
    return f"- {source.id}: [{source.title}]({where}), read {source.retrieved}{read}."


def _index(stacks: Mapping[str, Stack]) -> str:
    titles = [f"[{stack.title}]({name}.md)" for name, stack in stacks.items()]
    head = f"| box | {' | '.join(titles)} |\n|---|{'---|' * len(titles)}"
    rows = [
        f"| {title} | " + " | ".join(_cell(_short(stack.boxes[key])) for stack in stacks.values()) + " |"
        for key, title in BOXES.items()
    ]
    return "\n\n".join(
        [
            _NOTE,
            "# Stack templates",
            "Three ways to fill the eleven boxes of the MLOps Stack Canvas "
            "([ml-ops.org](https://ml-ops.org/content/mlops-stack-canvas)) around one shared GPU endpoint. This "
            "repository provisions serving whole on the two clouds, and of the other boxes what fits a page; each "
            "page says what remains. [The training pipeline](pipeline.md) is the same three steps on all of them. "
            "Which to take is the matter of the [comparison](../comparison/index.md).",
            head + "\n" + "\n".join(rows),
        ]
    ) + "\n"  # fmt: skip


def _short(box: Box) -> str:
    return f"{box.component} ({_SHARES[box.here.share]})"
