"""What has to be true of the model folders before anything is deployed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

from cohost.catalog import Catalog, CatalogModel
from cohost.digest_cache import DigestCache
from cohost.errors import Problem
from cohost.folder import Scan, shown
from cohost.model_check import ModelCheck
from cohost.modelconfig import CONFIG
from cohost.release import CANARY

# Part of every cache entry: raise it with each new rule, so that folders found good by fewer rules are read again.
RULES: Final = "2"


def validate(catalog: Catalog, *, max_bytes: int | None = None, cache: DigestCache | None = None) -> list[Problem]:
    """Everything that `catalog.load` does not look at: the content of the folders.

    A folder that was found good is not read again while its files' names, sizes, times and inodes stay the
    same; what depends on other folders or on `max_bytes` is judged anew each time.

    Args:
        catalog: As loaded.
        max_bytes: The largest model that fits (an endpoint's disk); None = any.
        cache: Where to note folders found good.

    Returns:
        Every problem, sorted; empty when the catalog is good.
    """
    cache = cache or DigestCache()
    problems: list[Problem] = []
    owners: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for model in catalog.models:
        if model.path is None:
            owners[model.name].append((model.name, catalog.path))
            continue
        scan = cache.scan(model.path)
        problems += _size(model, scan, max_bytes)
        names = _known_good(model, cache)
        if names is None:
            found, names = _check(model, scan)
            problems += found
            if not found:
                cache.note(model.path, good=(names, _rules(model)))
        for name in names:
            owners[name].append((model.name, model.path))
    cache.save()
    return sorted(problems + _shared_names(owners))


def _rules(model: CatalogModel) -> str:
    return f"{RULES} {model.name}"


def _known_good(model: CatalogModel, cache: DigestCache) -> tuple[str, ...] | None:
    entry = cache.entry(model.path) if model.path else None
    return entry.models if entry and entry.rules == _rules(model) else None


def _check(model: CatalogModel, scan: Scan) -> tuple[list[Problem], tuple[str, ...]]:
    """The folder's own problems and the names of the Triton models in it."""
    check = ModelCheck(scan, model.name)
    check.run()
    return check.problems, check.names


def _size(model: CatalogModel, scan: Scan, max_bytes: int | None) -> list[Problem]:
    size = sum(file.size for file in scan.artifact_files)
    if max_bytes is None or size <= max_bytes:
        return []
    message = f"has {size:,} bytes; the endpoint's disk takes models of at most {max_bytes:,}"
    return [Problem(shown(scan.folder), "", message)]


def _shared_names(owners: dict[str, list[tuple[str, Path]]]) -> list[Problem]:
    """One Triton serves the whole catalog (Vertex AI), so no two models may have a step of the same name."""
    own = f'"{CANARY}" is also the name of cohost\'s own model: names are unique over the catalog'
    found = [Problem(shown(folder / CANARY / CONFIG), "name", own) for _, folder in owners.get(CANARY, ())]
    for name, places in owners.items():
        for model, folder in places[1:]:
            first = places[0][0]
            if model != first:
                message = f'"{name}" is also the name of a model in "{first}": names are unique over the catalog'
                found.append(Problem(shown(folder / name / CONFIG), "name", message))
    return found
