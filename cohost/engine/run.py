"""One operation on one stack, from lock to result."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cohost.engine.deletions import delete_all
from cohost.engine.deployment import Deployment
from cohost.engine.lock import exclusive
from cohost.engine.model import Event, Listener, Operation, Planned, Result, Stack
from cohost.engine.monitor import serve
from cohost.engine.policies import Policies
from cohost.engine.processes import Processes
from cohost.engine.program import run_program
from cohost.engine.refreshing import refresh_all
from cohost.engine.registry import Registry
from cohost.engine.report import Reporter
from cohost.engine.state import STACK_TYPE, Journal, ResourceState, Snapshot, load
from cohost.engine.values import has_secret, has_unknown, masked, reveal


def _ignore(event: Event) -> None:
    del event


def execute(
    stack: Stack,
    operation: Operation,
    *,
    on_event: Listener = _ignore,
    parallel: int = 16,
    refresh: bool = False,
) -> Result:
    """Runs one operation on a local stack; `on_event` is called from several threads, one at a time.

    A failed operation is a `Result` with `error`; only what could not begin raises. On the main thread SIGINT and
    SIGTERM stop it in order: providers get Cancel, nothing more begins, the state is kept. A second one kills
    providers and program; what they were doing stays pending in the state. What `on_event` raises is raised when
    the operation has ended; it is not called again.

    Raises:
        CohostError: Another run holds the state, or the state cannot be read with this passphrase.
    """
    began = time.monotonic()
    with exclusive(stack.state):
        snapshot = load(stack.state, stack.passphrase)
        path = None if operation is Operation.PREVIEW else stack.state
        journal = Journal(path, snapshot)
        report = Reporter(on_event)
        _warn_of_pending(snapshot, report)
        with Processes() as processes:
            registry = Registry(stack, journal, processes, report)
            deployment = Deployment(
                journal, registry, report, preview=operation is Operation.PREVIEW, parallel=parallel
            )
            with _serving(stack, deployment, parallel) as address, _interruptible(deployment, processes):
                _operate(stack, operation, deployment, processes, address, parallel, refresh)
        journal = deployment.journal
        journal.save(durable=True)
    if report.broken is not None:
        raise report.broken
    outputs, secret = _outputs(journal.resources())
    pending = tuple(f"{p.kind} {p.resource.urn}" for p in journal.pending())
    error = "\n".join(report.errors) or None
    duration = time.monotonic() - began
    planned = _planned(snapshot.resources, deployment) if operation is Operation.PREVIEW else ()
    changes = tuple(report.changes)
    policies = tuple(sorted(report.policies))
    return Result(operation, report.summary(), changes, outputs, secret, error, duration, pending, planned, policies)


def read_outputs(stack: Stack) -> tuple[Mapping[str, Any], frozenset[str]]:
    """The stack's outputs from its state, and the names of the secret ones; empty without a state.

    Raises:
        CohostError: The state cannot be read with this passphrase.
    """
    return _outputs(load(stack.state, stack.passphrase).resources)


def _operate(
    stack: Stack,
    operation: Operation,
    deployment: Deployment,
    processes: Processes,
    address: str,
    parallel: int,
    refresh: bool,
) -> None:
    if refresh or operation is Operation.REFRESH:
        refresh_all(deployment, parallel, count=operation is Operation.REFRESH)
        deployment.rebase()
    if operation is Operation.DESTROY:
        delete_all(deployment, deployment.journal.old(), parallel)
    elif operation in (Operation.UP, Operation.PREVIEW) and not deployment.stop.is_set():
        _change(stack, deployment, processes, address, parallel)
    if deployment.step_failed:
        root = next((r.urn for r in deployment.journal.resources() if r.type == STACK_TYPE), deployment.report.root)
        deployment.report.log("error", f"{operation} failed", root)


def _change(stack: Stack, deployment: Deployment, processes: Processes, address: str, parallel: int) -> None:
    """Brings the stack, or in a preview only its picture, to what the program and the policies want."""
    with _policed(stack, deployment, processes, address):
        succeeded = run_program(stack, deployment, processes, address, parallel)
        if succeeded and not deployment.stop.is_set():
            delete_all(deployment, deployment.journal.old(), parallel)
            deployment.judge()


@contextmanager
def _policed(stack: Stack, deployment: Deployment, processes: Processes, address: str) -> Iterator[None]:
    if stack.policies is None:
        yield
        return
    preview = deployment.preview
    policies = Policies(stack.policies, stack, processes, deployment.report, address, preview=preview)
    deployment.policies, deployment.registry.admit = policies, deployment.admit
    try:
        yield
    finally:
        policies.close()


@contextmanager
def _serving(stack: Stack, deployment: Deployment, parallel: int) -> Iterator[str]:
    server, address = serve(stack, deployment, parallel)
    deployment.registry.engine_address = address
    try:
        yield address
    finally:
        deployment.registry.close()
        server.stop(grace=None)


@contextmanager
def _interruptible(deployment: Deployment, processes: Processes) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    steps = iter((_cancel, _kill))

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        step = next(steps, None)
        if step is not None:
            # On a thread: the main one may hold the locks that this needs.
            threading.Thread(target=step, args=(deployment, processes), daemon=True).start()

    former = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _cancel(deployment: Deployment, processes: Processes) -> None:
    del processes
    deployment.report.error("interrupted: nothing more is begun, what is under way is asked to stop")
    deployment.stop.set()
    deployment.registry.cancel()


def _kill(deployment: Deployment, processes: Processes) -> None:
    deployment.report.error("interrupted again: what was under way is killed and stays pending in the state")
    deployment.journal.abandon()
    processes.kill()


def _warn_of_pending(snapshot: Snapshot, report: Reporter) -> None:
    for pending in snapshot.pending:
        if pending.kind == "creating":
            report.log(
                "warning",
                "an earlier run was killed while creating this; should it exist without being in the state, adopt it "
                "with the resource option import",
                pending.resource.urn,
            )


def _planned(before: tuple[ResourceState, ...], deployment: Deployment) -> tuple[Planned, ...]:
    """Pairs what the state holds with what the program wants, in the order of the program."""
    names = {former: urn for urn, former in deployment.former.items()}
    old = {names.get(urn, urn): resource for urn, resource in _live(before).items()}
    new = _live(deployment.journal.resources())
    urns = dict.fromkeys((*new, *old))
    return tuple(Planned(urn, (new.get(urn) or old[urn]).type, _inputs(old, urn), _inputs(new, urn)) for urn in urns)


def _live(resources: tuple[ResourceState, ...]) -> dict[str, ResourceState]:
    return {r.urn: r for r in resources if not r.delete and not r.is_provider}


def _inputs(resources: Mapping[str, ResourceState], urn: str) -> Mapping[str, Any] | None:
    return masked(resources[urn].inputs) if urn in resources else None


def _outputs(resources: tuple[ResourceState, ...]) -> tuple[Mapping[str, Any], frozenset[str]]:
    root = next((r for r in resources if r.type == STACK_TYPE), None)
    outputs = root.outputs if root is not None else {}
    known = {key: value for key, value in outputs.items() if not has_unknown(value)}
    return reveal(known), frozenset(key for key, value in known.items() if has_secret(value))
