"""Puts one model folder into a store, for a catalog that names it by its digest: what `cohost push` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cohost import artifact, catalog, layout, release, validation
from cohost.errors import InputError, Problem
from cohost.folder import SMOKE
from cohost.store import ObjectStore


@dataclass(frozen=True)
class Pushed:
    """An artifact that a store has now.

    Attributes:
        model: The model's name, which is the folder's.
        artifact: Its digest, for the catalog.
        target: By what a caller reaches it: SageMaker's TargetModel, the name alone on Vertex AI.
        uploaded: Whether the store lacked it.
        bytes: Its size in the store.
    """

    model: str
    artifact: str
    target: str
    uploaded: bool
    bytes: int


def checked(path: Path) -> Path:
    """Returns a model's folder, absolute.

    Raises:
        InputError: It is none, or Triton or the catalog would refuse it; with every problem found.
    """
    folder = path.resolve()
    if not folder.is_dir():
        raise InputError([Problem(str(path), "", "is not a folder; a model is one, with a config.pbtxt")])
    model = catalog.CatalogModel(name=folder.name, owner="unassigned", tags={}, path=folder, artifact=None)
    problems = validation.validate(catalog.Catalog(path=folder.parent, models=(model,)))
    if problems:
        raise InputError(problems)
    return folder


def push(folder: Path, store: ObjectStore) -> Pushed:
    """Stores a folder that is `checked` as an artifact, with its smoke test beside it.

    Raises:
        StoreError: The store refused.
    """
    name, digest = folder.name, artifact.digest(folder)
    published = layout.publish({name: (folder, digest)}, store)
    # Beside the artifact, so that the stack can ask it without having the folder.
    store.put_bytes(release.smoke_key(name, digest), (folder / SMOKE).read_bytes())
    return Pushed(
        model=name,
        artifact=digest,
        target=release.target(name, digest) if layout.layout_of(store.url).packs else name,
        uploaded=bool(published.uploaded),
        bytes=layout.sizes(store, {name: digest}).get(name, 0),
    )
