"""What has to be true of the model folders before anything is deployed."""

from __future__ import annotations

from cohost.artifact import DigestCache
from cohost.catalog import Catalog
from cohost.errors import Problem


def validate_folders(catalog: Catalog, *, max_bytes: int | None, cache: DigestCache | None) -> list[Problem]:
    """Every problem of every model folder, sorted."""
    raise NotImplementedError
