"""What must be on in the project, and who must be in it."""

from __future__ import annotations

from typing import Final

from cohost import gcp_apis
from cohost.doctor.check import Finding, Step, failed, ok, skipped, warning
from cohost.doctor.subject import Subject
from cohost.gcp_settings import Encryption, GcpSettings
from cohost.provider import google_api
from cohost.provider.google import Google, GoogleError

APIS: Final = "APIs"
_AGENT: Final = "@gcp-sa-aiplatform.iam.gserviceaccount.com"
_AGENT_ROLE: Final = "roles/aiplatform.serviceAgent"


def steps(subject: Subject, google: Google, needs: tuple[str, ...]) -> tuple[Step, ...]:
    """Returns the checks of APIs and of Vertex AI's service agent."""
    project, settings = subject.config.get("gcp:project", ""), subject.sound
    encryption = settings.encryption if isinstance(settings, GcpSettings) else Encryption()
    return (
        Step(APIS, lambda: apis(google, project, encryption), needs=needs),
        Step("service agent", lambda: agent(google, project), needs=(*needs, APIS)),
    )


def apis(google: Google, project: str, encryption: Encryption) -> Finding:
    """Asks which APIs are on.

    Source: Service Usage, REST reference of `services.batchGet`.
    """
    before, used = gcp_apis.BEFORE, gcp_apis.used(encryption)
    enable = f"gcloud services enable {' '.join(map(_full, before))} --project {project}"
    names = [f"projects/{project}/services/{_full(api)}" for api in (*before, *used)]
    try:
        answer = google_api.call(
            google.credentials(),
            "serviceusage",
            f"v1/projects/{project}/services:batchGet",
            doing=f"asking which APIs of {project} are on",
            query={"names": names},
        )
    except GoogleError as error:
        if error.reason == "SERVICE_DISABLED":
            return failed(error.said, enable)
        if error.status in ("NOT_FOUND", "PERMISSION_DENIED"):
            return failed(
                error.said, f"see that gcp:project is the project's id, and that you have a role in {project}"
            )
        raise
    on = {each["name"].rpartition("/")[2] for each in answer.get("services", ()) if each.get("state") == "ENABLED"}
    if off := [api for api in before if _full(api) not in on]:
        return failed(f"{' and '.join(map(_full, off))} must be on before anything else can be switched on", enable)
    if off := [api for api in used if _full(api) not in on]:
        return warning(f"{', '.join(map(_full, off))} are not on yet", "none: the first `up` switches them on")
    return ok(f"all {len(before) + len(used)} APIs are on")


def agent(google: Google, project: str) -> Finding:
    """Looks for Vertex AI's own account, which reads models and pulls the image.

    Sources: Resource Manager, REST reference of `projects.getIamPolicy`; IAM documentation, "Service agents".
    """
    answer = google_api.call(
        google.credentials(),
        "cloudresourcemanager",
        f"v1/projects/{project}:getIamPolicy",
        doing=f"reading the policy of {project}",
        method="POST",
    )
    bindings = answer.get("bindings", ())
    holders = [member for each in bindings if each["role"] == _AGENT_ROLE for member in each.get("members", ())]
    found = next((member for member in holders if member.endswith(_AGENT)), None)
    if found:
        return ok(found.removeprefix("serviceAccount:"))
    return skipped("Vertex AI has no service agent here yet; the first `up` makes it")


def _full(api: str) -> str:
    return f"{api}.googleapis.com"
