"""Where things are in a store on Cloud Storage: artifacts as Triton repositories of one, and releases of many.

An artifact is the folder `models/<name>/<digest>/`, and it exists once `models/<name>/<digest>.json` does, its
manifest, which is written last. The model repository of a release is the folder `repositories/<release>/`, whole
once `repositories/<release>.json` exists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

from cohost.errors import CohostError
from cohost.folder import CONFIG
from cohost.manifest import manifest_digest

SCHEMA: Final = 1


def artifact_folder(name: str, digest: str) -> str:
    """The prefix of an artifact's files, relative to the store's."""
    return f"models/{name}/{digest}/"


def manifest_key(name: str, digest: str) -> str:
    """The key of an artifact's manifest, relative to the store's prefix."""
    return f"models/{name}/{digest}.json"


REPOSITORIES: Final = "repositories/"
"""The prefix of all model repositories, relative to the store's."""
_RELEASE: Final = re.compile(rf"{REPOSITORIES}([0-9a-f]{{64}})(?:/|\.json$)")


def repository_folder(release: str) -> str:
    """The prefix of a release's model repository, relative to the store's."""
    return f"{REPOSITORIES}{release}/"


def repository_key(release: str) -> str:
    """The key of what says that a model repository is whole, relative to the store's prefix."""
    return f"{REPOSITORIES}{release}.json"


def release_of(key: str) -> str | None:
    """The release whose model repository an object belongs to; None where it belongs to none."""
    found = _RELEASE.match(key)
    return found[1] if found else None


def members(name: str, paths: Collection[str]) -> dict[str, str]:
    """The paths in a Triton repository of a model folder's files, by their paths in the folder.

    They stand below the model's name; those of a folder that holds several models (an ensemble and its steps) are
    that already.

    Args:
        name: The catalog's name of the model.
        paths: Paths in the model folder.
    """
    several = CONFIG not in paths and any(path.count("/") == 1 and path.endswith(f"/{CONFIG}") for path in paths)
    return {path: path if several else f"{name}/{path}" for path in paths}


class StoredFile(NamedTuple):
    """A file of an artifact.

    Attributes:
        size: Bytes.
        sha256: Of its content, 64 hex digits.
    """

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an artifact is made of.

    Attributes:
        files: By path in the model folder.
    """

    files: Mapping[str, StoredFile]

    @property
    def digest(self) -> str:
        """The artifact's digest (see `manifest_digest`)."""
        return manifest_digest((path, file.sha256) for path, file in self.files.items())

    def to_json(self) -> bytes:
        """The manifest as the store holds it; the same artifact gives the same bytes."""
        files = {path: file._asdict() for path, file in sorted(self.files.items())}
        document = {"schema": SCHEMA, "digest": self.digest, "files": files}
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, key: str) -> Manifest:
        """Reads a manifest and checks it against the digest that it gives.

        Args:
            data: The object's bytes.
            key: Its key, for messages.

        Raises:
            CohostError: It is not one, or of a newer schema than this version understands.
        """
        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA:
                raise CohostError(f"{key} has schema {document['schema']!r}; this version of cohost reads {SCHEMA}")
            files = {
                path: StoredFile(int(file["size"]), str(file["sha256"])) for path, file in document["files"].items()
            }
            found = cls(files)
            if found.digest != document["digest"]:
                raise ValueError("its files do not give its digest")
            return found
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CohostError(f"{key} is not the manifest of an artifact: {error}") from error


@dataclass(frozen=True)
class RepositoryNote:
    """What says that the model repository of a release is whole.

    Attributes:
        release: The release.
        models: Digest by model name.
        schema: Version of this document's shape.
    """

    release: str
    models: Mapping[str, str]
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """The document's bytes."""
        document = asdict(self) | {"models": dict(sorted(self.models.items()))}
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
