"""Takes over what is really there: reads every resource, forgets those that are gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from cohost.engine.deployment import Deployment
from cohost.engine.provider import ProviderError
from cohost.engine.state import ResourceState, now


@dataclass(frozen=True)
class _Found:
    old: ResourceState
    op: str
    new: ResourceState | None
    diff: tuple[str, ...] = ()


def refresh_all(deployment: Deployment, parallel: int, *, count: bool) -> None:
    """Reads all resources of the state; `count`: the sums and changes are the operation's own, not a first step."""
    resources = deployment.journal.resources()
    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        found = list(pool.map(lambda resource: _read(deployment, resource), resources))
    gone = {f.old.urn for f in found if f.new is None}
    for item in found:
        if item.new is None:
            deployment.journal.remove(item.old)
        else:
            deployment.journal.put(_without(item.new, gone), instead_of=item.old)
        if count and not item.old.is_provider:
            deployment.report.done(item.op, item.new or item.old, item.diff)
    deployment.journal.save()


def _read(deployment: Deployment, old: ResourceState) -> _Found:
    if not old.custom or old.is_provider or old.pending_replacement or deployment.stop.is_set():
        return _Found(old, "same", old)
    deployment.report.started("refresh", old)
    try:
        return _compare(deployment, old)
    except ProviderError as error:
        deployment.fail(old, str(error), op="refresh", step=True)
        return _Found(old, "failed", old)


def _compare(deployment: Deployment, old: ResourceState) -> _Found:
    provider = deployment.registry.named(old.provider)
    real = provider.read(old, old.id)
    if not real.id:
        return _Found(old, "delete", None)
    if real.init_errors:
        reasons = "; ".join(real.init_errors)
        deployment.report.log("warning", f"refreshed resource is in an unhealthy state: {reasons}", old.urn)
    inputs = old.inputs if real.inputs is None else real.inputs
    new = replace(old, id=real.id, inputs=inputs, outputs=real.outputs, init_errors=real.init_errors)
    if (dict(new.inputs), dict(new.outputs)) != (dict(old.inputs), dict(old.outputs)):
        new = replace(new, modified=now())
    # As the next `up` of an unchanged program would: from what is there to what was wanted.
    diff = provider.diff(new, old.inputs, old.ignore_changes)
    return _Found(old, "update" if diff.changed else "same", new, diff.paths)


def _without(resource: ResourceState, gone: set[str]) -> ResourceState:
    def keep(urns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(urn for urn in urns if urn not in gone)

    properties = {key: keep(urns) for key, urns in resource.property_dependencies.items()}
    return replace(
        resource,
        dependencies=keep(resource.dependencies),
        property_dependencies={key: urns for key, urns in properties.items() if urns},
        deleted_with="" if resource.deleted_with in gone else resource.deleted_with,
    )
