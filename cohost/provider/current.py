"""The store's `releases/current.json`, as the plugin reads, writes and deletes it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cohost.errors import DeploymentError, PreconditionFailed
from cohost.provider.aws import own_words
from cohost.provider.context import Context
from cohost.release import CURRENT_KEY, ActiveRelease, Release, inputs_from_json, release_key

if TYPE_CHECKING:
    from cohost.store import ObjectStore


@dataclass(frozen=True)
class Current:
    """The active release at one moment.

    Attributes:
        release: What it says.
        etag: The object's version, to write only over this one.
    """

    release: ActiveRelease
    etag: str


def read_current(store: ObjectStore) -> Current | None:
    """The active release, or None when there is none (or no bucket)."""
    from cohost.store import BucketNotFound, ObjectNotFound

    try:
        data, etag = store.get(CURRENT_KEY)
    except (ObjectNotFound, BucketNotFound):
        return None
    return Current(ActiveRelease.from_json(data), etag)


def known_inputs(store: ObjectStore, current: Current | None, models: Mapping[str, str]) -> dict[str, str]:
    """What those of the models take that the active release has at the same digest."""
    from cohost.store import ObjectNotFound

    if current is None:
        return {}
    try:
        data, _ = store.get(release_key(current.release.release))
    except ObjectNotFound:
        return {}
    before = inputs_from_json(data)
    return {name: before[name][1] for name, digest in models.items() if name in before and before[name][0] == digest}


def activate(store: ObjectStore, release: ActiveRelease, before: Current | None, inputs: Mapping[str, str]) -> None:
    """Makes a release the one that callers get, if nobody else has written one since `before` was read.

    Args:
        store: Where callers look.
        release: The release.
        before: The one that is active.
        inputs: What each model takes, in one phrase for people.

    Raises:
        DeploymentError: Somebody else has.
    """
    if before is not None and before.release == release:
        return
    models = {name: model.digest for name, model in release.models.items()}
    # There already: the same content, under a key that names it.
    with suppress(PreconditionFailed):
        store.put_bytes(release_key(release.release), Release(models).to_json(inputs), if_none_match=True)
    try:
        store.put_bytes(
            CURRENT_KEY,
            release.to_json(),
            if_match=before.etag if before else None,
            if_none_match=before is None,
        )
    except PreconditionFailed as error:
        # Our own, when the answer to a first try was lost and the client tried again.
        written = read_current(store)
        if written is not None and written.release == release:
            return
        raise DeploymentError(
            f"{store.url}/{CURRENT_KEY} was written by somebody else while this release was verified: "
            "two deployments share the store; wait for the other one, then run `up` again"
        ) from error


def bucket_region(context: Context, url: str) -> str:
    """The region of a store's bucket (S3 API reference, GetBucketLocation: none means us-east-1)."""
    if url.startswith("gs://"):
        return context.gcp.bucket_region(url)
    bucket = url.removeprefix("s3://").partition("/")[0]
    with own_words(f"looking for the bucket {bucket}"):
        found = context.aws.client("s3", "us-east-1").get_bucket_location(Bucket=bucket)
    return found.get("LocationConstraint") or "us-east-1"
