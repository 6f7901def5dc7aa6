"""Writes every inventory file anew."""

from tests.unit.inventory import VARIANTS, write

for variant in VARIANTS:
    write(variant)
