"""Which model goes to which endpoint, where one cannot hold all."""

from __future__ import annotations

from collections.abc import Mapping


def pack(sizes: Mapping[str, int], capacity: int) -> list[tuple[str, ...]]:
    """Puts models into as few endpoints as first-fit decreasing finds; the same models give the same endpoints.

    First-fit decreasing takes at most 11/9 of the fewest bins + 6/9 (G. Dósa, "The tight bound of first fit
    decreasing bin-packing algorithm is FFD(I) <= 11/9 OPT(I) + 6/9", 2007).

    Args:
        sizes: What each model takes, in any unit.
        capacity: What one endpoint holds.

    Returns:
        The models of each endpoint, sorted by name.

    Raises:
        ValueError: A model is larger than an endpoint.
    """
    bins: list[list[str]] = []
    free: list[int] = []
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        size = sizes[name]
        if size > capacity:
            raise ValueError(f"{name} takes {size} and an endpoint holds {capacity}")
        place = next((index for index, room in enumerate(free) if room >= size), len(bins))
        if place == len(bins):
            bins.append([])
            free.append(capacity)
        bins[place].append(name)
        free[place] -= size
    return [tuple(sorted(names)) for names in bins]


def spread(weights: Mapping[str, float], bins: int) -> list[dict[str, float]]:
    """Shares models out over machines so that each has about the same weight; one above a machine's share is split.

    Args:
        weights: Of each model, such as its calls a second.
        bins: How many machines.

    Returns:
        For each machine its models, the heaviest first, and how much of their weight it has.
    """
    share = sum(weights.values()) / bins
    parts: list[tuple[float, str, int]] = []
    for name, weight in weights.items():
        copies = min(bins, max(1, round(weight / share))) if share else 1
        parts += [(weight / copies, name, copies)] * copies
    parts.sort(key=lambda part: (-part[0], part[1]))
    placed: list[dict[str, float]] = [{} for _ in range(bins)]
    for weight, name, _ in parts:
        fitting = [each for each in placed if name not in each]
        lightest = min(fitting, key=lambda each: (sum(each.values()), len(each)))
        lightest[name] = weight
    return placed
