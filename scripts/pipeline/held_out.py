"""Rows that a model has never seen, as a file between the steps: tensors as JSON of the V2 protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cohost.client import tensors
from cohost.errors import InputError, Problem
from scripts.train.folder import Arrays, Trained

FILE: Final = "held-out.json"


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The rows and what is asked of them.

    Attributes:
        model: The model's name.
        metric: "accuracy" or "r2".
        answer: The output that answers the question.
        inputs: The rows, by the input's name.
        truth: What they really are, one value a row.
    """

    model: str
    metric: str
    answer: str
    inputs: Arrays
    truth: NDArray[Any]


def write(trained: Trained, folder: Path) -> None:
    """Writes the rows of a trained model."""
    document = {
        "model": trained.name,
        "metric": trained.metric,
        "answer": trained.answer,
        "inputs": [tensors.to_json(name, _bytes(array)) for name, array in trained.inputs.items()],
        "truth": trained.truth.tolist(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(document), encoding="utf-8", newline="\n")


def read(folder: Path) -> HeldOut:
    """Reads the rows.

    Raises:
        InputError: The file is not there, or not of this form.
    """
    file = folder / FILE
    try:
        document: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return HeldOut(
            model=document["model"],
            metric=document["metric"],
            answer=document["answer"],
            inputs={
                item["name"]: _text(tensors.from_json(item["datatype"], item["shape"], item["data"]))
                for item in document["inputs"]
            },
            truth=np.asarray(document["truth"]),
        )
    except OSError as error:
        raise InputError([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from None
    except (ValueError, KeyError, TypeError) as error:
        message = f"is not what `scripts.pipeline.train` writes: {error!r}"
        raise InputError([Problem(str(file), "", message)]) from None


def _bytes(array: NDArray[Any]) -> NDArray[Any]:
    """Texts as the V2 protocol has them."""
    return np.array([[item.encode() for item in row] for row in array], object) if array.dtype == object else array


def _text(array: NDArray[Any]) -> NDArray[Any]:
    """Texts as ONNX Runtime takes them."""
    return np.array([[item.decode() for item in row] for row in array], object) if array.dtype == object else array
