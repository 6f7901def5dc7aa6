"""Che's approximation of the hit ratio of an LRU cache, an independent check of the simulation.

H. Che, Y. Tung, Z. Wang, "Hierarchical Web caching systems: modeling, design and experimental results", IEEE JSAC 20
(2002); for sizes as in C. Fricker, P. Robert, J. Roberts, "A versatile and accurate approximation for LRU cache
performance", ITC 24 (2012).
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def hit_ratio(shares: Sequence[float], sizes: Sequence[float], capacity: float) -> float:
    """The share of calls that find their model, for independent calls with such shares."""

    def filled(time: float) -> float:
        return math.fsum(size * -math.expm1(-share * time) for share, size in zip(shares, sizes, strict=True))

    low, high = 0.0, 1.0
    while filled(high) < capacity:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if filled(middle) < capacity else (low, middle)
    return math.fsum(share * -math.expm1(-share * high) for share in shares)
