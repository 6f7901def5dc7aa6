"""Whether a catalog fits the machines and the endpoint of a stack on GCP, before anything is created."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cohost import smoke_fit, vertex_endpoint, vertex_fleet
from cohost.catalog import Catalog
from cohost.digest_cache import DigestCache
from cohost.errors import Problem
from cohost.folder import SMOKE, shown
from cohost.gcp_settings import GcpSettings

# A value takes two bytes of JSON at the least ("1,") and eight of a request at the most: a file smaller than a quarter
# of the limit need not be read.
_GROWTH: Final = 4


def misfits(settings: GcpSettings, models: Catalog, cache: DigestCache) -> Iterator[Problem]:
    """Yields what keeps a catalog from being served.

    A model that is given by its digest alone is not looked at: only the store has it.

    Args:
        settings: The stack's.
        models: The catalog.
        cache: Where model folders have been looked at.
    """
    folders = [model.path for model in models.models if model.path is not None]
    yield from _memory(settings, models, sum(file.size for each in folders for file in cache.scan(each).artifact_files))
    for folder in folders:
        yield from _request(settings.endpoint.kind, folder / SMOKE)


def _memory(settings: GcpSettings, models: Catalog, size: int) -> Iterator[Problem]:
    """Whether all models together are more than a machine and its GPUs hold: Vertex AI loads all of them at once."""
    machine = settings.machine
    most = vertex_fleet.memory_bytes(machine.type, machine.accelerator, machine.accelerator_count)
    if most is None or size <= most:
        return
    message = (
        f"has models of {size:,} bytes together, and Vertex AI loads all of them at once: {machine.type} with "
        f"{machine.accelerator_count} {machine.accelerator} has memory for {most:,}; take a larger machine"
    )
    yield Problem(shown(models.path), "models", message)


def _request(kind: str, smoke: Path) -> Iterator[Problem]:
    """Whether a smoke test is a larger request than the endpoint takes."""
    most = vertex_endpoint.max_request_bytes(kind)
    if not smoke.is_file() or smoke.stat().st_size * _GROWTH <= most:
        return
    size = smoke_fit.request_bytes(smoke.read_bytes())
    if size <= most:
        return
    larger = ", or set endpoint.kind: dedicated" if size <= vertex_endpoint.DEDICATED_BYTES else ""
    message = f"has tensors of {size:,} bytes, and a {kind} endpoint takes requests of {most:,}: use fewer rows{larger}"
    yield Problem(shown(smoke), "request.inputs", message)
