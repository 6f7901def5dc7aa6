"""The state of a stack and its file: Pulumi's deployment format (version 3), written atomically.

Field names: pulumi/pulumi, sdk/go/common/apitype/core.go (ResourceV3, OperationV2).
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cohost.engine.crypto import Crypter
from cohost.engine.values import SECRET_SIGNATURE, SIGNATURE, Properties, Secret
from cohost.errors import CohostError

STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"


@dataclass(frozen=True, kw_only=True, eq=False)
class ResourceState:
    """One resource as the state keeps it; two of the same URN differ in `id` while one waits for deletion."""

    urn: str
    type: str
    custom: bool
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    provider: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    delete: bool = False
    pending_replacement: bool = False
    protect: bool = False
    retain_on_delete: bool = False
    deleted_with: str = ""
    init_errors: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    import_id: str = ""
    created: str = ""
    modified: str = ""

    @property
    def name(self) -> str:
        """The last part of the URN."""
        return self.urn.split("::", 3)[3]

    @property
    def is_provider(self) -> bool:
        """Whether it is a provider, default or explicit."""
        return self.type.startswith(PROVIDER_PREFIX)

    def needs(self) -> set[str]:
        """The URNs it cannot exist without."""
        urns = {self.parent, self.deleted_with, self.provider.rpartition("::")[0], *self.dependencies}
        urns.update(urn for urns_of_key in self.property_dependencies.values() for urn in urns_of_key)
        return urns - {""}


@dataclass(frozen=True)
class PendingOperation:
    """A provider call that had begun and of whose end the state does not know."""

    kind: str
    resource: ResourceState


def now() -> str:
    """The time as the state writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


_KEYS: Final = {
    f.name: "".join(p.title() if i else p for i, p in enumerate(f.name.split("_"))) for f in fields(ResourceState)
}
_KEYS["import_id"] = "importID"
_ALWAYS: Final = {"urn", "type", "custom"}


def encode(resource: ResourceState, crypter: Crypter) -> dict[str, Any]:
    """The resource in the file's form, secrets encrypted, what is empty left out."""
    document: dict[str, Any] = {}
    for name, key in _KEYS.items():
        value = getattr(resource, name)
        if name in ("inputs", "outputs"):
            value = _encode_value(value, crypter)
        if value or name in _ALWAYS:
            document[key] = list(value) if isinstance(value, tuple) else value
    return document


def _encode_value(value: Any, crypter: Crypter) -> Any:
    if isinstance(value, Secret):
        return {
            SIGNATURE: SECRET_SIGNATURE,
            "ciphertext": crypter.encrypt(_encode_value(value.value, crypter)),
        }
    if isinstance(value, Mapping):
        return {key: _encode_value(item, crypter) for key, item in value.items()}
    if isinstance(value, list):
        return [_encode_value(item, crypter) for item in value]
    return value


def decode(document: Mapping[str, Any], crypter: Crypter) -> ResourceState:
    """The resource back from the file's form."""
    values: dict[str, Any] = {}
    for name, key in _KEYS.items():
        if key in document:
            value = document[key]
            if name in ("inputs", "outputs"):
                value = _decode_value(value, crypter)
            values[name] = tuple(value) if isinstance(value, list) else value
    if not re.fullmatch(r"urn:pulumi:(.*?::){3}.+", values["urn"], re.DOTALL):
        raise ValueError(f"{values['urn']!r} is no URN")
    values["property_dependencies"] = {k: tuple(v) for k, v in values.get("property_dependencies", {}).items()}
    return ResourceState(**values)


def _decode_value(value: Any, crypter: Crypter) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return Secret(_decode_value(crypter.decrypt(value["ciphertext"]), crypter))
        return {key: _decode_value(item, crypter) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode_value(item, crypter) for item in value]
    return value


@dataclass(frozen=True)
class Snapshot:
    """What a state file holds."""

    resources: tuple[ResourceState, ...]
    pending: tuple[PendingOperation, ...]
    crypter: Crypter


def load(path: Path, passphrase: str) -> Snapshot:
    """Reads a state file; an empty snapshot when there is none.

    Raises:
        CohostError: The file is damaged or the passphrase is another.
    """
    try:
        deployment = json.loads(path.read_bytes())["deployment"]
        crypter = Crypter.open(passphrase, deployment["secrets_providers"]["state"]["salt"])
        resources = tuple(decode(document, crypter) for document in deployment["resources"])
        pending = tuple(
            PendingOperation(operation["type"], decode(operation["resource"], crypter))
            for operation in deployment["pending_operations"]
        )
    except FileNotFoundError:
        return Snapshot((), (), Crypter(passphrase))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CohostError(f"{path}: not a state file of this engine ({error})") from error
    return Snapshot(resources, pending, crypter)


class Journal:
    """The state while an operation changes it: what was, what is done, what is under way.

    Written to the file before and after each provider call that changes something, so that a kill at any moment
    loses nothing but the outcome of the calls under way. Each resource is encoded once.
    """

    def __init__(self, path: Path | None, snapshot: Snapshot) -> None:
        self._path = path
        self._crypter = snapshot.crypter
        self._description = snapshot.crypter.describe() if path else ""
        self._lock = threading.RLock()
        self._base = list(snapshot.resources)
        self._done: list[ResourceState] = []
        self._stale_creates = [p for p in snapshot.pending if p.kind == "creating"]
        self._under_way: list[PendingOperation] = []
        self._texts: dict[ResourceState, str] = {}
        self._dirty = False
        self._abandoned = False

    def again(self) -> Journal:
        """A journal that takes everything in this one as not handled yet."""
        with self._lock:
            journal = Journal(self._path, Snapshot(self.resources(), self.pending(), self._crypter))
            journal._texts, journal._dirty = self._texts, self._dirty
            return journal

    def resources(self) -> tuple[ResourceState, ...]:
        """The whole state: what this operation has handled, then what it has not (yet)."""
        with self._lock:
            return (*self._done, *self._base)

    def old(self) -> tuple[ResourceState, ...]:
        """What was in the state before and is not handled yet."""
        with self._lock:
            return tuple(self._base)

    def pending(self) -> tuple[PendingOperation, ...]:
        """Operations whose end is unknown: of killed runs (creates only), and under way."""
        with self._lock:
            return (*self._stale_creates, *self._under_way)

    def put(self, new: ResourceState, *, instead_of: ResourceState | None = None) -> None:
        """Records a resource as handled; `instead_of` is its former state, old or already handled."""
        with self._lock:
            if instead_of in self._done:
                self._done[self._done.index(instead_of)] = new
            else:
                self._drop(instead_of)
                self._done.append(new)
            self._dirty = True

    def amend(self, old: ResourceState, **changes: Any) -> ResourceState:
        """Changes a resource where it stands."""
        with self._lock:
            new = replace(old, **changes)
            for resources in (self._base, self._done):
                if old in resources:
                    resources[resources.index(old)] = new
            self._dirty = True
            return new

    def remove(self, old: ResourceState) -> None:
        """Forgets a resource."""
        with self._lock:
            self._drop(old)
            self._dirty = True

    def _drop(self, old: ResourceState | None) -> None:
        for resources in (self._base, self._done):
            if old in resources:
                resources.remove(old)

    @contextmanager
    def operation(self, kind: str, resource: ResourceState) -> Iterator[None]:
        """Keeps an operation pending in the file while the block runs, and saves what the block recorded."""
        operation = PendingOperation(kind, resource)
        with self._lock:
            self._under_way.append(operation)
            self._dirty = True
            self.save()
        try:
            yield
        finally:
            with self._lock:
                if not self._abandoned:
                    self._under_way.remove(operation)
                    self._dirty = True
                    self.save()

    def abandon(self) -> None:
        """Leaves the file as it is from now on: what is under way stays pending there."""
        with self._lock:
            self._abandoned = True

    def save(self, *, durable: bool = False) -> None:
        """Writes the file if anything changed; `durable` also against a power cut."""
        with self._lock:
            if self._path is None or self._abandoned or not self._dirty:
                return
            resources = ",\n".join(self._text(r) for r in self.resources())
            pending = ",\n".join(
                f'{{"resource": {self._text(p.resource)}, "type": "{p.kind}"}}' for p in self.pending()
            )
            secrets = json.dumps({"type": "passphrase", "state": {"salt": self._description}})
            text = (
                f'{{"version": 3, "deployment": {{\n"manifest": {{"time": "{now()}", "engine": "cohost"}},\n'
                f'"secrets_providers": {secrets},\n"resources": [\n{resources}\n],\n'
                f'"pending_operations": [{pending}]\n}}}}\n'
            )
            _write(self._path, text, durable)
            self._dirty = False

    def _text(self, resource: ResourceState) -> str:
        if resource not in self._texts:
            self._texts[resource] = json.dumps(encode(resource, self._crypter))
        return self._texts[resource]


def _write(path: Path, text: str, durable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)


def dependents(urns: Iterable[str], resources: Iterable[ResourceState]) -> list[ResourceState]:
    """Every resource that directly or indirectly needs one of `urns`, in the order of `resources`.

    The order of a state is topological, so one pass suffices.
    """
    reached = set(urns)
    found: list[ResourceState] = []
    for resource in resources:
        if resource.needs() & reached:
            reached.add(resource.urn)
            found.append(resource)
    return found
