"""Deletes what is no longer wanted: dependents before what they need, independent ones at the same time."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from cohost.engine.deployment import Deployment
from cohost.engine.provider import ProviderError
from cohost.engine.state import ResourceState


def rounds(doomed: Iterable[ResourceState]) -> list[list[ResourceState]]:
    """The resources in rounds: each needs only what goes in a later round."""
    remaining = list(doomed)
    result: list[list[ResourceState]] = []
    while remaining:
        needed = {urn for resource in remaining for urn in resource.needs() - {resource.urn}}
        ready = [resource for resource in remaining if resource.urn not in needed] or remaining
        result.append(ready)
        remaining = [resource for resource in remaining if resource not in ready]
    return result


def delete_all(deployment: Deployment, doomed: Iterable[ResourceState], parallel: int) -> None:
    """Deletes the resources; after a failure the round is finished, and no further one begun."""
    doomed = tuple(doomed)
    urns = {resource.urn for resource in doomed}
    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        for ready in rounds(doomed):
            if deployment.stop.is_set():
                return
            # Reversed: with one worker, the one made last goes first.
            list(pool.map(lambda resource: _delete(deployment, resource, urns), reversed(ready)))


def _delete(deployment: Deployment, old: ResourceState, doomed: set[str]) -> None:
    journal, report = deployment.journal, deployment.report
    if old.is_provider or old.pending_replacement:
        journal.remove(old)
        if old.is_provider and old.name != "default" and not old.name.startswith("default_"):
            report.done("delete", old)
        return
    op = "discard" if old.delete else "delete"
    report.started(op, old)
    if old.protect and not old.delete:
        message = "is protected and would be deleted; remove the option protect first"
        deployment.fail(old, message, op=op, step=True)
        return
    try:
        if deployment.preview:
            journal.remove(old)
        else:
            _delete_recorded(deployment, old, doomed - {old.urn})
    except ProviderError as error:
        deployment.fail(old, str(error), op=op, step=True)
        return
    report.done(op, old)


def _delete_recorded(deployment: Deployment, old: ResourceState, others: set[str]) -> None:
    with deployment.journal.operation("deleting", old):
        deployment.delete_really(old, others)
        deployment.journal.remove(old)
