"""`cohost:index:ArtifactSet`: every artifact of a catalog in the store, as one resource."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from cohost.errors import CohostError, InputError, Problem
from cohost.gcs_layout import repository_key
from cohost.layout import FOLDERS, layout_of, present, publish
from cohost.provider import properties
from cohost.provider.context import Context
from cohost.provider.current import bucket_region, read_current
from cohost.provider.resource import Change, PartialFailure, State, Values
from cohost.provider.values import UNKNOWN, known
from cohost.release import Release

if TYPE_CHECKING:
    from cohost.gcs import GcsStore
    from cohost.store import ObjectStore

DEFAULT_CATALOG: Final = "model_artifacts/catalog.yaml"
_FIELDS: Final = {
    "region": properties.text,
    "store": properties.store_url,
    "catalog": properties.text,
    "models": properties.digests,
}


class ArtifactSet:
    """Uploads what the store lacks; updates only add, because an old version may still be called.

    The store is the content, so another store is another resource: the new one is filled before the old one
    is emptied. Another region with the same store only says how to reach the same bucket: replacing would
    empty what has just been filled.
    """

    def identify(self, inputs: Values) -> str:
        """The store's URL."""
        return inputs["store"]

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterator[Problem]:
        """Checks the inputs, that a new store lies apart from the old one, and that there is room for archives."""
        found = list(properties.problems(news, _FIELDS))
        yield from found
        catalog = news.get("catalog")
        if isinstance(catalog, str) and catalog and not (context.root / catalog).is_file():
            yield Problem("", "catalog", f"there is no file {context.root / catalog}")
        elif not found:
            yield from _no_room(context, olds or {}, news)
        old, new = (olds or {}).get("store"), news.get("store")
        if isinstance(old, str) and isinstance(new, str) and old != new and _overlap(old, new):
            yield Problem(
                "", "store", f"{new} and the store of before, {old}, lie in each other: emptying the old one "
                "would empty the new one too; choose a prefix beside the old one"
            )  # fmt: skip

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """One entry for each changed model."""
        return properties.compare(outputs, news, fields=_FIELDS, replacing=("store",))

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """The release is known as soon as the digests are."""
        return _outputs(news)

    def create(self, context: Context, inputs: Values) -> Values:
        """Uploads every model that the store lacks; what a killed create has uploaded is found there."""
        store = context.store(inputs["store"], inputs["region"])
        try:
            _publish(context, store, inputs, inputs["models"])
        except CohostError as error:
            there: dict[str, str] = {}
            with suppress(CohostError):  # the reason of the failure is the one to tell
                there = present(store, inputs["models"])
            if not there:
                raise
            raise PartialFailure(str(error), _outputs({**inputs, "models": there})) from error
        return _outputs(inputs)

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Uploads changed models only. After a failure the old outputs are still true.

        Then the model repositories of releases before the one of the outputs go, but for that of the active release.
        """
        store, new = context.store(inputs["store"], inputs["region"]), _outputs(inputs)
        _publish(context, store, inputs, _changed(outputs, inputs))
        if layout_of(store.url) is FOLDERS:
            _sweep(context, store, {new["release"], outputs["release"]})
        return new

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """Which artifacts are really there: one that is missing is missing in `models`, so `up` brings it.

        The id of an import is the store's URL; `#<path>` after it names the catalog where it is not
        `model_artifacts/catalog.yaml`. The models are those of the active release.
        """
        if outputs is None:
            return _import(context, id)
        from cohost.store import BucketNotFound

        store = context.store(outputs["store"], outputs["region"])
        try:
            there = _present(store, outputs["models"])
        except BucketNotFound:
            return None
        found = _outputs({**outputs, "models": there})
        return State(id, {name: found[name] for name in _FIELDS}, found)

    def delete(self, context: Context, outputs: Values) -> None:
        """Deletes what this project wrote: all versions, delete markers and unfinished uploads included."""
        store = context.store(outputs["store"], outputs["region"])
        deleted = 0
        for prefix in layout_of(store.url).prefixes:
            context.ensure_running(f"deleting {outputs['store']}")
            context.status(f"deleting {outputs['store']}/{prefix} ({deleted} deleted)", last=True)
            deleted += store.delete_all(prefix)
        context.status(f"deleted {deleted} object versions", last=True)


def _outputs(inputs: Values) -> dict[str, Any]:
    return {**{name: inputs[name] for name in _FIELDS}, "release": _release(inputs["models"])}


def _changed(before: Values, news: Values) -> dict[str, str]:
    old = before.get("models") or {}
    return {name: digest for name, digest in news["models"].items() if old.get(name) != digest}


def _release(models: Any) -> Any:
    return Release(models).digest if known(models) else UNKNOWN


def _publish(context: Context, store: ObjectStore, inputs: Values, models: Mapping[str, str]) -> None:
    from cohost.store import Cancelled

    try:
        if models:
            _upload(context, store, inputs, models)
        if layout_of(store.url) is FOLDERS:
            _lay_out(context, store, inputs["models"])
    except Cancelled:
        context.ensure_running("uploading models")
        raise


def _upload(context: Context, store: ObjectStore, inputs: Values, models: Mapping[str, str]) -> None:
    folders = _folders(context.root / inputs["catalog"], models)

    def progress(done: int, total: int) -> None:
        context.status(f"uploading {done}/{total} models", last=done == total)

    published = publish(folders, store, progress=progress, cancelled=context.stopped)
    if published.uploaded:
        megabytes = published.bytes_sent / 1e6
        context.status(f"uploaded {len(published.uploaded)} models, {megabytes:.1f} MB", last=True)


def _folders(catalog: Path, models: Mapping[str, str]) -> dict[str, tuple[Path | None, str]]:
    """Where each model's files are.

    Raises:
        InputError: The catalog is not what the program has read.
    """
    from cohost.catalog import load

    listed = {model.name: model for model in load(catalog).models}
    missing = [name for name in models if name not in listed]
    if missing:
        message = "is no longer in the catalog: it changed while the program ran; run again"
        raise InputError(Problem(str(catalog), name, message) for name in missing)
    return {name: (listed[name].path, digest) for name, digest in models.items()}


def _lay_out(context: Context, store: ObjectStore, models: Mapping[str, str]) -> None:
    from cohost.repository import lay_out

    def progress(done: int, total: int) -> None:
        context.status(f"laying out the model repository: {done}/{total} files copied", last=done == total)

    lay_out(cast("GcsStore", store), Release(models).digest, models, progress, context.stopped)


def _sweep(context: Context, store: ObjectStore, keep: set[str]) -> None:
    """What fails here is told, and keeps no release from being deployed."""
    from cohost.repository import sweep

    try:
        current = read_current(store)
        active = {current.release.release} if current else set[str]()
        gone = sweep(cast("GcsStore", store), keep | active, context.stopped)
    except CohostError as error:
        context.warning(f"model repositories of old releases stay in {store.url}/repositories/: {error}")
        return
    if gone:
        context.info(f"deleted the model repositories of {len(gone)} old releases")


def _present(store: ObjectStore, models: Mapping[str, str]) -> dict[str, str]:
    """Those of the models that are stored; none where the release's model repository is not whole."""
    if layout_of(store.url) is FOLDERS and store.head(repository_key(Release(models).digest)) is None:
        return {}
    return present(store, models)


def _no_room(context: Context, olds: Values, news: Values) -> Iterator[Problem]:
    """Said in a preview already: a disk that fills up ends a deployment half-way."""
    from cohost.catalog import load
    from cohost.folder import scan
    from cohost.publish import scratch_bytes

    if news["models"] is UNKNOWN or news["catalog"] is UNKNOWN or not (changed := _changed(olds, news)):
        return
    if news["store"] is not UNKNOWN and not layout_of(news["store"]).packs:
        return
    models = load(context.root / news["catalog"]).models
    scans = [scan(model.path) for model in models if model.path and model.name in changed]
    needed = scratch_bytes([sum(file.size for file in found.artifact_files) for found in scans])
    scratch = tempfile.gettempdir()
    free = shutil.disk_usage(scratch).free
    if free < needed:
        yield Problem(
            "", "models", f"packing them takes up to {needed / 1e6:,.0f} MB of scratch space, and {scratch} has "
            f"{free / 1e6:,.0f} MB: free some, or name a folder with more in TMPDIR"
        )  # fmt: skip


def _import(context: Context, id: str) -> State | None:
    url, _, catalog = id.partition("#")
    region = bucket_region(context, url)
    current = read_current(context.store(url, region))
    if current is None:
        return None
    models = {name: model.digest for name, model in current.release.models.items()}
    found = _outputs({"region": region, "store": url, "catalog": catalog or DEFAULT_CATALOG, "models": models})
    return State(url, {name: found[name] for name in _FIELDS}, found)


def _overlap(one: str, other: str) -> bool:
    one, other = one + "/", other + "/"
    return one.startswith(other) or other.startswith(one)
