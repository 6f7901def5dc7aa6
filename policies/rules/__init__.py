"""The rules of the policy pack, by theme."""

from __future__ import annotations

from typing import Final

from rules import access, cost, fleet, life_cycle, network, ownership, releases, storage
from rules.rule import Rule

ALL: Final[tuple[Rule, ...]] = (
    *storage.RULES,
    *access.RULES,
    *network.RULES,
    *fleet.RULES,
    *releases.RULES,
    *life_cycle.RULES,
    *ownership.RULES,
    *cost.RULES,
)
