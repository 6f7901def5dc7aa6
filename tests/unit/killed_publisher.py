"""Publishes models and is killed, with -9, in the middle of it: `python -m tests.unit.killed_publisher …`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import boto3

from cohost import artifact
from cohost.publish import publish
from cohost.s3 import S3Store


class Killing:
    """A client whose process ends at the n-th call of an operation, before or after the call is made."""

    def __init__(self, client: Any, operation: str, at: int) -> None:
        self._client = client
        self._operation = operation
        self._left = at
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name != self._operation:
            return method

        def call(**kwargs: Any) -> Any:
            answer = method(**kwargs)
            with self._lock:
                self._left -= 1
                if self._left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


if __name__ == "__main__":
    bucket, operation, at, *folders = sys.argv[1:]
    client = Killing(boto3.client("s3"), operation, int(at))
    models = {Path(folder).name: (Path(folder), artifact.digest(Path(folder))) for folder in folders}
    publish(models, S3Store(client, bucket, "p/", multipart_above=16 << 20))
