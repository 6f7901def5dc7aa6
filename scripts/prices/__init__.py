"""Brings the prices of `cohost/cost/prices/` up to date from the clouds' own price lists (docs/cost.md)."""
