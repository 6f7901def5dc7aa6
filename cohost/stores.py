"""Opens the store that a URL names."""

from __future__ import annotations

from typing import Any

from cohost.errors import InputError, Problem
from cohost.store import ObjectStore


def open_store(url: str, *, region: str | None = None, session: Any = None, credentials: Any = None) -> ObjectStore:
    """Opens the store of a URL.

    Args:
        url: `s3://<bucket>` or `gs://<bucket>`, with or without `/<prefix>`.
        region: The region of a bucket on S3; None = from the environment.
        session: The boto3 session whose credentials S3 takes; None = those of the environment.
        credentials: The google-auth credentials that Cloud Storage takes; None = those of the environment.

    Raises:
        InputError: The URL is none of these.
        StoreError: There are no credentials, or no region.
    """
    # Each cloud's library takes 0.3 s or more to import: only who opens one of its stores pays for it.
    if url.startswith("gs://"):
        from cohost.gcs import GcsStore

        return GcsStore.open(url, credentials=credentials)
    if url.startswith("s3://"):
        from cohost.s3 import S3Store

        return S3Store.open(url, region=region, session=session)
    message = f'"{url}" must be s3://<bucket> or gs://<bucket>, with or without /<prefix>'
    raise InputError([Problem("", "store", message)])
