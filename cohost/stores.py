"""Opens the store that a URL names."""

from __future__ import annotations

from typing import Any

from cohost.store import ObjectStore


def open_store(url: str, *, region: str | None = None, session: Any = None) -> ObjectStore:
    """Opens the store of a URL.

    Args:
        url: `s3://<bucket>` or `s3://<bucket>/<prefix>`.
        region: The bucket's region; None = from the environment.
        session: The boto3 session whose credentials it takes; None = those of the environment.

    Raises:
        InputError: The URL is none of these.
    """
    from cohost.s3 import S3Store  # boto3 takes 0.3 s to import: only who opens a store pays for it

    return S3Store.open(url, region=region, session=session)
