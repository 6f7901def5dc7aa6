"""What IAM on GCP may say, check by check; `rules.access` makes the rules of them."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from rules import types
from rules.rule import Context, Resource
from rules.values import items, missing, text

# pulumi-gcp spells them in two ways (IAMMember, IamMember).
GRANTS: Final = ("gcp:*:*IAMMember", "gcp:*:*IamMember", "gcp:*:*IAMBinding", "gcp:*:*IamBinding")
PROJECT_GRANTS: Final = ("gcp:projects/iAMMember:IAMMember", "gcp:projects/iAMBinding:IAMBinding")
_EVERYONE: Final = ("allUsers", "allAuthenticatedUsers")
# Hold iam.serviceAccounts.actAs or getAccessToken, on a project for every account in it.
_IMPERSONATING: Final = (
    "roles/iam.serviceAccountUser",
    "roles/iam.serviceAccountTokenCreator",
    "roles/iam.workloadIdentityUser",
)
_IMPERSONATING_PERMISSIONS: Final = (
    "iam.serviceAccounts.actAs",
    "iam.serviceAccounts.getAccessToken",
    "iam.serviceAccounts.signBlob",
    "iam.serviceAccounts.signJwt",
)
_DEFAULT_ACCOUNT: Final = "*-compute@developer.gserviceaccount.com"


def public_members(resource: Resource, context: Context) -> Iterator[str]:
    """Everybody, with a role."""
    for member in (*items(resource.props.get("members")), resource.props.get("member")):
        if member in _EVERYONE:
            yield f"gives {resource.props.get('role')} to {member}"


def wide_roles(resource: Resource, context: Context) -> Iterator[str]:
    """Roles that give far more than this needs."""
    role = text(resource.props.get("role"))
    if role and any(fnmatchcase(role, pattern) for pattern in context.settings["refusedRoles"]):
        yield f"gives {role}"


def escalating_permissions(resource: Resource, context: Context) -> Iterator[str]:
    """Permissions by which whoever has a custom role can give themselves more."""
    for permission in items(resource.props.get("permissions")):
        if permission.endswith(".setIamPolicy") or permission in _IMPERSONATING_PERMISSIONS:
            yield f"holds {permission}"


def impersonation_of_all(resource: Resource, context: Context) -> Iterator[str]:
    """The right to act as any account of a project."""
    if (role := resource.props.get("role")) in _IMPERSONATING:
        yield f"gives {role} on the whole project"


def default_account(resource: Resource, context: Context) -> Iterator[str]:
    """Containers that run as an account that may change the project."""
    account = resource.props.get("serviceAccount")
    if missing(account):
        yield "serviceAccount is not set, so Vertex AI runs the containers as an account of its own choice"
    elif fnmatchcase(text(account) or "", _DEFAULT_ACCOUNT):
        yield f"serviceAccount is {account}, which may edit the project by default"


CUSTOM_ROLES: Final = (types.GCP_CUSTOM_ROLE,)
