"""The roles of the stack on GCP, as plain data: which permissions, and under which conditions.

Least privilege: no wildcard, and no role of Google's where a few permissions are enough. Source of the permissions:
IAM documentation, "IAM permissions reference"; none of it has been tried against a project.
"""

from __future__ import annotations

from typing import Final

# Calls the endpoint. Granted on the endpoint alone.
CALL: Final = ("aiplatform.endpoints.predict",)
# Reads which release is active. Granted on the bucket, below `releases/` alone.
READ_RELEASES: Final = ("storage.objects.get",)

# What somebody needs who keeps a stack up to date: `preview`, `refresh`, and every `up` after the first. Setting up
# and destroying a stack, and changing who may do what, is left to an administrator: whoever may change roles could
# give themselves anything, and these are themselves a part of the stack.
#
# On the bucket: reads it, and adds objects. An object that is there cannot be overwritten without the permission to
# delete it, so an artifact stays as it is.
STORE: Final = (
    "storage.buckets.get",
    "storage.buckets.getIamPolicy",
    "storage.objects.create",
    "storage.objects.get",
    "storage.objects.list",
)
# On the bucket, below `releases/` and `repositories/` alone: overwrites the active release, which asks for deletion,
# and deletes the model repositories of old ones, which are copies of artifacts.
ACTIVATE: Final = ("storage.objects.delete",)
# On the project, since models and deployments come and go.
ENDPOINT: Final = (
    "aiplatform.endpoints.deploy",
    "aiplatform.endpoints.get",
    "aiplatform.endpoints.getIamPolicy",
    "aiplatform.endpoints.list",
    "aiplatform.endpoints.predict",
    "aiplatform.endpoints.undeploy",
    "aiplatform.endpoints.update",
    "aiplatform.models.delete",
    "aiplatform.models.get",
    "aiplatform.models.list",
    "aiplatform.models.update",
    "aiplatform.models.upload",
    "aiplatform.operations.list",
    "iam.roles.get",
    "iam.serviceAccounts.get",
    "iam.serviceAccounts.getIamPolicy",
    "resourcemanager.projects.get",
    "resourcemanager.projects.getIamPolicy",
    "serviceusage.quotas.get",
    "serviceusage.services.get",
    "serviceusage.services.list",
)


def below(bucket: str, *prefixes: str) -> str:
    """Returns the condition that an object's name begins with one of some prefixes.

    Source: IAM documentation, "Resource attributes for IAM Conditions" (the form of an object's name).

    Args:
        bucket: The bucket's name.
        prefixes: What the names begin with.
    """
    return " || ".join(
        f'resource.name.startsWith("projects/_/buckets/{bucket}/objects/{prefix}")' for prefix in prefixes
    )
