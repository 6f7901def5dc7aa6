"""The catalog: the one list of models, `model_artifacts/catalog.yaml`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cohost import catalog_yaml
from cohost.errors import InputError, Problem
from cohost.folder import shown
from cohost.manifest import is_digest
from cohost.modelconfig import Signature, TensorSpec, signature
from cohost.release import CANARY
from cohost.words import did_you_mean, shortened

__all__ = [
    "Catalog",
    "CatalogModel",
    "Signature",
    "TensorSpec",
    "label_fault",
    "load",
    "name_fault",
    "parse",
    "signature",
]

# What fits all of: a Vertex AI model id (at most 63 of [a-z0-9_-], the first a letter; reference of
# projects.locations.models.upload), a Google label value, a SageMaker TargetModel and a Triton folder.
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_LABEL_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_KEYS: Final = ("name", "path", "artifact", "owner", "tags")
# As much of a name as is tried to be put right.
_TRIED: Final = 100
# Google allows 64 labels; some are the deployment's own.
_MAX_TAGS: Final = 32
# Looking for a folder of nearly the same name takes time for each that is missing.
_MAX_HINTS: Final = 20


@dataclass(frozen=True)
class CatalogModel:
    """One entry of the catalog.

    Attributes:
        name: What callers ask for.
        owner: The team that answers for it; valid as a Google label value.
        tags: Free labels, valid as Google labels.
        path: Its folder (absolute), or None where `artifact` is given.
        artifact: Digest of what `cohost push` has stored, or None where `path` is given.
    """

    name: str
    owner: str
    tags: Mapping[str, str]
    path: Path | None
    artifact: str | None


@dataclass(frozen=True)
class Catalog:
    """The whole catalog.

    Attributes:
        path: The file (absolute).
        models: Sorted by name.
    """

    path: Path
    models: tuple[CatalogModel, ...]


def load(path: Path) -> Catalog:
    """Reads the catalog: its structure, names, duplicates, and that the folders exist.

    Raises:
        InputError: With every problem found.
    """
    return parse(catalog_yaml.read(path), path)


def parse(data: bytes, path: Path, *, may_be_empty: bool = False) -> Catalog:
    """Reads the catalog from its text; as `load`.

    Args:
        data: The file's bytes.
        path: Where it stands, and so what the folders' paths are relative to.
        may_be_empty: Whether a catalog without a model is good.

    Raises:
        InputError: With every problem found.
    """
    path = path.absolute()
    reader = _Reader(path, may_be_empty=may_be_empty)
    models = reader.models(catalog_yaml.parse(data, shown(path)))
    if reader.problems:
        raise InputError(reader.problems)
    return Catalog(path, tuple(sorted(models, key=lambda model: model.name)))


def name_fault(name: str) -> str | None:
    """Why SageMaker, Vertex AI, Triton or we would refuse a model of this name; None when none would."""
    if name == CANARY:
        return f"\"{CANARY}\" is the name of cohost's own model, which stands beside the catalog's: choose another"
    if _NAME.fullmatch(name):
        return None
    right = re.sub(r"[^a-z0-9_-]+", "-", name[:_TRIED].lower()).lstrip("0123456789-_")[:63].rstrip("-")
    hint = f': did you mean "{right}"?' if right else ""
    return f"{shortened(name)} must be 1 to 63 of a-z, 0-9, - and _, the first a letter{hint}"


def label_fault(value: object) -> str | None:
    """Why Google would refuse this as a label's value (Google Cloud, "Requirements for labels"); None if not."""
    if not isinstance(value, str):
        return "must be a text"
    if _LABEL.fullmatch(value):
        return None
    right = re.sub(r"[^a-z0-9_-]+", "-", value[:_TRIED].lower())[:63].strip("-")
    hint = f': did you mean "{right}"?' if right else ""
    return f"{shortened(value)} must be 1 to 63 of a-z, 0-9, - and _, as a Google label is{hint}"


class _Reader:
    """Turns the parsed document into models and collects what is wrong with it."""

    def __init__(self, path: Path, *, may_be_empty: bool) -> None:
        self.problems: list[Problem] = []
        self._folder = path.parent
        self._file = shown(path)
        self._may_be_empty = may_be_empty
        self._first: dict[str, int] = {}
        self._hints = 0

    def models(self, document: object) -> list[CatalogModel]:
        entries = document.get("models") if isinstance(document, dict) else None
        if self._may_be_empty and (document is None or entries == ""):
            return []
        if not isinstance(document, dict) or not isinstance(entries, list):
            self._problem("models", 'must be a list: "models:" and below it "- name: …"')
            return []
        for key in document.keys() - {"models"}:
            self._problem(key, "is not a key of the catalog; its only one is models")
        if not entries and not self._may_be_empty:
            self._problem("models", "lists no model: `cohost add FILE.onnx --name NAME` adds one")
        models = [self._model(f"models[{index}]", index, entry) for index, entry in enumerate(entries)]
        return [model for model in models if model is not None]

    def _model(self, key: str, index: int, entry: object) -> CatalogModel | None:
        if not isinstance(entry, dict):
            self._problem(key, "must be a mapping with name, owner and path or artifact")
            return None
        for other in entry.keys() - set(_KEYS):
            self._problem(f"{key}.{other}", "is not a key of a model" + did_you_mean(other, _KEYS))
        name = self._text(key, entry, "name")
        if name is not None:
            self._check_name(f"{key}.name", name, index)
        owner = self._text(key, entry, "owner")
        fault = label_fault(owner) if owner is not None else None
        if fault:
            self._problem(f"{key}.owner", fault)
        tags = self._tags(f"{key}.tags", entry.get("tags", {}))
        path, artifact = self._source(key, entry)
        if name is None or owner is None:
            return None
        return CatalogModel(name, owner, tags, path, artifact)

    def _text(self, key: str, entry: Mapping[str, object], field: str) -> str | None:
        value = entry.get(field)
        if isinstance(value, str) and value:
            return value
        self._problem(f"{key}.{field}", "must be a text" if field in entry else "is missing")
        return None

    def _check_name(self, key: str, name: str, index: int) -> None:
        fault = name_fault(name)
        if fault:
            self._problem(key, fault)
        first = self._first.setdefault(name, index)
        if first != index:
            self._problem(key, f'"{name}" is already the name of models[{first}]')

    def _tags(self, key: str, tags: object) -> dict[str, str]:
        if not isinstance(tags, dict):
            self._problem(key, "must be a mapping such as {framework: scikit-learn}")
            return {}
        if len(tags) > _MAX_TAGS:
            self._problem(key, f"has {len(tags)} tags; at most {_MAX_TAGS} fit beside the deployment's own labels")
        for tag, value in tags.items():
            if not _LABEL_KEY.fullmatch(tag):
                self._problem(
                    f"{key}.{tag}", f"{shortened(tag)} must be 1 to 63 of a-z, 0-9, - and _, the first a letter"
                )
            fault = label_fault(value) if value != "" else None
            if fault:
                self._problem(f"{key}.{tag}", fault)
        return tags

    def _source(self, key: str, entry: Mapping[str, object]) -> tuple[Path | None, str | None]:
        if ("path" in entry) == ("artifact" in entry):
            self._problem(key, "must have either path (a folder) or artifact (a digest that was pushed)")
            return None, None
        if "artifact" in entry:
            return None, self._artifact(key, entry)
        text = self._text(key, entry, "path")
        if text is None:
            return None, None
        folder = os.path.normpath(os.path.join(self._folder, text))  # noqa: PTH118
        if not os.path.isdir(folder):  # noqa: PTH112
            self._problem(f"{key}.path", self._no_folder(text, folder))
        return Path(folder), None

    def _artifact(self, key: str, entry: Mapping[str, object]) -> str | None:
        text = self._text(key, entry, "artifact")
        if text is not None and not is_digest(text):
            self._problem(f"{key}.artifact", "must be the 64 hex digits that `cohost push` printed")
        return text

    def _no_folder(self, text: str, folder: str) -> str:
        if os.path.exists(folder):  # noqa: PTH110
            return f"{shortened(text)} is a file; a model is a folder with a config.pbtxt"
        self._hints += 1
        hint = did_you_mean(Path(folder).name, _folders_beside(folder)) if self._hints <= _MAX_HINTS else ""
        return f"there is no folder {shortened(text)}{hint}"

    def _problem(self, key: str, message: str) -> None:
        self.problems.append(Problem(self._file, key, message))


def _folders_beside(folder: str) -> list[str]:
    try:
        return [path.name for path in Path(folder).parent.iterdir() if path.is_dir()]
    except (OSError, ValueError):
        return []
