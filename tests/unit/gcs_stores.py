"""Stores on the local Cloud Storage for tests: models to publish, what is stored of them, and publishers killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from cohost import artifact
from cohost.gcs import GcsStore
from tests.unit.gcs_process import GcsProcess
from tests.unit.model_folders import write_model

BUCKET = "models-of-mine"
Models = Mapping[str, tuple[Path | None, str]]


@contextlib.contextmanager
def a_bucket(server: GcsProcess, cache: Path) -> Iterator[storage.Bucket]:
    """A bucket that keeps versions, where the environment finds it until the block ends."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", server.url)
        environment.setenv("XDG_CACHE_HOME", str(cache))
        bucket = storage.Client(project="p").bucket(BUCKET)
        bucket.versioning_enabled = True
        bucket.create(location="europe-west4")
        yield bucket
        GcsStore.open(f"gs://{BUCKET}").delete_all()
        bucket.delete()


def some(folder: Path, count: int) -> dict[str, tuple[Path | None, str]]:
    """Models of their own content each."""
    made = [write_model(folder / f"m{index:02d}") for index in range(count)]
    return {path.name: (path, artifact.digest(path)) for path in made}


def digests(models: Models) -> dict[str, str]:
    return {name: digest for name, (_, digest) in models.items()}


def stored(store: GcsStore, prefix: str = "models/") -> dict[str, bytes]:
    with ThreadPoolExecutor(8) as pool:
        return dict(pool.map(lambda found: (found.key, store.get(found.key)[0]), list(store.list(prefix))))


class Counting:
    """A store that counts its calls; `before` is called with a method's name and arguments ahead of it."""

    def __init__(self, store: GcsStore, before: Callable[..., None] = lambda *_: None) -> None:
        self._store, self._before = store, before
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.calls[name] += 1
            self._before(name, *args)
            return method(*args, **kwargs)

        return call


def counting(store: GcsStore, before: Callable[..., None] = lambda *_: None) -> Any:
    return Counting(store, before)


def killed(store: GcsStore, method: str, at: int, folders: list[Path]) -> None:
    command = [sys.executable, "-m", "tests.unit.killed_gcs_publisher", store.url, method, str(at), *map(str, folders)]
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(command, cwd=root, env=os.environ, check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
