"""Deletes what is no longer wanted: dependents before what they need, independent ones at the same time."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from cohost.engine.deployment import Deployment
from cohost.engine.provider import ProviderError
from cohost.engine.state import ResourceState


def rounds(doomed: Iterable[ResourceState]) -> list[list[ResourceState]]:
    """The resources in rounds: what one needs goes in a later round; what needs nothing goes last."""
    remaining = list(doomed)
    result: list[list[ResourceState]] = []
    while remaining:
        urns = {resource.urn for resource in remaining}
        ready = [resource for resource in remaining if not (resource.needs() - {resource.urn}) & urns] or remaining
        result.insert(0, ready)
        remaining = [resource for resource in remaining if resource not in ready]
    return result


def delete_all(deployment: Deployment, doomed: Iterable[ResourceState], parallel: int) -> None:
    """Deletes the resources; after a failure what runs is finished, and nothing more begun.

    A protected one fails alone: it and what it needs stay, the others go.
    """
    doomed = tuple(doomed)
    urns = {resource.urn for resource in doomed}
    kept: set[str] = set()
    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        for ready in rounds(doomed):
            if deployment.stop.is_set():
                return
            for resource in ready:
                if resource.protect and not resource.delete:
                    deployment.keep_protected(resource)
                    kept.add(resource.urn)
                if resource.urn in kept:
                    kept |= resource.needs()
            # Reversed: with one worker, the one made last goes first.
            leaving = [resource for resource in reversed(ready) if resource.urn not in kept]
            list(pool.map(lambda resource: _delete(deployment, resource, urns), leaving))


def _delete(deployment: Deployment, old: ResourceState, doomed: set[str]) -> None:
    journal, report = deployment.journal, deployment.report
    if deployment.stop.is_set():
        return
    if old.is_provider or old.pending_replacement:
        journal.remove(old)
        return
    op = "discard" if old.delete else "delete"
    report.started(op, old)
    try:
        with journal.operation("deleting", old):
            deployment.delete_really(old, doomed - {old.urn})
            journal.remove(old)
    except ProviderError as error:
        deployment.fail(old, str(error), op=op, step=True)
        return
    report.done(op, old)
