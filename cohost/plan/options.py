"""The same models on every platform: what each takes, how fast it is, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cohost.cost import Estimate
from cohost.plan.inputs import Assumptions, PlannedModel
from cohost.plan.machines import Kind
from cohost.plan.sizing import Goal, Room, Sizing, with_cache, without_cache


@dataclass(frozen=True)
class Option:
    """One way to serve all models.

    Attributes:
        kind: The platform and the machine.
        room: What models can use of one machine.
        sizing: What it takes; None where it cannot be.
        estimate: What its machines cost; None where it cannot be. Unknown prices are in its `unknown`.
        machine: The machine's name, for a person.
        why: Why it cannot be; empty where it can.
    """

    kind: Kind
    room: Room
    sizing: Sizing | None
    estimate: Estimate | None
    machine: str
    why: str = ""

    @property
    def meets(self) -> bool:
        """Whether it does what was asked."""
        return self.sizing is not None and self.sizing.met

    @property
    def per_month(self) -> float | None:
        """What it costs a month; None where it cannot be, or has a part without a price."""
        if self.estimate is None or self.estimate.unknown:
            return None
        return float(self.estimate.per_month.maximum)

    def as_document(self) -> dict[str, Any]:
        """Returns it for JSON, as `cohost/schemas/plan.schema.json` describes it."""
        return {
            "platform": self.kind.platform,
            "region": self.kind.fleet.region,
            "machine": self.machine,
            "gpu": self.kind.gpu,
            "memory_for_models": self.room.memory,
            "possible": self.sizing is not None,
            "why": self.why,
            "sizing": self.sizing and _sizing_document(self.sizing),
            "per_month": self.per_month,
            "cost": self.estimate and self.estimate.as_document(),
        }


def options(
    models: Sequence[PlannedModel], kinds: Sequence[Kind], assumed: Assumptions, goal: Goal
) -> tuple[Option, ...]:
    """Returns what each way to serve takes.

    Args:
        models: What is served.
        kinds: The ways to serve.
        assumed: What is assumed.
        goal: What is asked.
    """
    known: dict[tuple[bool, Room], Sizing] = {}
    return tuple(_option(models, kind, assumed, goal, known) for kind in kinds)


def cheapest(found: Sequence[Option]) -> Option | None:
    """Returns the cheapest that does what was asked; None where none does, or none of those has a price."""
    good = [option for option in found if option.meets and option.per_month is not None]
    return min(good, key=lambda option: option.per_month or 0.0, default=None)


def _option(
    models: Sequence[PlannedModel],
    kind: Kind,
    assumed: Assumptions,
    goal: Goal,
    known: dict[tuple[bool, Room], Sizing],
) -> Option:
    """One option; `known` has what was found for like machines, and gets what is found."""
    room = kind.room(assumed, sum(model.size for model in models))
    why = kind.absent or "; ".join(_too_large(models, room))
    if why:
        return Option(kind, room, None, None, kind.cost(1).machine, why)
    sizing = known.get((kind.cached, room))
    if sizing is None:
        sizing = (with_cache if kind.cached else without_cache)(models, room, assumed, goal)
        known[kind.cached, room] = sizing
    cost = kind.cost(sizing.machines)
    return Option(kind, room, sizing, cost.estimate, cost.machine)


def _too_large(models: Sequence[PlannedModel], room: Room) -> Iterator[str]:
    for model in models:
        if model.memory > room.memory:
            yield f"{model.name} takes {model.memory:,} bytes of GPU memory, {room.memory:,} are there for models"
        elif 2 * model.size > room.disk:
            yield f"{model.name} has {model.size:,} bytes, twice of which must fit on {room.disk:,} bytes of disk"


def _sizing_document(sizing: Sizing) -> dict[str, Any]:
    return {
        "met": sizing.met,
        "machines": sizing.machines,
        "endpoints": [{"models": list(each.models), "machines": each.machines} for each in sizing.endpoints],
        "resident": round(sizing.resident, 2),
        "hit_ratio": round(sizing.hit_ratio, 4),
        "cold_calls_an_hour": round(sizing.cold_calls, 2),
        "loads_an_hour": round(sizing.loads, 2),
        "p50_ms": round(sizing.p50 * 1000, 2),
        "p99_ms": round(sizing.p99 * 1000, 2),
        "busy": round(sizing.busy, 4),
        "refused": round(sizing.refused, 4),
    }
