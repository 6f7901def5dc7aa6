"""How much GPU memory models take: read from the first loads of a machine, or assumed from their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Footprint:
    """What a machine's GPU holds of models that are alike.

    Attributes:
        base: Memory in use before the first of them: driver, CUDA context and libraries; any unit.
        each: What each of them adds, in the same unit.
    """

    base: float
    each: float

    def used(self, models: int) -> float:
        """Returns the memory in use with so many loaded."""
        return self.base + models * self.each


def of_first_loads(used: Sequence[float]) -> Footprint:
    """Returns what the first loads tell: the line through them with the least squares.

    Args:
        used: Memory in use after the first load, after the second, …; at least two.

    Raises:
        ValueError: There are fewer than two, or they do not grow.
    """
    count = len(used)
    if count < 2:
        raise ValueError("one load does not tell a model from what all of them share: give two or more")
    middle, mean = (count + 1) / 2, sum(used) / count
    slope = sum((number - middle) * (value - mean) for number, value in enumerate(used, start=1))
    each = slope / sum((number - middle) ** 2 for number in range(1, count + 1))
    if each <= 0:
        raise ValueError("the memory in use does not grow from load to load")
    return Footprint(mean - middle * each, each)


def count_until(footprint: Footprint, full: Callable[[int, float], bool]) -> int:
    """Returns how many models are loaded, one after the other, when somebody says that it is full.

    Args:
        footprint: What they take.
        full: Told how many are loaded and the memory in use; must say so in the end.
    """
    models = 1
    while not full(models, footprint.used(models)):
        models += 1
    return models
