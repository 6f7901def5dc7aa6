"""What Google refuses, as one line with Google's own words and the remedy.

The error model is google.rpc.Status with google.rpc.ErrorInfo in its details (google.aip.dev/193): `status` is its
code's name, `reason` and `metadata` stand in ErrorInfo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from cohost.errors import CohostError, DeploymentError

_IMAGE: Final = ("pkg.dev", "container image", "artifact registry", "artifactregistry")
_AGENT: Final = "gcp-sa-aiplatform"
# As in "custom_model_serving_nvidia_l4_gpus" and "CustomModelServingL4GPUsPerProjectPerRegion".
_QUOTA: Final = re.compile(r"\b(?:[a-z0-9]+_\w+|[A-Z][a-z]+[A-Z]\w+)")
# As in "Permission 'aiplatform.models.upload' denied on resource '//…' (or it may not exist)."
_PERMISSION: Final = re.compile(r"Permission '([\w.]+)' denied")
SIGN_IN: Final = (
    "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to the file of a credential"
)
# Where ErrorInfo is missing; HTTP alone cannot tell FAILED_PRECONDITION from INVALID_ARGUMENT, nor ABORTED.
_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True)
class Failure:
    """An error of Google's.

    Attributes:
        status: The code's name: "PERMISSION_DENIED".
        message: Google's words.
        reason: ErrorInfo's reason ("SERVICE_DISABLED"), or "".
        metadata: ErrorInfo's metadata: which permission, quota or service.
    """

    status: str
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_status(cls, status: Mapping[str, Any]) -> Failure:
        """Reads a google.rpc.Status as the JSON of an operation's `error` holds it, its code being gRPC's number."""
        code = int(status.get("code", 2))
        return cls._read(status, _GRPC[code] if code < len(_GRPC) else "UNKNOWN")

    @classmethod
    def of_response(cls, response: Any) -> Failure:
        """Reads the answer to an HTTP request (of `requests`)."""
        fallback = _STATUS.get(response.status_code, f"HTTP {response.status_code}")
        try:
            found = response.json()
            found = found[0] if isinstance(found, list) else found  # what streaming methods answer
            error = found["error"]
        except (ValueError, KeyError, IndexError, TypeError):
            return cls(fallback, (response.text or "no reason given").strip()[:500])
        return cls._read(error if isinstance(error, Mapping) else {"message": str(error)}, fallback)

    @classmethod
    def _read(cls, error: Mapping[str, Any], fallback: str) -> Failure:
        infos = (detail for detail in error.get("details", ()) if str(detail.get("@type", "")).endswith(".ErrorInfo"))
        info = next(infos, {})
        message = " ".join(str(error.get("message") or "no reason given").split())
        return cls(str(error.get("status") or fallback), message, info.get("reason", ""), info.get("metadata", {}))

    @property
    def passing(self) -> bool:
        """Whether waiting helps: an API just enabled, a grant to a service agent that is not in effect yet."""
        if self.reason in ("SERVICE_DISABLED", "RATE_LIMIT_EXCEEDED"):
            return True
        if self.of_image:  # which nothing that is deployed here grants: waiting would only hide what is wrong
            return False
        agent = _AGENT in self.message or "service agent" in self.message.lower()
        return agent and self.status in ("PERMISSION_DENIED", "FAILED_PRECONDITION", "INVALID_ARGUMENT")

    @property
    def of_image(self) -> bool:
        """Whether it is about a container's image."""
        return any(word in self.message.lower() for word in _IMAGE)


_GRPC: Final = (  # google.rpc.Code
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)


class GoogleError(DeploymentError):
    """Google refused or failed what was asked.

    Attributes:
        failure: What Google said; its status is "" where Google was not reached.
        said: What was tried, and Google's words, without the remedy.
    """

    def __init__(self, doing: str, failure: Failure) -> None:
        """Words it.

        Args:
            doing: What was tried: "uploading the model iris".
            failure: What Google said.
        """
        self.failure = failure
        said = f"{failure.status}: {failure.message}" if failure.status else failure.message
        remedy = _remedy(failure)
        self.said = f"{doing}: {said.rstrip('.')}"
        super().__init__(f"{self.said}{': ' if remedy else ''}{remedy}")

    @property
    def status(self) -> str:
        """The name of google.rpc.Code's value, such as "NOT_FOUND"; "" where Google was not reached."""
        return self.failure.status

    @property
    def reason(self) -> str:
        """The reason of google.rpc.ErrorInfo, such as "SERVICE_DISABLED", or ""."""
        return self.failure.reason


def failure_of(response: Any) -> Exception:
    """The error that an HTTP answer (of `requests`) stands for; inside `words` it is told with what was done."""
    return GoogleError("calling Google", Failure.of_response(response))


@contextmanager
def words(doing: str) -> Iterator[None]:
    """Turns what Google's libraries raise into one line that holds Google's own words and the remedy.

    Args:
        doing: What was tried, as in "looking at the model iris"; of nested ones the outermost is told.

    Raises:
        GoogleError: In place of any error of google.api_core, google.auth and requests.
    """
    try:
        yield
    except GoogleError as error:
        raise GoogleError(doing, error.failure) from error
    except CohostError:
        raise
    except Exception as error:
        failure = _failure(error)
        if failure is None:
            raise
        raise GoogleError(doing, failure) from error


def _failure(error: Exception) -> Failure | None:
    """What Google said, or None when the error is none of its libraries'; these are loaded where they raise."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        return _failure(error.cause)
    if isinstance(error, GoogleAPICallError):
        if error.response is not None:
            return Failure.of_response(error.response)
        status = error.grpc_status_code.name if error.grpc_status_code else _STATUS.get(int(error.code or 0), "UNKNOWN")
        return Failure(status, error.message or "no reason given", error.reason or "", error.metadata or {})
    if isinstance(error, GoogleAuthError):
        return Failure("UNAUTHENTICATED", str(error.args[0] if error.args else error))
    if isinstance(error, RequestException):
        return Failure("", f"Google cannot be reached: {error}")
    return None


def _remedy(failure: Failure) -> str:
    """What to do; "" where Google's words already tell, or nobody can know."""
    if failure.reason == "SERVICE_DISABLED":
        service = failure.metadata.get("service", "aiplatform.googleapis.com")
        return f"enable the API by `gcloud services enable {service}`, wait a few minutes, then `up` again"
    if failure.status == "UNAUTHENTICATED":
        return SIGN_IN
    if failure.status == "RESOURCE_EXHAUSTED":
        return _quota(failure)
    if failure.of_image:
        return (
            "the image must stand in an Artifact Registry repository of the model's region, where Vertex AI's service "
            "agent may read it (roles/artifactregistry.reader, if it is another project's)"
        )
    if failure.status == "PERMISSION_DENIED":
        return _permission(failure)
    return ""


def _quota(failure: Failure) -> str:
    if failure.reason == "RATE_LIMIT_EXCEEDED":
        return "too many calls in a minute; `up` again goes on"
    name = failure.metadata.get("quota_metric") or failure.metadata.get("quota_limit")
    if not name and (found := _QUOTA.search(failure.message)):
        name = found.group()
    which = f'the quota "{name}"' if name else "the quota that it names"
    return (
        f"ask for more of {which} at https://console.cloud.google.com/iam-admin/quotas, or choose another region or "
        "machine"
    )


def _permission(failure: Failure) -> str:
    if _AGENT in failure.message:
        return (
            "grant Vertex AI's service agent what it lacks (roles/storage.objectViewer on the store's bucket, for a "
            "model's files), wait a few minutes, then `up` again"
        )
    permission, resource = failure.metadata.get("permission"), failure.metadata.get("resource")
    if not permission and (found := _PERMISSION.search(failure.message)):
        permission = found[1]
    what = f"a role with the permission {permission}" if permission else "a role that allows it (roles/aiplatform.user)"
    return f"grant the account that deploys {what}{f' on {resource}' if resource else ''}"
