"""Long-running operations of Vertex AI, polled at `/v1/{operation}` so that a later run can take one up by name.

The GAPIC clients' own polling over REST goes to `/ui/…` and ends after 900 s. Fields: google.longrunning.Operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from cohost.provider.context import Context
from cohost.provider.google import Google, GoogleError, words
from cohost.provider.google_errors import Failure
from cohost.provider.patience import patiently

Operation = Mapping[str, Any]
_PAGE: Final = "100"


def start(context: Context, doing: str, call: Callable[[], Any]) -> str:
    """Begins an operation and returns its full name.

    Args:
        context: The operation of the plugin.
        doing: What is done, for the message of a refusal: "uploading the model iris".
        call: A GAPIC method that answers a google.api_core Operation, such as `clients.models.upload_model`; called
            again when it came too soon after an API was enabled or a service agent was granted something.

    Raises:
        GoogleError: Refused.
        OperationCancelled: The operation must end first.
    """
    return patiently(context, doing, call).operation.name


def wait(
    context: Context,
    google: Google,
    region: str,
    name: str,
    on_metadata: Callable[[Mapping[str, Any]], None] = lambda _: None,
    *,
    doing: str = "",
) -> dict[str, Any]:
    """Waits until an operation is done and returns its response.

    Args:
        context: The operation of the plugin, whose deadline and cancellation end the waiting.
        google: The clients.
        region: Where.
        name: Full name of Google's operation.
        on_metadata: Called with its metadata at every poll.
        doing: What is waited for; "waiting for <name>" without it.

    Raises:
        GoogleError: It failed, with Google's words, or Google no longer knows it (status "NOT_FOUND").
        OperationCancelled: The operation of the plugin must end first; Google's goes on.
    """
    doing = doing or f"waiting for {name}"
    for _ in context.polls(doing):
        found = _polled(google, region, name, doing)
        on_metadata(found.get("metadata", {}))
        if not found.get("done"):
            continue
        if error := found.get("error"):
            raise GoogleError(doing, Failure.of_status(error))
        return found.get("response", {})
    raise AssertionError("polls ends by an exception only")


def _polled(google: Google, region: str, name: str, doing: str) -> Operation:
    try:
        with words(doing):
            return google.clients(region).get(name)
    except GoogleError as error:
        if error.status != "NOT_FOUND":
            raise
        lost = f"{error.failure.message.rstrip('.')}; Google does not know {name} any more: `up` again goes on"
        raise GoogleError(doing, replace(error.failure, message=f"{lost} from what came of it")) from error


def ended(google: Google, region: str, name: str) -> bool:
    """Whether an operation is over, as far as Google tells; one that it does not know any more is."""
    try:
        return bool(google.clients(region).get(name).get("done"))
    except GoogleError as error:
        return error.status == "NOT_FOUND"


def find(
    google: Google,
    region: str,
    parent: str,
    *,
    kind: str,
    predicate: Callable[[Operation], bool] = lambda _: True,
) -> str | None:
    """The name of a running operation, such as one that a killed run began.

    Args:
        google: The clients.
        region: Where.
        parent: Whose operations: full name of a model, an endpoint or a location.
        kind: The type of its metadata, without the package: "DeployModelOperationMetadata".
        predicate: Whether it is the one, by google.longrunning.Operation as JSON.

    Raises:
        GoogleError: Google cannot be asked; a parent that is not there has none.
    """
    page = ""
    while True:
        query = {"pageSize": _PAGE, **({"pageToken": page} if page else {})}
        try:
            with words(f"looking for running operations of {parent}"):
                found = google.clients(region).get(f"{parent}/operations", **query)
        except GoogleError as error:
            if error.status == "NOT_FOUND":
                return None
            raise
        for operation in found.get("operations", ()):
            type_ = str(operation.get("metadata", {}).get("@type", ""))
            if not operation.get("done") and type_.endswith(f".{kind}") and predicate(operation):
                return operation["name"]
        page = found.get("nextPageToken", "")
        if not page:
            return None
