"""How artifacts lie in a store: an archive each on S3, a folder each on Cloud Storage.

SageMaker fetches one archive a model; Vertex AI wants all models of a release as one Triton repository of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from cohost.gcs_layout import artifact_folder, manifest_key
from cohost.release import archive_key

if TYPE_CHECKING:
    from cohost.gcs import GcsStore
    from cohost.publish import Published
    from cohost.store import ObjectStore


@dataclass(frozen=True)
class Layout:
    """One way in which artifacts lie in a store.

    Attributes:
        artifact_key: The key that is there when the artifact of a name and a digest is.
        content: The prefix of the keys that hold its bytes.
        packs: Whether archives are made on this machine, which takes scratch space.
        prefixes: All that this project writes below a store's prefix; what callers read comes first.
    """

    artifact_key: Callable[[str, str], str]
    content: Callable[[str, str], str]
    packs: bool
    prefixes: tuple[str, ...]


ARCHIVES: Final = Layout(archive_key, archive_key, packs=True, prefixes=("releases/", "models/", "smoke/"))
FOLDERS: Final = Layout(
    manifest_key, artifact_folder, packs=False, prefixes=("releases/", "repositories/", "models/", "smoke/")
)


def layout_of(url: str) -> Layout:
    """Returns the layout of the store of a URL."""
    return FOLDERS if url.startswith("gs://") else ARCHIVES


def publish(
    models: Mapping[str, tuple[Path | None, str]],
    store: ObjectStore,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Published:
    """Brings what the store lacks into it, in the store's layout; as of `cohost.publish.publish`."""
    if layout_of(store.url) is FOLDERS:
        from cohost import publish_gcs

        return publish_gcs.publish(models, cast("GcsStore", store), progress=progress, cancelled=cancelled)
    from cohost import publish as archives

    return archives.publish(models, store, progress=progress, cancelled=cancelled)


def present(store: ObjectStore, models: Mapping[str, str]) -> dict[str, str]:
    """Returns those of the models (digest by name) that are stored; a request for 1,000 objects."""
    layout = layout_of(store.url)
    if layout is FOLDERS:
        listed = cast("GcsStore", store).list("models/", glob="models/*/*.json")
    else:
        listed = store.list("models/")
    stored = {found.key for found in listed}
    return {name: digest for name, digest in models.items() if layout.artifact_key(name, digest) in stored}


def sizes(store: ObjectStore, models: Mapping[str, str]) -> dict[str, int]:
    """Returns the bytes that the store holds of each of the models (digest by name) that are stored."""
    layout = layout_of(store.url)
    content = {layout.content(name, digest): name for name, digest in models.items()}
    found: dict[str, int] = {}
    for item in store.list("models/"):
        # models/<name>/<digest>.tar.gz, or models/<name>/<digest>/…
        head = "/".join(item.key.split("/")[:3])
        name = content.get(head) or content.get(f"{head}/")
        if name is not None:
            found[name] = found.get(name, 0) + item.size
    return found
