"""The catalog: the one list of models, `model_artifacts/catalog.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cohost.errors import Problem
from cohost.modelconfig import Signature, TensorSpec, signature

if TYPE_CHECKING:
    from cohost.artifact import DigestCache

__all__ = ["Catalog", "CatalogModel", "Signature", "TensorSpec", "load", "signature", "validate"]


@dataclass(frozen=True)
class CatalogModel:
    """One entry of the catalog.

    Attributes:
        name: What callers ask for.
        owner: The team that answers for it; valid as a Google label value.
        tags: Free labels, valid as Google labels.
        path: Its folder (absolute), or None where `artifact` is given.
        artifact: Digest of what `cohost push` has stored, or None where `path` is given.
    """

    name: str
    owner: str
    tags: Mapping[str, str]
    path: Path | None
    artifact: str | None


@dataclass(frozen=True)
class Catalog:
    """The whole catalog.

    Attributes:
        path: The file (absolute).
        models: Sorted by name.
    """

    path: Path
    models: tuple[CatalogModel, ...]


def load(path: Path) -> Catalog:
    """Reads the catalog: its structure, names, duplicates, and that the folders exist.

    Raises:
        InputError: With every problem found.
    """
    raise NotImplementedError


def validate(
    catalog: Catalog, *, max_bytes: int | None = None, cache: DigestCache | None = None
) -> list[Problem]:
    """Everything that `load` does not look at: the content of the folders.

    Args:
        catalog: As loaded.
        max_bytes: The largest model that fits (an endpoint's disk); None = any.
        cache: Where to note folders found good, so that unchanged ones are not read again.

    Returns:
        Every problem, sorted; empty when the catalog is good.
    """
    from cohost.validation import validate_folders

    return validate_folders(catalog, max_bytes=max_bytes, cache=cache)
