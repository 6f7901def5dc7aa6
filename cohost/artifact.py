"""The artifact: one model at one content, named by the SHA-256 of what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from cohost.catalog import Catalog


class DigestCache:
    """Digests of folders that have not changed since they were read; a file that may be deleted any time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_project(cls, root: Path) -> DigestCache:
        """The cache of a project folder: `<root>/.cohost/cache/digests.json`."""
        return cls(root / ".cohost" / "cache" / "digests.json")


def digest(folder: Path) -> str:
    """The digest of a model folder: 64 lowercase hex digits."""
    raise NotImplementedError


def digests(catalog: Catalog, *, cache: DigestCache | None = None) -> dict[str, str]:
    """The digest of every model of the catalog, by name, in the catalog's order."""
    raise NotImplementedError


def pack(folder: Path, name: str, out: BinaryIO) -> str:
    """Writes the folder as a deterministic `.tar.gz` and returns the digest of what it packed."""
    raise NotImplementedError
