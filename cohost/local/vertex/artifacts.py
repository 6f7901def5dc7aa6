"""The frozen copies of models' artifacts: made when a model is uploaded, never changed, gone with the model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from cohost.local.vertex.errors import invalid, precondition

_SCHEME: Final = "gs://"
_RETRY_SECONDS: Final = 5.0


class Artifacts:
    """A folder of copies, one for each version of a model."""

    def __init__(self, folder: Path, storage_url: str) -> None:
        """Begins with the copies there are.

        Args:
            folder: Where they are kept.
            storage_url: Where Cloud Storage answers.
        """
        self._folder, self._storage_url = folder, storage_url

    def path(self, model: str, version: str) -> Path:
        """Returns where the copy of a model's version is, or would be."""
        return self._folder / model.replace("/", "-") / version

    def freeze(self, uri: str, model: str, version: str) -> None:
        """Copies all objects below a URI; without one the copy is empty.

        Raises:
            VertexError: There are none, or they cannot be read.
        """
        target = self.path(model, version)
        self.discard(model, version)
        target.mkdir(parents=True)
        if uri:
            self._copy(uri, target)

    def discard(self, model: str, version: str = "") -> None:
        """Removes the copy of a version, or those of every version."""
        shutil.rmtree(self.path(model, version), ignore_errors=True)

    def _copy(self, uri: str, target: Path) -> None:
        from google.api_core.exceptions import GoogleAPIError
        from google.cloud.storage.retry import DEFAULT_RETRY
        from requests.exceptions import RequestException

        bucket, _, prefix = uri.removeprefix(_SCHEME).partition("/")
        prefix = prefix.rstrip("/") + "/" if prefix.rstrip("/") else ""
        copied, retry = 0, DEFAULT_RETRY.with_timeout(_RETRY_SECONDS)
        try:
            for blob in self._client().list_blobs(bucket, prefix=prefix, retry=retry):
                relative = blob.name[len(prefix) :]
                if not relative or relative.endswith("/"):
                    continue
                path = _inside(target, relative)
                path.parent.mkdir(parents=True, exist_ok=True)
                blob.download_to_filename(str(path), retry=retry)
                copied += 1
        except (GoogleAPIError, RequestException) as error:
            raise precondition(f'The artifacts under "{uri}" cannot be read: {error}') from error
        if not copied:
            raise precondition(f'There are no files under "{uri}" to copy.')

    def _client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(
            project="vertex-ai",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self._storage_url},
        )


def check_uri(uri: str) -> None:
    """Checks the form of an artifact_uri.

    Raises:
        VertexError: It is not a folder of Cloud Storage.
    """
    if uri and not (uri.startswith(_SCHEME) and uri.removeprefix(_SCHEME).partition("/")[0]):
        raise invalid(f'The artifact_uri "{uri}" is not of the form gs://bucket/folder.')


def _inside(folder: Path, relative: str) -> Path:
    """Returns a path below a folder; an object's name must not lead out of it."""
    path = folder / relative
    if not path.resolve().is_relative_to(folder.resolve()):
        raise precondition(f'The object "{relative}" cannot be a file.')
    return path
