"""The first step: trains a model of the catalog, and keeps rows for the second.

Writes `<out>/<model>/`, a folder in Triton's layout, and the held-out rows.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from cohost.errors import InputError, Problem
from cohost.words import did_you_mean
from scripts.pipeline import held_out
from scripts.pipeline.command import ending
from scripts.train import folder
from scripts.train.__main__ import TRAINERS
from scripts.train.__main__ import train as trained


def train(model: str, out: Path, rows: Path) -> Path:
    """Trains a model and returns its folder.

    Args:
        model: Its name in the catalog.
        out: Where the folder goes; one that is there from before is replaced.
        rows: The folder for the held-out rows.

    Raises:
        InputError: Nobody has written how to train a model of that name.
    """
    if model not in TRAINERS:
        message = f"{model!r} is not one that scripts/train trains{did_you_mean(model, list(TRAINERS))}"
        raise InputError([Problem("", "--model", message)])
    made = trained(model)
    shutil.rmtree(out / model, ignore_errors=True)
    folder.write(made, out / model)
    held_out.write(made, rows)
    print(f"{model}: trained, {len(made.truth)} rows held out")
    return out / model


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's name in the catalog")
    parser.add_argument("--out", type=Path, required=True, help="where the model's folder goes")
    parser.add_argument("--held-out", type=Path, required=True, help="where the rows for the evaluation go")
    given = parser.parse_args()
    return ending(lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    train(given.model, given.out, given.held_out)


if __name__ == "__main__":
    sys.exit(main())
