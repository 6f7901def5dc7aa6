"""The second step, the gate: measures the model's files on rows that it has never seen, and fails below the floor.

What is measured are the ONNX files that will be served, not the estimator they came from.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

import onnx

from cohost import modelconfig
from cohost.errors import CohostError, InputError, Problem
from scripts.pipeline import held_out
from scripts.pipeline.command import ending
from scripts.train.folder import Step, measure, run

REPORT: Final = "report.json"


class NotGoodEnough(CohostError):
    """The model stays below the floor; nothing after this step may run."""


def evaluate(model: Path, rows: Path, floor: float, out: Path) -> float:
    """Measures a model, writes the report either way, and returns the metric's value.

    Args:
        model: The folder that holds the model's folder.
        rows: The folder of the held-out rows.
        floor: The least value that passes.
        out: The folder for the report.

    Raises:
        InputError: The files are not what the first step writes.
        NotGoodEnough: The value is below the floor.
    """
    known = held_out.read(rows)
    folder = model / known.model
    if not folder.is_dir():
        raise InputError([Problem(str(folder), "", "is not there; `scripts.pipeline.train` writes it")])
    value = measure(known.metric, run(_steps(folder), known.inputs)[known.answer], known.truth)
    passed = value >= floor
    document = {
        "model": known.model,
        "metric": known.metric,
        "value": round(value, 4),
        "floor": floor,
        "rows": len(known.truth),
        "passed": passed,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / REPORT).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8", newline="\n")
    if not passed:
        raise NotGoodEnough(f"{known.model}: {known.metric} is {value:.4f}, below the floor of {floor}; not pushed")
    print(f"{known.model}: {known.metric} is {value:.4f}, at least {floor}")
    return value


def _steps(folder: Path) -> list[Step]:
    """The ONNX models in the order in which the configuration calls them."""
    served = modelconfig.served_folder(folder)
    config = modelconfig.read(served)
    if config.platform != modelconfig.ENSEMBLE:
        return [_step(served)]
    return [_step(folder / step.model_name) for step in config.ensemble_scheduling.step]


def _step(folder: Path) -> Step:
    return Step(name=folder.name, model=onnx.load(str(folder / "1" / "model.onnx")))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="where the first step put the model's folder")
    parser.add_argument("--held-out", type=Path, required=True, help="where it put the rows")
    parser.add_argument("--floor", type=float, required=True, help="the least value of the metric that passes")
    parser.add_argument("--out", type=Path, required=True, help="where the report goes")
    given = parser.parse_args()
    return ending(lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    evaluate(given.model, given.held_out, given.floor, given.out)


if __name__ == "__main__":
    sys.exit(main())
