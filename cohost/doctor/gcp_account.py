"""Who is asking on Google Cloud, and whether Vertex AI is offered in the region."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Final

from cohost.doctor.check import Finding, Step, failed, ok, skipped
from cohost.doctor.environment import differing
from cohost.doctor.subject import Subject
from cohost.provider import google_api
from cohost.provider.google import Google, GoogleError, words
from cohost.provider.google_errors import SIGN_IN

CREDENTIALS: Final = "credentials"
PROJECT: Final = "project"
REGION: Final = "region"
REGION_ON: Final = "region offered"
_SECONDS: Final = 10
# Read by google-auth when it is imported: off Google's machines nobody answers, and its own patience is 9 seconds.
_BRIEFLY: Final = {"GCE_METADATA_TIMEOUT": "1", "GCE_METADATA_DETECT_RETRIES": "1"}
# The gcp provider reads them where the configuration says nothing (pulumi-gcp, "Installation & configuration").
_PROJECTS: Final = ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
_REGIONS: Final = ("GOOGLE_REGION", "GCLOUD_REGION", "CLOUDSDK_COMPUTE_REGION")


def steps(subject: Subject, google: Google) -> tuple[Step, ...]:
    """Returns the checks of account, project and region."""
    project, region = (subject.config.get(f"gcp:{name}", "") for name in ("project", "region"))
    return (
        Step(CREDENTIALS, lambda: credentials(google)),
        Step(PROJECT, lambda: _given("gcp:project", project, "my-project", _PROJECTS)),
        Step(REGION, lambda: _given("gcp:region", region, "europe-west4", _REGIONS)),
        Step(REGION_ON, lambda: offered(google, project, region), needs=(CREDENTIALS, PROJECT, REGION)),
    )


def credentials(google: Google) -> Finding:
    """Gets a token, and tells whose it is."""
    for name, value in _BRIEFLY.items():
        os.environ.setdefault(name, value)
    from google.auth.transport.requests import Request

    try:
        found = google.credentials()
        with words("getting a token of Google's"):
            found.refresh(partial(Request(), timeout=_SECONDS))
    except GoogleError as error:
        return failed(error.said, SIGN_IN)
    return ok(_who(found))


def _who(found: Any) -> str:
    """A service account's name; that of a person is in no credential of google-auth's."""
    name = getattr(found, "service_account_email", "") or getattr(found, "account", "")
    return name or f"credentials of the kind {type(found).__module__}"


def _given(key: str, value: str, example: str, variables: tuple[str, ...]) -> Finding:
    if not value:
        return failed(f"{key} is missing", f"pulumi config set {key} {example}")
    return differing(key, value, variables) or ok(value)


def offered(google: Google, project: str, region: str) -> Finding:
    """Asks Vertex AI in the region for the region (its Location service, `projects.locations.get`)."""
    try:
        google_api.call(
            google.credentials(),
            "aiplatform",
            f"v1/projects/{project}/locations/{region}",
            doing=f"asking Vertex AI in {region}",
            host=f"{region}-aiplatform",
        )
    except GoogleError as error:
        if error.reason == "SERVICE_DISABLED":
            return skipped("Vertex AI answers once its API is on; the first `up` switches it on")
        # An address that does not exist is a region that does not.
        if error.status in ("NOT_FOUND", "INVALID_ARGUMENT", ""):
            return failed(error.said, "pulumi config set gcp:region to one that has your GPU (docs/configuration.md)")
        raise
    return ok(f"Vertex AI answers in {region}")
