"""The three steps of a training pipeline, as every orchestrator runs them: which command, with which files.

SageMaker Pipelines, Vertex AI Pipelines and this machine run the same modules of `scripts/pipeline/`; only the places
of the files and the spelling of a parameter differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# What a step hands to another: the step that made it, and its name.
Handed = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        name: "Train", "Evaluate" or "Push".
        module: The Python module that it runs.
        arguments: Its command line; what the orchestrator fills in stands as the orchestrator writes it.
        reads: What it takes from steps before it.
        writes: What it hands on, each a folder.
    """

    name: str
    module: str
    arguments: Sequence[Any]
    reads: Sequence[Handed] = ()
    writes: Sequence[str] = ()


def steps(
    *,
    read: Callable[[str, str], Any],
    write: Callable[[str], Any],
    model: Any,
    floor: Any,
    store: Any,
    push: Sequence[Any] = (),
) -> tuple[Step, ...]:
    """Returns the steps in their order.

    Args:
        read: Where a step finds what another has handed on, by that step's name and the thing's.
        write: Where a step puts what it hands on.
        model: The model's name.
        floor: The least value of its metric with which it is pushed.
        store: The URL of the store.
        push: More arguments of the last step.
    """
    trained, held_out, report = ("Train", "model"), ("Train", "held-out"), ("Evaluate", "report")
    return (
        Step(
            name="Train",
            module="scripts.pipeline.train",
            arguments=("--model", model, "--out", write("model"), "--held-out", write("held-out")),
            writes=("model", "held-out"),
        ),
        Step(
            name="Evaluate",
            module="scripts.pipeline.evaluate",
            arguments=(
                *("--model", read(*trained), "--held-out", read(*held_out)),
                *("--floor", floor, "--out", write("report")),
            ),
            reads=(trained, held_out),
            writes=("report",),
        ),
        Step(
            name="Push",
            module="scripts.pipeline.push",
            arguments=(
                *("--model", read(*trained), "--report", read(*report), "--store", store),
                *("--out", write("pushed"), *push),
            ),
            reads=(trained, report),
            writes=("pushed",),
        ),
    )
