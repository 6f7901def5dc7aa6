"""The artifact: one model at one content, named by the SHA-256 of what it holds."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from cohost.archive import pack
from cohost.catalog import Catalog
from cohost.digest_cache import DigestCache
from cohost.errors import InputError, Problem
from cohost.folder import ModelFile, Scan, scan
from cohost.manifest import check, manifest_digest, read_chunks

__all__ = ["DigestCache", "digest", "digests", "manifest_digest", "pack"]

_THREADS: Final = min(8, os.cpu_count() or 1)


def digest(folder: Path) -> str:
    """The digest of a model folder (see `manifest_digest`).

    Raises:
        InputError: A file that cannot be read, a link out of the folder, a Git LFS pointer.
    """
    return _digest(scan(folder))


def digests(catalog: Catalog, *, cache: DigestCache | None = None) -> dict[str, str]:
    """The digest of every model of the catalog.

    Args:
        catalog: As loaded.
        cache: Digests of folders that have not changed since; it is brought up to date and saved.

    Returns:
        64 hex digits by name, in the catalog's order; an entry's own `artifact` where it gives one.

    Raises:
        InputError: With every folder of which there can be no digest.
    """
    cache = cache or DigestCache()
    found = {model.name: model.artifact or "" for model in catalog.models}
    missing: list[tuple[str, Scan]] = []
    for model in catalog.models:
        if model.path is None:
            continue
        found[model.name] = cache.entry(model.path).digest
        if not found[model.name]:
            missing.append((model.name, cache.scan(model.path)))
    problems: list[Problem] = []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="digest") as pool:
        for (name, seen), result in zip(missing, pool.map(_digest_or_problems, (s for _, s in missing)), strict=True):
            if isinstance(result, str):
                found[name] = result
                cache.note(seen.folder, digest=result)
            else:
                problems += result
    cache.save()
    if problems:
        raise InputError(problems)
    return found


def _digest_or_problems(found: Scan) -> str | tuple[Problem, ...]:
    try:
        return _digest(found)
    except InputError as error:
        return error.problems


def _digest(found: Scan) -> str:
    check(found)
    return manifest_digest((file.path, _file_digest(found.folder, file)) for file in found.artifact_files)


def _file_digest(folder: Path, file: ModelFile) -> str:
    sha = hashlib.sha256()
    for chunk in read_chunks(folder, file):
        sha.update(chunk)
    return sha.hexdigest()
