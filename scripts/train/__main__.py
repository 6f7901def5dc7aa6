"""Trains every model and writes `model_artifacts/`.

On one machine a second run gives the same bytes; another processor may round the last bits otherwise.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from . import ensemble, tabular, text
from .folder import Trained, score, write

FOLDER = Path(__file__).resolve().parents[2] / "model_artifacts"


# How each model of the catalog is trained, by its name.
TRAINERS: Mapping[str, Callable[[], Trained]] = {
    **{recipe.name: partial(tabular.train, recipe) for recipe in tabular.RECIPES},
    text.NAME: text.train,
    ensemble.NAME: ensemble.train,
}


def train(name: str) -> Trained:
    """One model of the catalog; the same bytes each time on one machine."""
    # The order in which threads add up floats is not fixed.
    with threadpool_limits(limits=1):
        return TRAINERS[name]()


def train_all() -> Iterator[Trained]:
    """Every model of the catalog."""
    for name in TRAINERS:
        yield train(name)


def main() -> None:
    """Train, write the folders, the catalog and the metrics, and print a line a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: model_artifacts")
    out: Path = parser.parse_args().out
    models, metrics = [], {}
    everything = sorted(train_all(), key=lambda trained: trained.name)
    for trained in everything:
        shutil.rmtree(out / trained.name, ignore_errors=True)
        write(trained, out / trained.name)
        models.append(_entry(trained))
        metrics[trained.name] = {
            "metric": trained.metric,
            "value": round(score(trained), 4),
            "held_out_rows": len(trained.truth),
        }
        print(f"{trained.name:15} {trained.metric:9} {metrics[trained.name]['value']}")
    header = "# yaml-language-server: $schema=../cohost/schemas/catalog.schema.json\nmodels:\n"
    (out / "catalog.yaml").write_text(header + "".join(models), encoding="utf-8", newline="\n")
    text_metrics = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text_metrics, encoding="utf-8", newline="\n")


def _entry(trained: Trained) -> str:
    tags = ", ".join(f"{key}: {value}" for key, value in trained.tags.items())
    lines = (
        f"- name: {trained.name}",
        f"  path: {trained.name}",
        f"  owner: {trained.owner}",
        f"  tags: {{{tags}}}",
    )
    return "".join(f"  {line}\n" for line in lines)


if __name__ == "__main__":
    main()
