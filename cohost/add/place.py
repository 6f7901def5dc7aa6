"""Puts a new model beside a catalog and lists it there: whole, or not at all."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cohost import catalog_yaml
from cohost.add.entry import with_entry
from cohost.add.model import Contents, NewModel, from_onnx
from cohost.catalog import CatalogModel, label_fault, name_fault, parse
from cohost.errors import CohostError, InputError, Problem
from cohost.folder import CONFIG, scan, shown
from cohost.folder_lock import held
from cohost.model_check import ModelCheck

_ASIDE: Final = ".adding"


@dataclass(frozen=True)
class Added:
    """A model that now stands in the catalog.

    Attributes:
        folder: Its folder.
        batched: Whether Triton batches its requests.
        note: What its author should know; may be empty.
    """

    folder: Path
    batched: bool
    note: str


def add(file: Path, *, name: str, owner: str, catalog: Path) -> Added:
    """Makes a model folder from an ONNX file and lists it in the catalog.

    A kill in the middle leaves the catalog as it was: the folder is written aside and renamed, and the catalog is
    replaced last. Run again, this finishes what it had begun.

    Args:
        file: The ONNX file.
        name: What callers will ask for.
        owner: The team that answers for it.
        catalog: The catalog's file; one is made where there is none. The folder is put beside it.

    Raises:
        InputError: With everything wrong; nothing was written.
        CohostError: ONNX Runtime is not installed, or the disk refuses.
    """
    folder = catalog.absolute().parent / name
    problems = list(_name_problems(name, owner))
    new = None
    try:
        new = from_onnx(file, name)
    except InputError as error:
        problems += error.problems
    if not name_fault(name) and os.path.lexists(folder) and not (new and _holds(folder, new.contents)):
        problems.append(Problem(shown(folder), "", "exists already: choose another name, or remove it"))
    try:
        _listed(catalog, name, owner)
    except InputError as error:
        problems += error.problems
    if problems or new is None:
        raise InputError(problems)
    try:
        with held(folder.parent):
            _write(new, folder, catalog, owner)
    except OSError as error:
        raise CohostError(f"cannot write {error.filename or shown(folder)}: {error.strerror}") from error
    return Added(folder, new.batched, new.note)


def _name_problems(name: str, owner: str) -> Iterator[Problem]:
    for key, fault in (("--name", name_fault(name)), ("--owner", label_fault(owner))):
        if fault:
            yield Problem("", key, fault)


def _listed(catalog: Path, name: str, owner: str) -> str:
    """The catalog's text with the new entry.

    Raises:
        InputError: There is no place for it, or the name is taken.
    """
    if not catalog.exists() and catalog.parent.is_dir():
        data = b""
    else:
        data = catalog_yaml.read(catalog)
    models = parse(data, catalog, may_be_empty=True).models
    problems = [Problem("", "--name", fault) for model in models if (fault := _taken(name, model))]
    if problems:
        raise InputError(problems)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError([Problem(shown(catalog), "", "must be UTF-8, so that an entry can be added")]) from error
    return with_entry(text, {"name": name, "path": name, "owner": owner}, shown(catalog))


def _taken(name: str, model: CatalogModel) -> str | None:
    if model.name == name:
        return f'"{name}" is already in the catalog'
    # One Triton may serve the whole catalog, so the steps of an ensemble count too.
    if model.path and (model.path / name / CONFIG).is_file() and not (model.path / CONFIG).is_file():
        return f'"{name}" is already the name of a step of "{model.name}"'
    return None


def _holds(folder: Path, contents: Contents) -> bool:
    """Whether a folder holds exactly this: then a killed run has put it there."""
    found = scan(folder)
    if found.faults or {file.path for file in found.files} != contents.keys():
        return False
    return all(
        (folder / path).read_bytes() == what
        if isinstance(what, bytes)
        else filecmp.cmp(folder / path, what, shallow=False)
        for path, what in contents.items()
    )


def _write(new: NewModel, folder: Path, catalog: Path, owner: str) -> None:
    # Read again now that nobody else adds to it.
    text = _listed(catalog, folder.name, owner)
    for left in folder.parent.glob(f".*{_ASIDE}"):
        shutil.rmtree(left, ignore_errors=True)
    if not folder.exists():
        aside = folder.with_name(f".{folder.name}{_ASIDE}")
        try:
            _fill(aside, new.contents)
            _check(aside, folder.name)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    _replace(catalog, text)


def _fill(folder: Path, contents: Contents) -> None:
    for path, what in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, bytes):
            target.write_bytes(what)
        else:
            shutil.copyfile(what, target)


def _check(aside: Path, name: str) -> None:
    """Holds the folder to the rules of `cohost validate` before anybody sees it."""
    check = ModelCheck(scan(aside), name)
    check.run()
    if check.problems:
        raise InputError(Problem(Path(item.file).name, item.key, item.message) for item in check.problems)


def _replace(catalog: Path, text: str) -> None:
    target = catalog.resolve()
    aside = target.with_name(f".{target.name}{_ASIDE}")
    aside.write_text(text, encoding="utf-8", newline="")
    if target.exists():
        shutil.copymode(target, aside)
    aside.replace(target)
