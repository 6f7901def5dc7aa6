"""Publishes models to Cloud Storage and is killed, with -9, in the middle of it.

`python -m tests.unit.killed_gcs_publisher URL METHOD N FOLDER…`: it ends at the N-th call of a store's method.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from cohost import artifact
from cohost.gcs import GcsStore
from cohost.publish_gcs import publish
from cohost.repository import lay_out


class Killing:
    """A store whose process ends after the n-th call of a method."""

    def __init__(self, store: Any, method: str, at: int) -> None:
        self._store = store
        self._method = method
        self._left = at
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name != self._method:
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            answer = method(*args, **kwargs)
            with self._lock:
                self._left -= 1
                if self._left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


if __name__ == "__main__":
    url, method, at, *folders = sys.argv[1:]
    store: Any = Killing(GcsStore.open(url), method, int(at))
    models = {Path(folder).name: (Path(folder), artifact.digest(Path(folder))) for folder in folders}
    publish(models, store)
    lay_out(store, "release", {name: digest for name, (_, digest) in models.items()})
