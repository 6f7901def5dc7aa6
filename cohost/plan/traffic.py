"""Who calls what, and when: shares of the calls, and streams of them from a seed."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

UNIFORM: Final = "uniform"
ZIPF: Final = "zipf"


@dataclass(frozen=True)
class Traffic:
    """How calls spread over models.

    Attributes:
        exponent: The s of Zipf's law, share of the k-th model ~ 1 / k^s; 0 = the same share for all.
    """

    exponent: float = 0.0

    def __str__(self) -> str:
        return f"{ZIPF}:{self.exponent:g}" if self.exponent else UNIFORM

    def shares(self, models: int) -> list[float]:
        """Returns the share of each of so many models, the most called first; their sum is 1."""
        weights = [rank**-self.exponent for rank in range(1, models + 1)]
        total = math.fsum(weights)
        return [weight / total for weight in weights]


def parse(text: str) -> Traffic | None:
    """Returns what `uniform` or `zipf:S` means, S above 0; None for anything else."""
    kind, colon, exponent = text.partition(":")
    if text == UNIFORM:
        return Traffic()
    try:
        value = float(exponent) if kind == ZIPF and colon else math.nan
    except ValueError:
        return None
    return Traffic(value) if math.isfinite(value) and value > 0 else None


@dataclass(frozen=True, order=True)
class Call:
    """One call.

    Attributes:
        at: When it arrives, in seconds.
        number: Its place in the stream.
        model: What it asks for.
    """

    at: float
    number: int
    model: str


class Source(Protocol):
    """Where a simulation's calls are from."""

    def begin(self) -> Iterator[Call]:
        """Yields the calls that come whatever happens."""
        ...

    def after(self, now: float) -> Call | None:
        """Returns the call that follows from the end of another; None where none does."""
        ...


class Stream:
    """Calls that come at random and do not wait for each other: a Poisson process."""

    def __init__(self, rates: dict[str, float], calls: int, seed: int) -> None:
        """Draws the calls.

        Args:
            rates: Calls a second of each model; at least one above 0.
            calls: How many to draw.
            seed: The same seed gives the same calls.
        """
        names, total = list(rates), math.fsum(rates.values())
        random = np.random.default_rng(seed)
        times = np.cumsum(random.exponential(1 / total, calls))
        chosen = random.choice(len(names), size=calls, p=np.array(list(rates.values())) / total)
        drawn = zip(times.tolist(), chosen.tolist(), strict=True)
        self.calls = tuple(Call(at, number, names[index]) for number, (at, index) in enumerate(drawn))

    def begin(self) -> Iterator[Call]:
        """See `Source`."""
        return iter(self.calls)

    def after(self, now: float) -> Call | None:
        """See `Source`."""
        return None


@dataclass(frozen=True)
class Stage:
    """A part of a load test.

    Attributes:
        until: When it ends, in seconds from the start.
        users: How many there are then.
        spawn_rate: How many come a second until there are so many.
    """

    until: float
    users: int
    spawn_rate: float


class Users:
    """Users that call, wait for the answer, think and call again, as Locust's do; each asks for any model alike."""

    def __init__(self, models: Sequence[str], stages: Sequence[Stage], think: tuple[float, float], seed: int) -> None:
        """Begins a load test.

        Args:
            models: What they ask for.
            stages: How many users there are, and when.
            think: The shortest and the longest time between an answer and the next call, in seconds.
            seed: The same seed gives the same users.
        """
        self._models, self._stages, self._think = models, stages, think
        self._random = np.random.default_rng(seed)
        self._number = 0

    def begin(self) -> Iterator[Call]:
        """See `Source`."""
        began, there = 0.0, 0
        starts: list[float] = []
        for stage in self._stages:
            starts += [began + number / stage.spawn_rate for number in range(stage.users - there)]
            began, there = stage.until, stage.users
        heapq.heapify(starts)
        for _ in range(len(starts)):
            yield self._call(heapq.heappop(starts))

    def after(self, now: float) -> Call | None:
        """See `Source`."""
        at = now + self._random.uniform(*self._think)
        return self._call(at) if at < self._stages[-1].until else None

    def _call(self, at: float) -> Call:
        self._number += 1
        return Call(at, self._number, self._models[int(self._random.integers(len(self._models)))])
