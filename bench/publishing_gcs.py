"""One changed model of 200 on Cloud Storage: the bytes it takes, and the release's copies against one after the other.

Every request takes a round trip longer than on the loopback interface, where there would be nothing to wait for at
the same time. What the requests carry is counted, from the model's files to `releases/current.json`.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.cloud import storage
from requests.adapters import HTTPAdapter

from bench import report
from bench.catalogs import many
from cohost import artifact
from cohost import catalog as catalogs
from cohost.folder import scan
from cohost.gcs import GcsStore
from cohost.provider.current import activate, read_current
from cohost.publish_gcs import publish
from cohost.release import Release, for_vertex
from cohost.repository import lay_out
from tests.unit.gcs_process import local_gcs

COUNT = 200
CHANGED = "model-00000"
WEIGHTS = 4 << 20
BUCKET = "bench-models"
ENDPOINT = "projects/bench/locations/us-central1/endpoints/1"
ROUND_TRIP_SECONDS = 0.02
BYTES, FASTER = 1.05, 4.0


class Distant(HTTPAdapter):
    """The way to a service that is not on this machine.

    Attributes:
        sent: The bytes that requests have carried.
    """

    def __init__(self) -> None:
        super().__init__(pool_maxsize=64)
        self.sent = 0
        self._lock = threading.Lock()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Sends a request after a round trip's time."""
        time.sleep(ROUND_TRIP_SECONDS)
        with self._lock:
            self.sent += int(request.headers.get("Content-Length", 0))
        return super().send(request, *args, **kwargs)


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, local_gcs(Path(scratch) / "gcs") as server:
        os.environ.update(server.environment)
        way = Distant()
        store = open_store(way)
        catalog = many(Path(scratch) / "models", COUNT)
        release, at_once = deploy(catalog, store, None)
        one_by_one = report.seconds(lambda: copy_again(store, release))

        file = catalog.parent / CHANGED / "1/model.onnx"
        file.write_bytes(file.read_bytes() + os.urandom(WEIGHTS))
        before = way.sent
        deploy(catalog, store, release)
        sent = way.sent - before
        size = sum(file.size for file in scan(catalog.parent / CHANGED).artifact_files)
    tell(sent, size, at_once, one_by_one)


def open_store(way: Distant) -> GcsStore:
    """The store in a bucket of its own, every request of which goes that way."""
    client: Any = storage.Client(project="bench")
    client._http.mount("http://", way)
    client.create_bucket(BUCKET, location="us-central1")
    return GcsStore(client, BUCKET)


def deploy(catalog: Path, store: GcsStore, before: Release | None) -> tuple[Release, float]:
    """Brings a release into the store, as a deployment does; returns it and the seconds that its copies took."""
    models = catalogs.load(catalog)
    release = Release(artifact.digests(models))
    known: Mapping[str, str] = before.models if before else {}
    changed = {
        model.name: (model.path, release.models[model.name])
        for model in models.models
        if known.get(model.name) != release.models[model.name]
    }
    assert publish(changed, store).uploaded == tuple(sorted(changed))
    seconds = report.seconds(lambda: lay_out(store, release.digest, release.models))
    inputs = dict.fromkeys(release.models, "x FP32 [-1, 4]")
    activate(store, for_vertex(release.models, ENDPOINT), read_current(store), inputs)
    return release, seconds


def copy_again(store: GcsStore, release: Release) -> None:
    """Makes the same copies once more, one after the other."""
    for name, digest in release.models.items():
        for path in ("config.pbtxt", "1/model.onnx"):
            store.copy(f"models/{name}/{digest}/{name}/{path}", f"repositories/again/{name}/{path}")


def tell(sent: int, size: int, at_once: float, one_by_one: float) -> None:
    """Prints both ratios and ends the script."""
    print(report.machine())
    ratio, faster = sent / size, one_by_one / at_once
    report.finish(
        report.line(
            f"one changed model of {COUNT} on Cloud Storage",
            f"{sent:,} bytes sent",
            f"the model's files {size:,} bytes",
            ratio,
            f"<= {BYTES:g}",
            good=ratio <= BYTES,
        ),
        report.line(
            f"the copies of a release of {COUNT} models, {ROUND_TRIP_SECONDS * 1e3:g} ms a round trip",
            f"{at_once:.2f} s",
            f"one after the other {one_by_one:.2f} s",
            faster,
            f">= {FASTER:g}",
            good=faster >= FASTER,
        ),
    )


if __name__ == "__main__":
    main()
