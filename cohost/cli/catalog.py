"""`cohost validate` and `cohost add`: the catalog on this machine, no cloud asked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from cohost.cli.answer import Answer
from cohost.errors import InputError

DEFAULT_CATALOG: Final = Path("model_artifacts/catalog.yaml")


def validate(arguments: argparse.Namespace) -> Answer:
    """Checks the catalog and every model in it, and reports everything that is wrong at once."""
    from cohost import catalog, validation

    loaded = catalog.load(_file(arguments))
    problems = validation.validate(loaded, max_bytes=_smallest_disk(arguments.root, loaded.path))
    if problems:
        raise InputError(problems)
    document = {"catalog": str(loaded.path), "models": [model.name for model in loaded.models]}
    return Answer(document=document, text=f"{len(loaded.models)} models are good")


def add(arguments: argparse.Namespace) -> Answer:
    """Makes a model folder from an ONNX file and lists it in the catalog."""
    from cohost.add import add as add_model
    from cohost.folder import SMOKE, shown

    catalog = _file(arguments)
    added = add_model(arguments.file, name=arguments.name, owner=arguments.owner, catalog=catalog)
    document = {"model": arguments.name, "path": str(added.folder), "catalog": str(catalog)}
    batching = "batches requests" if added.batched else "does not batch requests"
    text = f"{shown(added.folder)} is in {shown(catalog)}; it {batching}, and its {SMOKE} expects what it answers now"
    if added.note:
        text += f"\nnote: {added.note}"
    return Answer(document=document, text=text)


def _file(arguments: argparse.Namespace) -> Path:
    """Returns the catalog's file: as given, or the one of the project found from here upwards."""
    from cohost.local.stack_config import find_root

    return arguments.catalog.absolute() if arguments.catalog else find_root(arguments.root) / DEFAULT_CATALOG


def _smallest_disk(start: Path, catalog: Path) -> int | None:
    """Returns the largest model that fits on every stack that serves this catalog; None when no stack does."""
    from cohost import settings
    from cohost.local import stack_config

    try:
        root = stack_config.find_root(start)
    except InputError:
        return None
    largest: list[int] = []
    for file in root.glob("Pulumi.*.yaml"):
        stack = file.name.removeprefix("Pulumi.").removesuffix(".yaml")
        try:
            found = settings.parse(stack_config.load(root, stack).values, stack=stack)
        except InputError:
            continue  # a stack's own faults are reported when it is deployed
        most = settings.max_model_bytes(found)
        if most is not None and (root / found.catalog).resolve() == catalog.resolve():
            largest.append(most)
    return min(largest, default=None)
