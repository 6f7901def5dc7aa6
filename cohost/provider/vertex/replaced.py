"""Versions of a model that another one has replaced: they go when nothing is deployed from them.

A version is told apart by its labels alone (`Wanted.all_labels`), so it is found again whichever run made it. It goes
with the next change of the model, or already when its last deployment does, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Iterable

from cohost.provider.context import Context
from cohost.provider.google import GoogleError
from cohost.provider.vertex import models
from cohost.provider.vertex.models import DEFAULT_ALIAS, Version, Wanted


def sweep(context: Context, wanted: Wanted, others: Iterable[Version]) -> None:
    """Deletes the versions of a resource that nothing is deployed from; one that cannot be deleted is only told.

    Args:
        context: The operation.
        wanted: The model as it is now.
        others: The versions beside the one in use, as they were before that had its aliases.

    Raises:
        OperationCancelled: The operation must end first.
    """
    for version in others:
        if not version.deployed and wanted.is_owner_of([version]):
            # What the one in use was given, this one has lost.
            left = set(version.aliases) - {DEFAULT_ALIAS, *(wanted.aliases or ())}
            if version.may_go(left):
                _delete(context, wanted.region, wanted.name, version.id)


def release(context: Context, region: str, name: str, deployed: str) -> None:
    """Deletes a version whose last deployment has just gone, if its resource has replaced it before.

    Args:
        context: The operation.
        region: Where.
        name: The version's full name, `projects/…/models/<id>@<version>`.
        deployed: Full name of the deployed model that has gone.

    Raises:
        OperationCancelled: The operation must end first.
    """
    try:
        version = models.read(context, region, name)
    except GoogleError as error:
        context.warning(f"{error}; a version that is not needed any more goes with the next change of the model")
        return
    if version is None or DEFAULT_ALIAS in version.aliases:
        return
    # Google may tell a moment later that it has gone, and a project's number where its id was given.
    users = {each.partition("/endpoints/")[2] for each in version.deployed}
    if not users - {deployed.partition("/endpoints/")[2]} and version.may_go(version.aliases):
        _delete(context, region, name.partition("@")[0], version.id)


def _delete(context: Context, region: str, name: str, version: str) -> None:
    doing = f"deleting version {version} of {name.rpartition('/')[2]}"
    try:
        models.delete_version(context, region, f"{name}@{version}", doing)
    except GoogleError as error:
        if error.status not in ("FAILED_PRECONDITION", "NOT_FOUND"):
            context.warning(f"{error}; the next change of the model tries again")
