"""Where a catalog's smoke tests and signatures are: a model's folder or, of a pushed artifact, the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cohost.release import smoke_key

if TYPE_CHECKING:
    from cohost.client.smoke import SmokeTest
    from cohost.store import ObjectStore

_THREADS: Final = 8


class ModelSources:
    """The catalog as the plugin needs it beside the artifacts; read when first asked."""

    def __init__(self, catalog: Path, store: ObjectStore) -> None:
        """Reads nothing yet.

        Args:
            catalog: The file catalog.yaml.
            store: Where `cohost push` has put the smoke tests of its artifacts.
        """
        self._catalog = catalog
        self._store = store
        self._tests: dict[str, SmokeTest] = {}

    def smoke_tests(self, models: Mapping[str, str]) -> dict[str, SmokeTest]:
        """The smoke test of each model.

        Args:
            models: Digest by name, of the models asked for.

        Raises:
            InputError: The catalog or a smoke test is malformed.
            StoreError: One is not in the store.
        """
        missing = [(name, digest) for name, digest in models.items() if name not in self._tests]
        if missing and self._folders:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="smoke") as pool:
                found = pool.map(lambda model: self._smoke_test(*model), missing)
                self._tests |= {name: test for (name, _), test in zip(missing, found, strict=True)}
        return {name: self._tests[name] for name in models}

    def inputs(self, models: Mapping[str, str]) -> dict[str, str]:
        """What each model takes, in one phrase: "pixels FP32 [-1, 64]".

        An artifact that was pushed brings no config.pbtxt of which this machine knows, so its phrase is that of its
        smoke test, and says so.

        Raises:
            InputError: The catalog, a configuration or a smoke test is malformed.
            StoreError: A smoke test is not in the store.
        """
        pushed = {name: digest for name, digest in models.items() if self._folder(name) is None}
        tests = self.smoke_tests(pushed)
        return {
            name: _of_smoke_test(tests[name]) if folder is None else _of_config(folder)
            for name, folder in ((name, self._folder(name)) for name in models)
        }

    def signatures(self, known: Mapping[str, str], models: Mapping[str, str]) -> dict[str, str]:
        """What each model takes; of those that have not changed, what the release before says.

        Args:
            known: As the release before says it, by name.
            models: Digest by name.

        Raises:
            InputError: As of `inputs`.
            StoreError: As of `inputs`.
        """
        missing = {name: digest for name, digest in models.items() if name not in known}
        return {**known, **self.inputs(missing)} if missing else dict(known)

    @cached_property
    def _folders(self) -> Mapping[str, Path | None]:
        from cohost.catalog import load

        return {model.name: model.path for model in load(self._catalog).models}

    def _folder(self, name: str) -> Path | None:
        return self._folders.get(name)

    def _smoke_test(self, name: str, digest: str) -> SmokeTest:
        from cohost.client import smoke

        folder = self._folder(name)
        if folder is not None:
            return smoke.load(folder / smoke.FILE)
        key = smoke_key(name, digest)
        return smoke.parse(self._store.get(key)[0], f"{self._store.url}/{key}")


def _of_config(folder: Path) -> str:
    from cohost.catalog import signature

    found = signature(folder)
    batch = (-1,) if found.max_batch_size else ()
    return _phrase((tensor.name, tensor.datatype, (*batch, *tensor.shape)) for tensor in found.inputs)


def _of_smoke_test(test: SmokeTest) -> str:
    tensors = ((tensor.name, tensor.datatype, tensor.array.shape) for tensor in test.request)
    return f"{_phrase(tensors)} (in its smoke test)"


def _phrase(tensors: Iterable[tuple[str, str, Sequence[int]]]) -> str:
    from cohost.client.triton import describe

    return ", ".join(describe({"name": name, "datatype": kind, "shape": shape}) for name, kind, shape in tensors)
