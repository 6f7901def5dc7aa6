"""Cloud Storage's refusals in words that say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import requests
from google.api_core import exceptions
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption

from cohost.errors import PreconditionFailed, StoreError
from cohost.store import BucketNotFound, ObjectNotFound

_PERMISSION: Final = re.compile(r"\bstorage\.[a-zA-Z]+\.[a-zA-Z]+\b")
_DAMAGED: Final = re.compile(r"doesn't match calculated", re.IGNORECASE)
_INVALID: Final = "the Google credentials are not valid (any more)"
_LOGIN: Final = "log in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns the errors of Google's libraries into this project's.

    Args:
        what: The call and its object, "write gs://bucket/key".

    Raises:
        PreconditionFailed: Somebody else wrote first (412).
        ObjectNotFound: No such object.
        StoreError: Everything else.
    """
    try:
        yield
    except exceptions.GoogleAPICallError as error:
        raise _translate(what, error) from error
    except exceptions.RetryError as error:
        raise StoreError(f"{what}: tried again and again, in vain: {error.cause or error}") from error
    except DataCorruption as error:
        raise StoreError(f"{what}: the bytes were damaged on the way: {error}") from error
    except auth.DefaultCredentialsError as error:
        raise StoreError(f"{what}: no Google credentials: {_LOGIN}") from error
    except auth.RefreshError as error:
        raise StoreError(
            f"{what}: the Google credentials are not valid (any more): {error.args[0]}: {_LOGIN}"
        ) from error
    except (auth.TransportError, requests.RequestException) as error:
        raise StoreError(f"{what}: cannot reach Cloud Storage: {error}") from error


def is_missing_bucket(error: exceptions.NotFound) -> bool:
    """Whether it is the bucket that was not found, not the object."""
    return "bucket does not exist" in words(error)


def words(error: exceptions.GoogleAPICallError) -> str:
    """Google's own words; of an upload's error the library gives the whole body, which holds them."""
    response: Any = error.response
    try:
        return response.json()["error"]["message"]
    except (AttributeError, ValueError, KeyError, TypeError):
        return str(error.message)


def _translate(what: str, error: exceptions.GoogleAPICallError) -> StoreError:
    message = f"{words(error)} ({error.code})"
    if isinstance(error, exceptions.PreconditionFailed):
        return PreconditionFailed(f"{what}: somebody else wrote it first: {message}")
    if isinstance(error, exceptions.NotFound):
        if is_missing_bucket(error):
            return BucketNotFound(f"{what}: the bucket does not exist")
        return ObjectNotFound(f"{what}: there is no such object")
    if isinstance(error, exceptions.Forbidden):
        named = _PERMISSION.search(message)
        needed = f"the permission {named[0]}" if named else "the permission, as roles/storage.objectUser does,"
        return StoreError(f"{what}: access denied: {message}: a role must give the caller {needed} on the bucket")
    if isinstance(error, exceptions.Unauthorized):
        return StoreError(f"{what}: {_INVALID}: {message}: {_LOGIN}")
    if isinstance(error, exceptions.BadRequest) and _DAMAGED.search(message):
        return StoreError(f"{what}: the bytes were damaged on the way, Cloud Storage did not keep them: {message}")
    return StoreError(f"{what}: {message}")
