"""The providers of one operation: a default one per package, and the explicit ones a program declares."""

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
from cohost.engine.values import Secret, changed_keys, has_unknown


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

    def default(self, package: str, version: str) -> tuple[str, Provider]:
        """The package's default provider and its reference, recorded in the state.

        Raises:
            ProviderError: The stack has no launch for the package, or the provider refuses its configuration.
        """
        name = f"default_{version.replace('.', '_').replace('-', '_').replace('+', '_')}" if version else "default"
        urn = self._urn(package, name)

        def make() -> tuple[str, Provider]:
            inputs: dict[str, Any] = {
                key.split(":", 1)[1]: Secret(value) if key in self._stack.secret_keys else value
                for key, value in self._stack.config.items()
                if key.startswith(f"{package}:")
            }
            if version:
                inputs["version"] = version
            old = next((r for r in self.journal.old() if r.urn == urn), None)
            provider, new = self._open(urn, package, inputs, old)
            self.journal.put(new, instead_of=old)
            return f"{urn}::{new.id}", provider

        return self._once(urn, make)

    def explicit(self, old: ResourceState | None, new: ResourceState) -> ResourceState:
        """A provider that the program declares: started, configured, not yet recorded.

        Raises:
            ProviderError: As for `default`; also when its configuration is not known in a preview.
        """
        package = new.type.removeprefix(PROVIDER_PREFIX)
        if has_unknown(new.inputs):
            raise ProviderError("a provider whose configuration is unknown in the preview is not supported here")
        provider, opened = self._open(new.urn, package, new.inputs, old)
        ref = f"{opened.urn}::{opened.id}"
        self._once(ref, lambda: (ref, provider))
        return replace(new, id=opened.id, outputs=opened.outputs, created=opened.created)

    def named(self, ref: str) -> Provider:
        """The provider a resource in the state was made with, started from its own state if need be.

        Raises:
            ProviderError: It is not in the state, or as for `default`.
        """
        urn, _, _ = ref.rpartition("::")
        key = urn if urn in self._futures else ref

        def make() -> tuple[str, Provider]:
            state = next((r for r in self.journal.resources() if f"{r.urn}::{r.id}" == ref), None)
            if state is None:
                raise ProviderError(f"the state holds no provider {ref}")
            package = state.type.removeprefix(PROVIDER_PREFIX)
            return ref, self._open(urn, package, state.inputs, state)[0]

        return self._once(key, make)[1]

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

    def _open(self, urn: str, package: str, inputs: Any, old: ResourceState | None) -> tuple[Provider, ResourceState]:
        launch = self._stack.providers.get(package)
        if launch is None:
            raise ProviderError(
                f"package {package!r} has no local provider: the embedded engine runs local stacks only "
                f"(it has {', '.join(sorted(self._stack.providers)) or 'none'})"
            )
        provider = Provider(
            package,
            launch,
            self._processes,
            self.engine_address,
            lambda line: self._report.log("debug", line),
        )
        id = old.id if old is not None else str(uuid.uuid4())
        before = old.inputs if old is not None else None
        provider.configure(urn, id, before, inputs)
        if old is not None and not changed_keys(old.inputs, inputs):
            return provider, old
        stamp = now()
        created = old.created if old is not None else stamp
        state = ResourceState(
            urn=urn, type=PROVIDER_PREFIX + package, custom=True, id=id, inputs=inputs, outputs=inputs,
            created=created, modified=stamp,
        )  # fmt: skip
        return provider, state

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

    def _urn(self, package: str, name: str) -> str:
        return f"urn:pulumi:{self._stack.name}::{self._stack.project}::{PROVIDER_PREFIX}{package}::{name}"
