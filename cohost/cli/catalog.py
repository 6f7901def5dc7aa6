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
    from cohost import catalog

    loaded = catalog.load(_file(arguments))
    problems = catalog.validate(loaded)
    if problems:
        raise InputError(problems)
    document = {"catalog": str(loaded.path), "models": [model.name for model in loaded.models]}
    return Answer(document=document, text=f"{len(loaded.models)} models are good")


def _file(arguments: argparse.Namespace) -> Path:
    """Returns the catalog's file: as given, or the one of the project found from here upwards."""
    from cohost.local.stack_config import find_root

    return arguments.catalog.resolve() if arguments.catalog else find_root(arguments.root) / DEFAULT_CATALOG
