"""Brings what the store lacks into the store: packs and uploads changed models, in parallel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from cohost.store import ObjectStore


@dataclass(frozen=True)
class Published:
    """What `publish` did.

    Attributes:
        uploaded: Names of the models whose archive was uploaded, sorted.
        present: Names of the models whose archive the store had already, sorted.
        bytes_sent: Size of the uploaded archives together.
    """

    uploaded: tuple[str, ...]
    present: tuple[str, ...]
    bytes_sent: int


def publish(
    models: Mapping[str, tuple[Path | None, str]],
    store: ObjectStore,
    *,
    known: Collection[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Published:
    """Uploads the archive of every model that the store lacks; never overwrites one.

    Args:
        models: By name: the model's folder (None = only the store has it) and its digest.
        store: Where to.
        known: Digests known to be in the store; None = ask the store.
        progress: Called with (models done, models in all) after each model.
        cancelled: Asked before each model and each part; True ends the work with `Cancelled`.

    Raises:
        InputError: A folder no longer has the declared digest, or an artifact given by digest is not stored.
        StoreError: The store refused.
    """
    raise NotImplementedError
