"""S3's refusals in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)

from cohost.errors import PreconditionFailed, StoreError
from cohost.store import BucketNotFound, ObjectNotFound

_PRECONDITION = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_NOT_FOUND = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchVersion"})
_DENIED = frozenset({"AccessDenied", "403", "AllAccessDisabled", "Forbidden"})
_DAMAGED = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"})
_CREDENTIALS = frozenset({"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"})
_ELSEWHERE = frozenset({"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"})


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns botocore's errors into this project's.

    Args:
        what: The call and its object, "put s3://bucket/key".

    Raises:
        PreconditionFailed: Somebody else wrote first (412, and 409 for two writers at the same time).
        ObjectNotFound: No such object.
        StoreError: Everything else.
    """
    try:
        yield
    except ClientError as error:
        raise _translate(what, error) from error
    except NoCredentialsError as error:
        raise StoreError(f"{what}: no AWS credentials: set AWS_PROFILE, or log in with `aws sso login`") from error
    except NoRegionError as error:
        raise StoreError(f"{what}: no AWS region: set aws:region in the stack's config or AWS_REGION") from error
    except EndpointConnectionError as error:
        raise StoreError(f"{what}: cannot reach S3: {error}") from error
    except BotoCoreError as error:
        raise StoreError(f"{what}: {error}") from error


def code_of(error: ClientError) -> str:
    """S3's code of an error: "AccessDenied", or the HTTP status where there was no body (HEAD)."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _translate(what: str, error: ClientError) -> StoreError:
    code = code_of(error)
    message = f"{error.response.get('Error', {}).get('Message', '')} ({code})"
    if code in _PRECONDITION:
        return PreconditionFailed(f"{what}: somebody else wrote it first: {message}")
    if code in _NOT_FOUND:
        return ObjectNotFound(f"{what}: there is no such object")
    if code == "NoSuchBucket":
        return BucketNotFound(f"{what}: the bucket does not exist")
    if code in _DENIED:
        return StoreError(f"{what}: access denied: {message}: the caller's policy must allow it, for bucket and key")
    if code in _DAMAGED:
        return StoreError(f"{what}: the bytes were damaged on the way, S3 did not keep them: {message}")
    if code in _CREDENTIALS:
        return StoreError(f"{what}: the AWS credentials are not valid (any more): {message}")
    if code in _ELSEWHERE:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = headers.get("x-amz-bucket-region", "another region")
        return StoreError(f"{what}: the bucket is in {region}: set aws:region to the bucket's region")
    return StoreError(f"{what}: {message}")
