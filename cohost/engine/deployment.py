"""Turns registrations into provider calls: create, update, replace in both orders, import, same.

The decisions follow the real engine's step generator (pulumi/pulumi, pkg/resource/deploy/step_generator.go);
the recordings in tests/engine/recordings hold this file to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cohost.engine import paths
from cohost.engine.goal import Goal
from cohost.engine.policies import Policies
from cohost.engine.provider import Diff, InitError, Provider, ProviderError
from cohost.engine.registry import Registry
from cohost.engine.report import Reporter
from cohost.engine.state import Journal, ResourceState, dependents, now
from cohost.engine.values import UNKNOWN, Properties, Secret, changed_keys, secret


class Stopped(Exception):
    """The deployment has ended, by failure or by request; the reason is reported already."""


class Deployment:
    """The running operation, shared by all registrations.

    Attributes:
        stop: Set when nothing more may begin.
        policies: What every registration is held to, where there is a pack.
    """

    def __init__(self, journal: Journal, registry: Registry, report: Reporter, *, preview: bool, parallel: int) -> None:
        self.journal = journal
        self.registry = registry
        self.report = report
        self.preview = preview
        self.stop = threading.Event()
        self.policies: Policies | None = None
        self.step_failed = False
        self._parallel = parallel
        self._slots = threading.Semaphore(parallel)
        # Held while old resources are claimed, and all through a delete-first replacement, whose dependents are
        # deleted before the program names them again.
        self._planning = threading.RLock()
        self._seen: set[str] = set()
        self._deleted: set[str] = set()
        self._replaced: set[str] = set()
        self.former: dict[str, str] = {}

    def register(self, goal: Goal) -> ResourceState:
        """Brings one resource to what the program wants; returns it as it is then.

        Raises:
            Stopped: It failed, or the operation has already.
        """
        with self._slots:
            self._check_running()
            old, recreating = self._claim(goal)
            try:
                return self._step(goal, old, recreating)
            except ProviderError as error:
                self.fail(goal.state, str(error), op="create" if old is None else "update", step=True)
                raise Stopped from error

    def outputs(self, urn: str, outputs: Properties) -> None:
        """Records the outputs of a component."""
        current = next((r for r in self.journal.resources() if r.urn == urn and not r.delete), None)
        if current is not None and (current.outputs or outputs):
            self.journal.amend(current, outputs=outputs)

    def fail(self, resource: ResourceState, message: str, *, op: str, step: bool) -> None:
        """Reports a failure; after it nothing more begins. `step`: a provider call failed, not what precedes it."""
        self.step_failed = self.step_failed or step
        self.stop.set()
        self.report.failed(op, resource, message)

    def admit(self, new: ResourceState, provider: ResourceState | None, goal: Goal | None = None) -> ResourceState:
        """The resource as the policies let it be; a preview goes on with one that a mandatory policy forbids.

        Raises:
            Stopped: It is forbidden, or a policy failed itself.
        """
        if self.policies is None:
            return new
        try:
            new, forbidden = self.policies.admit(new, provider, goal)
        except ProviderError as error:
            raise self._reject(new, str(error)) from error
        if forbidden and self.preview:
            self.step_failed = True
        elif forbidden:
            self.stop.set()
            raise Stopped
        return new

    def judge(self) -> None:
        """Holds the stack as a whole to the policies, once all else has succeeded."""
        if self.policies is None or self.stop.is_set():
            return
        try:
            if self.policies.judge(r for r in self.journal.resources() if not r.delete):
                self.step_failed = True
        except ProviderError as error:
            self.report.error(str(error), self.report.root)

    def keep_protected(self, resource: ResourceState) -> None:
        """Reports that a resource stays because it is protected; the rest goes on."""
        self.step_failed = True
        self.report.failed("delete", resource, "is protected and would be deleted; remove the option protect first")

    def rebase(self) -> None:
        """Takes the state as it now is for the former state, after a refresh."""
        self.journal = self.registry.journal = self.journal.again()

    def drain(self) -> None:
        """Waits for the steps under way, once nothing more begins."""
        for _ in range(self._parallel):
            self._slots.acquire()
        self._slots.release(self._parallel)

    def _check_running(self) -> None:
        if self.stop.is_set():
            raise Stopped

    def _reject(self, resource: ResourceState, message: str, op: str = "update") -> Stopped:
        self.fail(resource, message, op=op, step=False)
        return Stopped()

    def _claim(self, goal: Goal) -> tuple[ResourceState | None, bool]:
        """The old state of the resource, by URN or alias, and whether this run has deleted it already."""
        urn = goal.state.urn
        with self._planning:
            if urn in self._seen:
                raise self._reject(goal.state, f"Duplicate resource URN {urn!r}; try giving it a unique name", "create")
            self._seen.add(urn)
            olds = {r.urn: r for r in self.journal.old() if not r.delete}
            for candidate in (urn, *goal.aliases):
                if candidate in olds and (candidate == urn or candidate not in self._seen):
                    old = olds[candidate]
                    return (self._take_over(old, urn) if candidate != urn else old), candidate in self._deleted
            return None, False

    def _take_over(self, old: ResourceState, urn: str) -> ResourceState:
        """Gives an aliased resource its new URN, everywhere in the state."""
        self.former[urn] = old.urn
        self._seen.add(old.urn)
        for other in self.journal.old():
            if old.urn in other.needs():
                self.journal.amend(other, **_renamed(other, old.urn, urn))
        return old

    def _step(self, goal: Goal, old: ResourceState | None, recreating: bool) -> ResourceState:
        new = goal.state
        if not new.custom:
            return self._component(old, self.admit(new, None, goal))
        ref, provider = self.registry.default(new.type.split(":", 1)[0], goal.version)
        new = replace(new, provider=ref)
        if new.import_id and not recreating and (old is None or (old.import_id or old.id) != new.import_id):
            return self._import(goal, old, new, provider)
        known = None if recreating else old
        inputs = self._without_ignored(new, known) if known else new.inputs
        new = self._checked(provider, new, known.inputs if known else None, inputs)
        new = self.admit(new, self.registry.state_of(ref), goal)
        if recreating and old is not None:
            return self._create(provider, new, op="replace", gone=old)
        if old is None:
            return self._create(provider, new, op="create")
        return self._change(goal, provider, old, new)

    def _component(self, old: ResourceState | None, new: ResourceState) -> ResourceState:
        op = "create"
        if old is not None:
            op = "update" if changed_keys(old.inputs, new.inputs) else "same"
        stamps = {"created": old.created, "modified": old.modified, "outputs": old.outputs} if old else {}
        if op != "same":
            self.report.started(op, new)
        new = replace(new, **stamps)
        self.journal.put(new, instead_of=old)
        self.report.done(op, new)
        return new

    def _without_ignored(self, new: ResourceState, old: ResourceState) -> Properties:
        inputs: Any = new.inputs
        for path in new.ignore_changes:
            inputs = paths.reset(old.inputs, inputs, paths.parse(path))
        return inputs

    def _checked(
        self, provider: Provider, new: ResourceState, olds: Properties | None, news: Properties
    ) -> ResourceState:
        try:
            inputs, failures = provider.check(new, olds, news)
        except ProviderError as error:
            raise self._reject(new, str(error)) from error
        if failures:
            raise self._reject(new, "; ".join(failures))
        return replace(new, inputs=inputs)

    def _change(self, goal: Goal, provider: Provider, old: ResourceState, new: ResourceState) -> ResourceState:
        if new.deleted_with and new.deleted_with in self._replaced:
            diff = Diff(changed=True, replace=True, keys=("deletedWith",), paths=("deletedWith",))
        else:
            try:
                diff = provider.diff(old, new.inputs, new.ignore_changes, urn=new.urn)
            except ProviderError as error:
                raise self._reject(new, str(error)) from error
            diff = _with_option(diff, new.replace_on_changes, bool(old.init_errors))
        if diff.replace or old.pending_replacement:
            return self._replace(goal, provider, old, new, diff)
        if diff.changed or old.init_errors:
            return self._update(provider, old, new, diff)
        same = replace(new, id=old.id, outputs=old.outputs, created=old.created, modified=old.modified)
        self.journal.put(same, instead_of=old)
        self.report.done("same", same)
        return same

    def _create(
        self,
        provider: Provider,
        new: ResourceState,
        *,
        op: str,
        gone: ResourceState | None = None,
        doomed: ResourceState | None = None,
        diff: tuple[str, ...] = (),
    ) -> ResourceState:
        """Creates; `gone` is a deleted former one that the new one follows, `doomed` one that is deleted later."""

        def record(made: ResourceState) -> None:
            self.journal.put(made, instead_of=gone)
            if doomed is not None:
                self.journal.amend(doomed, delete=True)

        with self._mutation("creating", op, new):
            try:
                id_, outputs = provider.create(new, preview=self.preview)
            except InitError as error:
                record(_finished(new, id=error.id, outputs=error.outputs, init_errors=error.reasons))
                raise
            made = _finished(new, id=id_, outputs=outputs)
            record(made)
        if op == "replace":
            self._replaced.add(new.urn)
        self.report.done(op, made, diff)
        return made

    def _update(self, provider: Provider, old: ResourceState, new: ResourceState, diff: Diff) -> ResourceState:
        new = replace(new, id=old.id, created=old.created)
        with self._mutation("updating", "update", new):
            try:
                outputs = provider.update(old, new, preview=self.preview)
            except InitError as error:
                # The old inputs stay, so that the next run sees the difference again.
                partial = _finished(new, outputs=error.outputs, init_errors=error.reasons)
                self.journal.put(replace(partial, inputs=old.inputs), instead_of=old)
                raise
            made = _finished(new, outputs=outputs)
            self.journal.put(made, instead_of=old)
        self.report.done("update", made, diff.paths)
        return made

    def _replace(
        self, goal: Goal, provider: Provider, old: ResourceState, new: ResourceState, diff: Diff
    ) -> ResourceState:
        if new.protect and old.protect:
            message = "is protected and would be replaced; remove the option protect first"
            if not self.preview:
                raise self._reject(new, message, "replace")
            self.report.failed("replace", new, message)
        if new.import_id:
            raise self._reject(new, "is imported and would be replaced; remove the option import first", "replace")
        # From the program's own inputs again, as the real engine does: a remediation is lost in a replacement.
        new = self._checked(provider, new, None, goal.state.inputs)
        delete_first = goal.delete_before_replace
        if delete_first is None:
            delete_first = diff.delete_first
        if not delete_first:
            return self._create(provider, new, op="replace", doomed=old, diff=diff.paths)
        with self._planning:
            along = self._replaced_dependents(old)
            self._deleted |= {resource.urn for resource in (old, *along)}
            for dependent in reversed(along):
                self._delete_for_replacement(dependent)
            if not old.pending_replacement:
                old = self._delete_for_replacement(old)
        return self._create(provider, new, op="replace", gone=old, diff=diff.paths)

    def _replaced_dependents(self, root: ResourceState) -> list[ResourceState]:
        """Old resources, not yet named by the program, that the replacement of `root` would replace too."""
        replaced = {root.urn}
        found: list[ResourceState] = []
        candidates = [r for r in self.journal.old() if not r.delete and (r is root or r.urn not in self._seen)]
        for resource in dependents(replaced, candidates):
            if self._would_be_replaced(resource, replaced):
                replaced.add(resource.urn)
                found.append(resource)
        for resource in found:
            if resource.protect:
                raise self._reject(root, f"cannot be replaced: {resource.urn} goes with it and is protected", "replace")
        return found

    def _would_be_replaced(self, resource: ResourceState, replaced: set[str]) -> bool:
        if not resource.custom or resource.is_provider or resource.pending_replacement:
            return False
        if resource.deleted_with in replaced:
            return True
        unknown = {key for key, urns in resource.property_dependencies.items() if replaced & {*urns}}
        if not unknown & set(resource.inputs):
            return False
        inputs = {key: UNKNOWN if key in unknown else value for key, value in resource.inputs.items()}
        diff = self.registry.named(resource.provider).diff(resource, inputs, resource.ignore_changes)
        return _with_option(diff, resource.replace_on_changes, False).replace

    def _delete_for_replacement(self, old: ResourceState) -> ResourceState:
        self._replaced.add(old.urn)
        with self._mutation("deleting", "discard", old):
            self.delete_really(old, self._deleted - {old.urn})
            old = self.journal.amend(old, pending_replacement=True)
        self.report.done("discard", old)
        return old

    def delete_really(self, old: ResourceState, others: set[str]) -> None:
        """The provider's Delete, unless an option, another deletion or the preview makes it needless."""
        needless = self.preview or not old.custom or old.retain_on_delete or old.deleted_with in others
        if not needless:
            self.registry.named(old.provider).delete(old)

    def _import(self, goal: Goal, old: ResourceState | None, new: ResourceState, provider: Provider) -> ResourceState:
        with self._mutation("importing", "import", new):
            found = provider.read(replace(new, inputs={}, id=""), new.import_id)
            if not found.id:
                raise ProviderError(f"resource {new.import_id!r} does not exist")
            if found.inputs is None:
                raise ProviderError("the provider does not support import")
            taken = _finished(new, id=found.id, outputs=found.outputs, init_errors=found.init_errors)
            taken = replace(taken, inputs=found.inputs)
            self.journal.put(taken)
            if old is not None:
                self.journal.amend(old, delete=True)
        self.report.done("import", taken)
        new = self._checked(provider, new, taken.inputs, self._without_ignored(new, taken))
        new = self.admit(new, self.registry.state_of(new.provider), goal)
        diff = provider.diff(taken, new.inputs, new.ignore_changes)
        diff = _with_option(diff, new.replace_on_changes, bool(taken.init_errors))
        if diff.replace:
            raise self._reject(new, "would be replaced by this program; make its inputs those of the import", "import")
        if diff.changed:
            return self._update(provider, taken, new, diff)
        return taken

    @contextmanager
    def _mutation(self, kind: str, op: str, resource: ResourceState) -> Iterator[None]:
        self.report.started(op, resource)
        try:
            with self.journal.operation(kind, resource):
                yield
        except ProviderError as error:
            self.fail(resource, str(error), op=op, step=True)
            raise Stopped from error


def _finished(new: ResourceState, *, outputs: Properties, **changes: Any) -> ResourceState:
    """The resource after a provider call: secrets marked, time noted."""
    marked = dict(outputs)
    for key, value in marked.items():
        if key in new.additional_secret_outputs or isinstance(new.inputs.get(key), Secret):
            marked[key] = secret(value)
    stamp = now()
    return replace(new, outputs=marked, created=new.created or stamp, modified=stamp, **changes)


def _with_option(diff: Diff, replace_on_changes: tuple[str, ...], init_errors: bool) -> Diff:
    """The diff as the option replaceOnChanges makes it."""
    if not replace_on_changes or not (diff.changed or init_errors):
        return diff
    touched = {*diff.keys, *diff.paths} | ({'["#initerror"]'} if init_errors else set())
    if any(paths.any_contains(replace_on_changes, path) for path in touched):
        return replace(diff, changed=True, replace=True)
    return diff


def _renamed(resource: ResourceState, old: str, new: str) -> dict[str, Any]:
    def follow(urn: str) -> str:
        return new if urn == old else urn

    rename: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda urns: tuple(map(follow, urns))  # noqa: E731
    return {
        "parent": follow(resource.parent),
        "deleted_with": follow(resource.deleted_with),
        "dependencies": rename(resource.dependencies),
        "property_dependencies": {k: rename(v) for k, v in resource.property_dependencies.items()},
    }
