"""What models take of a GPU's memory, on a machine that has none: an estimate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

# Beside its weights a loaded model takes this much (CUDA context and ONNX Runtime's arena).
MODEL_OVERHEAD_BYTES: Final = 64 * 2**20


def of_repository(repository: Path) -> Mapping[str, int]:
    """Returns the bytes that each model of a Triton repository takes, by the name of its folder."""
    return dict(_sizes(repository))


def _sizes(repository: Path) -> Iterator[tuple[str, int]]:
    for folder in sorted(path for path in repository.iterdir() if path.is_dir()):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        yield folder.name, size + MODEL_OVERHEAD_BYTES


def first_without_room(models: Mapping[str, int], memory: int) -> str | None:
    """Returns the first of the models, loaded one after the other, that finds no room; None where all do.

    Args:
        models: Bytes that each takes, by name.
        memory: Bytes there are.
    """
    taken = 0
    for name, size in models.items():
        taken += size
        if taken > memory:
            return name
    return None
