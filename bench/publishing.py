"""One changed model of 1,000: how many requests it takes, and how they grow with what is stored.

Requests are counted, not timed. The alternative is asking for each model by itself.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from bench import report
from bench.catalogs import many
from cohost import artifact
from cohost import catalog as catalogs
from cohost.publish import publish
from cohost.release import archive_key
from cohost.s3 import S3Store

CHANGED = "model-00000"


class Counting:
    """A client that counts its calls, pages of listings included."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: Counter[str] = Counter()
        client.meta.events.register("before-call.s3", lambda model, **_: self.calls.update([model.name]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def requests(folder: Path, count: int) -> Counter[str]:
    """Publishes a catalog whose models are all stored but one; returns the requests by operation."""
    models = catalogs.load(many(folder, count))
    digests = artifact.digests(models)
    client: Any = boto3.client("s3", region_name="us-east-1")
    bucket = f"bench-{count}"
    client.create_bucket(Bucket=bucket)
    for name, digest in digests.items():
        if name != CHANGED:
            client.put_object(Bucket=bucket, Key=archive_key(name, digest), Body=io.BytesIO(b"stored"))
    counting = Counting(client)
    folders = {model.name: (model.path, digests[model.name]) for model in models.models}
    done = publish(folders, S3Store(counting, bucket))
    assert done.uploaded == (CHANGED,)
    return counting.calls


def main() -> None:
    """Counts and prints."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    os.environ.update({"AWS_ENDPOINT_URL": f"http://{host}:{port}", **keys})
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            counts = {count: requests(Path(scratch) / str(count), count) for count in (1000, 2000)}
    finally:
        server.stop()
    print(report.machine())
    results = []
    for count, calls in counts.items():
        pages = -(-count // 1000)
        good = calls["PutObject"] == 1 and calls["ListObjectsV2"] <= pages and sum(calls.values()) <= pages + 2
        total = sum(calls.values())
        shown = ", ".join(f"{number} {name}" for name, number in sorted(calls.items()))
        alternative = f"asking for each: {count} HeadObject"
        results.append(
            report.line(
                f"one changed model of {count:,}",
                shown,
                alternative,
                total / count,
                "1 upload, a page per 1,000",
                good=good,
            )
        )
    report.finish(*results)


if __name__ == "__main__":
    main()
