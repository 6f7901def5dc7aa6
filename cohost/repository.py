"""The model repository of a release: all its models as one Triton repository, copied within the store."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final

from cohost.errors import InputError, PreconditionFailed, Problem
from cohost.gcs_layout import (
    REPOSITORIES,
    Manifest,
    RepositoryNote,
    artifact_folder,
    manifest_key,
    members,
    release_of,
    repository_folder,
    repository_key,
)
from cohost.parallel import Counter, in_parallel
from cohost.release import CANARY
from cohost.store import ObjectNotFound

if TYPE_CHECKING:
    from cohost.gcs import GcsStore

_THREADS: Final = 32
# The model that Triton on Vertex AI answers with when a request names none. Triton needs such a model where there are
# several, and ends when it cannot load it (vertex_ai_server.cc), so it is one of ours that cannot fail: y = x for one
# number, on the CPU.
_CONFIG: Final = f"""name: "{CANARY}"
backend: "onnxruntime"
max_batch_size: 0
input [ {{ name: "x" data_type: TYPE_FP32 dims: [ 1 ] }} ]
output [ {{ name: "y" data_type: TYPE_FP32 dims: [ 1 ] }} ]
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
"""
# An ONNX model of one Identity node from x to y, opset 17, IR version 8; written out, because onnx is no library
# that a deployment needs (tests/unit/test_publish_gcs.py makes it with onnx and compares).
_ONNX: Final = "CAg6PAoQCgF4EgF5IghJZGVudGl0eRIGY2FuYXJ5Wg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQEQ=="
CANARY_FILES: Final[Mapping[str, bytes]] = {
    f"{CANARY}/config.pbtxt": _CONFIG.encode(),
    f"{CANARY}/1/model.onnx": base64.b64decode(_ONNX),
}
"""The canary's files, by path in the repository."""


def lay_out(
    store: GcsStore,
    release: str,
    models: Mapping[str, str],
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> int:
    """Copies the artifacts of a release to `repositories/<release>/`, within the store.

    The repository is whole when `repositories/<release>.json` is there, which is written last; a run that was
    killed is finished by running it again, and what it has copied is not copied again.

    Args:
        store: Holds the artifacts.
        release: The release's digest.
        models: Digest by model name; each is published.
        progress: Called with (files done, files in all) at the start and after each file.
        cancelled: Asked before each file; True ends the work with `Cancelled`.

    Returns:
        How many files were copied.

    Raises:
        InputError: An artifact is not stored, or two models have a Triton model of the same name; all at once,
            and nothing was copied.
        StoreError: The store refused.
        Cancelled: `cancelled` said so.
    """
    note = RepositoryNote(release, models)
    if store.head(repository_key(release)) is not None:
        progress(0, 0)
        return 0
    manifests = in_parallel(
        models.items(), lambda model, _: _manifest(store, *model), threads=_THREADS, cancelled=cancelled
    )
    sources = _sources(dict(zip(models, manifests, strict=True)), models)
    there = {found.key for found in store.list(repository_folder(release))}
    folder = repository_folder(release)
    lacking = [path for path in sources if folder + path not in there]
    counter = Counter(len(sources), len(sources) - len(lacking), progress)
    counter.tell()

    def copy(path: str, _: Callable[[], bool]) -> int:
        try:
            store.copy(sources[path], folder + path)
            return 1
        except PreconditionFailed:
            return 0  # somebody else lays out the same release

    copied = in_parallel(lacking, copy, threads=_THREADS, cancelled=cancelled, after=lambda: counter.tell(1))
    for path, data in CANARY_FILES.items():
        _put(store, folder + path, data)
    _put(store, repository_key(release), note.to_json())
    return sum(copied)


def sweep(store: GcsStore, keep: Collection[str], cancelled: Callable[[], bool] = lambda: False) -> list[str]:
    """Deletes the model repositories of all releases but some.

    Nothing that is deployed needs one: Vertex AI makes a copy of its own when a model's version is uploaded ("Custom
    container requirements", AIP_STORAGE_URI). A later release of the same content lays it out again, by copies. What
    says that a repository is whole goes first, so that one half gone counts as unfinished.

    Args:
        store: Holds the repositories; artifacts and releases in it are not touched.
        keep: The releases whose repositories stay.
        cancelled: Asked before each file; True ends the work with `Cancelled`.

    Returns:
        The releases whose repositories went.

    Raises:
        StoreError: The store refused.
        Cancelled: `cancelled` said so.
    """
    keys = [found.key for found in store.list(REPOSITORIES)]
    gone = sorted({release for key in keys if (release := release_of(key))} - set(keep))
    notes = {repository_key(release) for release in gone}
    files = [key for key in keys if release_of(key) in gone and key not in notes]
    for those in (notes, files):
        in_parallel(those, lambda key, _: store.delete(key), threads=_THREADS, cancelled=cancelled)
    return gone


def _manifest(store: GcsStore, name: str, digest: str) -> Manifest:
    key = manifest_key(name, digest)
    try:
        return Manifest.from_json(store.get(key)[0], f"{store.url}/{key}")
    except ObjectNotFound as error:
        message = f"{store.url}/{key} is not stored: `cohost push` it, or give the model a path"
        raise InputError([Problem("", name, message)]) from error


def _sources(manifests: Mapping[str, Manifest], models: Mapping[str, str]) -> dict[str, str]:
    """The key to copy from, by path in the repository; refuses what cannot stand in one repository."""
    owners = {CANARY: ""}
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    for name, manifest in manifests.items():
        paths = members(name, manifest.files.keys())
        for triton_model in sorted({member.partition("/")[0] for member in paths.values()}):
            owner = owners.setdefault(triton_model, name)
            if owner != name:
                whose = f"model {owner}" if owner else "cohost itself"
                message = f"has a Triton model named {triton_model}, and so has {whose}: rename one of them"
                problems.append(Problem("", name, message))
        prefix = artifact_folder(name, models[name])
        sources |= {member: prefix + member for member in paths.values()}
    if problems:
        raise InputError(problems)
    return sources


def _put(store: GcsStore, key: str, data: bytes) -> None:
    try:
        store.put_bytes(key, data, if_none_match=True)
    except PreconditionFailed:
        return  # it is there already
