"""The providers of one operation: one for each package, configured by the stack's settings."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from cohost.engine.model import Stack
from cohost.engine.processes import Processes
from cohost.engine.provider import Provider, ProviderError
from cohost.engine.report import Reporter
from cohost.engine.state import PROVIDER_PREFIX, Journal, ResourceState, now
from cohost.engine.values import Secret, changed_keys


class Registry:
    """Starts and configures each provider once, whoever asks first."""

    def __init__(self, stack: Stack, journal: Journal, processes: Processes, report: Reporter) -> None:
        self._stack = stack
        self.journal = journal
        self._processes = processes
        self._report = report
        self._lock = threading.Lock()
        self._futures: dict[str, Future[tuple[str, Provider]]] = {}
        self.engine_address = ""
        self.admit: Callable[[ResourceState, ResourceState | None], ResourceState] = lambda new, provider: new

    def default(self, package: str, version: str) -> tuple[str, Provider]:
        """The package's default provider and its reference, recorded in the state.

        Raises:
            ProviderError: The stack has no launch for the package, or the provider refuses its configuration.
        """
        name = f"default_{version.replace('.', '_').replace('-', '_').replace('+', '_')}" if version else "default"
        urn = f"urn:pulumi:{self._stack.name}::{self._stack.project}::{PROVIDER_PREFIX}{package}::{name}"

        def make() -> tuple[str, Provider]:
            old = next((r for r in self.journal.old() if r.urn == urn), None)
            provider = self._start(package)
            inputs = provider.check_config(urn, old.inputs if old else None, self._settings(package, version))
            new = self.admit(self._recorded(urn, package, inputs, old), None)
            provider.configure(urn, new.id, new.inputs)
            self.journal.put(new, instead_of=old)
            return f"{urn}::{new.id}", provider

        return self._once(urn, make)

    def named(self, ref: str) -> Provider:
        """The provider a resource in the state was made with, started from its own state if need be.

        Raises:
            ProviderError: It is not in the state, or as for `default`.
        """
        urn, _, id_ = ref.rpartition("::")

        def make() -> tuple[str, Provider]:
            state = next((r for r in self.journal.resources() if (r.urn, r.id) == (urn, id_)), None)
            if state is None:
                raise ProviderError(f"the state holds no provider {ref}")
            provider = self._start(state.type.removeprefix(PROVIDER_PREFIX))
            provider.configure(urn, id_, state.inputs)
            return ref, provider

        # The program's own default provider, once it is there, serves its former resources as well.
        return self._once(urn if urn in self._futures else ref, make)[1]

    def state_of(self, ref: str) -> ResourceState | None:
        """The provider's own record in the state."""
        return next((r for r in self.journal.resources() if r.is_provider and f"{r.urn}::{r.id}" == ref), None)

    def cancel(self) -> None:
        """Asks every provider to stop what it does."""
        for provider in self._started():
            try:
                provider.cancel()
            except ProviderError as error:
                self._report.log("debug", f"provider {provider.package} does not take a Cancel: {error}")

    def close(self) -> None:
        """Closes the connections; `Processes` ends the processes."""
        for provider in self._started():
            provider.close()

    def _started(self) -> list[Provider]:
        with self._lock:
            futures = list(self._futures.values())
        return [f.result()[1] for f in futures if f.done() and f.exception() is None]

    def _settings(self, package: str, version: str) -> dict[str, Any]:
        settings: dict[str, Any] = {
            key.split(":", 1)[1]: Secret(value) if key in self._stack.secret_keys else value
            for key, value in self._stack.config.items()
            if key.startswith(f"{package}:")
        }
        return settings | ({"version": version} if version else {})

    def _start(self, package: str) -> Provider:
        launch = self._stack.providers.get(package)
        if launch is None:
            raise ProviderError(
                f"package {package!r} has no local provider: the embedded engine runs local stacks only "
                f"(it has {', '.join(sorted(self._stack.providers)) or 'none'})"
            )
        return Provider(
            package,
            launch,
            self._processes,
            self.engine_address,
            lambda line: self._report.log("debug", line),
        )

    def _recorded(self, urn: str, package: str, inputs: dict[str, Any], old: ResourceState | None) -> ResourceState:
        if old is not None and not changed_keys(old.inputs, inputs):
            return old
        changes: dict[str, Any] = {"inputs": inputs, "outputs": inputs, "modified": now()}
        if old is not None:
            return replace(old, **changes)
        new = ResourceState(urn=urn, type=PROVIDER_PREFIX + package, custom=True, id=str(uuid.uuid4()))
        return replace(new, created=changes["modified"], **changes)

    def _once(self, key: str, make: Callable[[], tuple[str, Provider]]) -> tuple[str, Provider]:
        with self._lock:
            future = self._futures.get(key)
            mine = future is None
            if future is None:
                future = self._futures[key] = Future()
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
        return future.result()
