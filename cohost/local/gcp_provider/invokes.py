"""The functions programs may call."""

from __future__ import annotations

from typing import Any, Final

from cohost.local.gcp_provider.accounts import project_number
from cohost.local.gcp_provider.resource import Session

_STORAGE_AGENT: Final = "gcp:storage/getProjectServiceAccount:getProjectServiceAccount"
_PROJECT: Final = "gcp:organizations/getProject:getProject"


def invoke(session: Session, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns what a function answers.

    Raises:
        NotImplementedError: The function is not served.
    """
    project = arguments.get("project") or arguments.get("projectId") or session.project
    number = project_number(project)
    if token == _STORAGE_AGENT:
        email = f"service-{number}@gs-project-accounts.iam.gserviceaccount.com"
        return {"id": email, "emailAddress": email, "member": f"serviceAccount:{email}", "project": project}
    if token == _PROJECT:
        identity = f"projects/{project}"
        return {"id": identity, "projectId": project, "number": number, "name": project}
    raise NotImplementedError(f"{token} is not supported here")
