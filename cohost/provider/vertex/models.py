"""Vertex AI Models and their versions, as the plugin finds, makes and deletes them.

Fields and rules: google/cloud/aiplatform/v1, model.proto and model_service.proto.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from cohost.errors import DeploymentError
from cohost.provider.context import Context
from cohost.provider.google import GoogleError, words
from cohost.provider.patience import patiently
from cohost.provider.vertex import container, operations

DEFAULT_ALIAS: Final = "default"
# Labels by which a run finds again what another one has made: whose it is, what it holds, how it is called.
OWNER_LABEL: Final = "cohost-owner"
_CONTENT_LABEL: Final = "cohost-content"
_ALIASES_LABEL: Final = "cohost-aliases"
OWN_LABELS: Final = frozenset({OWNER_LABEL, _CONTENT_LABEL, _ALIASES_LABEL})
# Google's own labels, which nobody else can change (annotation.proto and others).
_SYSTEM_LABELS: Final = ("aiplatform.googleapis.com/", "goog")
_MARK_DIGITS: Final = 8
# So many marks fit into a label's value, which has 63 characters at most.
_MARKS: Final = 7
_READ_S: Final = 20.0
_UPLOAD: Final = "UploadModelOperationMetadata"


@dataclass(frozen=True)
class Version:
    """One version of a model, as Vertex AI tells it.

    Attributes:
        id: Its number, as text.
        display_name: The model's name for people.
        content: What it holds (`container.content`).
        labels: All but Google's own; the plugin's own included.
        aliases: All of them, "default" included.
        deployed: Full names of the deployed models made from it, `<endpoint>/deployedModels/<id>`.
        kms_key: The key that it is encrypted with, or "".
    """

    id: str
    display_name: str
    content: Mapping[str, Any]
    labels: Mapping[str, str]
    aliases: tuple[str, ...]
    deployed: tuple[str, ...] = ()
    kms_key: str = ""

    @property
    def users_labels(self) -> dict[str, str]:
        """The labels that are not the plugin's own."""
        return {name: value for name, value in self.labels.items() if name not in OWN_LABELS}

    def may_go(self, aliases: Iterable[str]) -> bool:
        """Whether nobody misses it, with these aliases, once nothing is deployed from it.

        It is then one that a resource made and does not keep as history, and has no aliases but those it was given
        there: any other is somebody's choice. A version that merely shows the labels of its model, made by somebody
        else, has other artifacts, and so other marks.
        """
        marks = self.labels.get(_ALIASES_LABEL, "").split("_")
        return set(_marks(self.content["artifactUri"], aliases)) <= set(marks)


@dataclass(frozen=True)
class Wanted:
    """A model as it shall be.

    Attributes:
        project: The project's id.
        region: Where.
        model_id: The last part of its name.
        display_name: For people.
        content: By the names in `container.CONTENT`; what is absent is left to Vertex AI.
        labels: The user's.
        owner: The resource that registers it, by its URN.
        aliases: Beside "default"; None of a model whose versions stay for ever, as its history.
        service_account: Reads image and artifacts, or None.
        kms_key: Or None.
    """

    project: str
    region: str
    model_id: str
    display_name: str
    content: Mapping[str, Any]
    labels: Mapping[str, str]
    owner: str
    aliases: Collection[str] | None = None
    service_account: str | None = None
    kms_key: str | None = None

    @property
    def name(self) -> str:
        """Its full name."""
        return full_name(self.project, self.region, self.model_id)

    @cached_property
    def all_labels(self) -> dict[str, str]:
        """The user's labels and the plugin's own."""
        own = {OWNER_LABEL: owner_value(self.owner), _CONTENT_LABEL: container.fingerprint(self.content)}
        if self.aliases is not None:
            own[_ALIASES_LABEL] = "_".join(_marks(self.content["artifactUri"], self.aliases)[:_MARKS])
        return {**self.labels, **own}

    def is_owner_of(self, versions: Iterable[Version]) -> bool:
        """Whether one of a model's versions was made for the same resource."""
        return any(version.labels.get(OWNER_LABEL) == self.all_labels[OWNER_LABEL] for version in versions)


def owner_value(urn: str) -> str:
    """The value of the label `OWNER_LABEL` on what the resource of a URN has registered."""
    return hashlib.sha256(urn.encode()).hexdigest()[: container.DIGITS]


def location(project: str, region: str) -> str:
    """Full name of a location."""
    return f"projects/{project}/locations/{region}"


def full_name(project: str, region: str, model_id: str) -> str:
    """Full name of a model."""
    return f"{location(project, region)}/models/{model_id}"


def holds(version: Version, content: Mapping[str, Any]) -> bool:
    """Whether a version has this content: by its label, or by comparing where it has none."""
    if version.content["artifactUri"] != content["artifactUri"]:
        return False
    label = version.labels.get(_CONTENT_LABEL) or container.fingerprint(version.content)
    return label == container.fingerprint(content)


def read(context: Context, region: str, name: str) -> Version | None:
    """A model's default version, or the version that the name ends with (`@N`); None when there is none.

    Raises:
        GoogleError: Vertex AI cannot be asked.
    """
    doing = f"looking at the model {_last(name)}"
    try:
        return _version(_asked(doing, context.gcp.clients(region).models.get_model, name=name))
    except GoogleError as error:
        if error.status == "NOT_FOUND":
            return None
        raise


def versions(context: Context, region: str, name: str) -> list[Version]:
    """All versions of a model, none when there is no such model.

    Raises:
        GoogleError: Vertex AI cannot be asked.
    """
    doing = f"listing the versions of the model {_last(name)}"
    try:
        with words(doing):
            pages = _asked(doing, context.gcp.clients(region).models.list_model_versions, name=name)
            return [_version(each) for each in pages]
    except GoogleError as error:
        if error.status == "NOT_FOUND":
            return []
        raise


def listed(context: Context, project: str, region: str) -> list[tuple[str, Version]]:
    """Id and default version of every model of a region.

    Raises:
        GoogleError: Vertex AI cannot be asked.
    """
    with words(f"listing the models of {region}"):
        pages = _asked("", context.gcp.clients(region).models.list_models, parent=location(project, region))
        return [(_last(each.name), _version(each)) for each in pages]


def register(context: Context, wanted: Wanted, *, known: bool) -> tuple[Version, list[Version]]:
    """The version with the wanted content, found or made, and the versions that there were.

    An upload that an interrupted run began is waited for first, so that no content gets a second version. One whose
    request reaches Vertex AI only after that is met by ours, and is looked at again.

    Args:
        context: The operation.
        wanted: What it shall be.
        known: Whether the model is this resource's own by its state.

    Raises:
        GoogleError: Vertex AI refused or failed the upload.
        DeploymentError: The model is somebody else's.
    """
    try:
        return _found_or_made(context, wanted, known=known)
    except GoogleError as error:
        if error.status != "ALREADY_EXISTS":
            raise
    return _found_or_made(context, wanted, known=known)


def _found_or_made(context: Context, wanted: Wanted, *, known: bool) -> tuple[Version, list[Version]]:
    google, region = context.gcp, wanted.region
    running = operations.find(google, region, wanted.name, kind=_UPLOAD)
    if running is not None:
        with suppress(GoogleError):  # of another run; what it left, if anything, is looked at next
            operations.wait(context, google, region, running, doing=f"waiting for the upload of {wanted.model_id}")
    before = versions(context, region, wanted.name)
    if before and not known and not wanted.is_owner_of(before):
        raise DeploymentError(
            f"there is a model {wanted.model_id} in {region} already, which this stack has not made: choose another "
            f"id, or adopt it by `import_` with the id {wanted.name}"
        )
    for version in before:
        if holds(version, wanted.content):
            return version, before
    return _upload(context, wanted, first=not before), before


def claim(context: Context, wanted: Wanted, version: Version, aliases: Collection[str]) -> Version:
    """Labels a version, such as one that was adopted, as the resource's own.

    Args:
        context: The operation.
        wanted: The model.
        version: As it is.
        aliases: Those that the resource has given it.

    Raises:
        GoogleError: Refused.
    """
    own = replace(wanted, content=version.content, labels=version.users_labels, aliases=aliases).all_labels
    with words(f"labelling version {version.id} of {wanted.model_id}"):
        client = context.gcp.clients(wanted.region).models
        _patch(client, {"name": f"{wanted.name}@{version.id}", "labels": own}, "labels")
    return replace(version, labels=own)


def align(context: Context, wanted: Wanted, version: Version, *, dropped: Collection[str] = ()) -> None:
    """Changes what can be changed of a version: the model's display name, the labels, the aliases.

    Args:
        context: The operation.
        wanted: As it shall be.
        version: As it is.
        dropped: Aliases that this resource gave before.

    Raises:
        GoogleError: Refused.
    """
    client, doing = context.gcp.clients(wanted.region).models, f"changing the model {wanted.model_id}"
    versioned = f"{wanted.name}@{version.id}"
    with words(doing):
        if version.display_name != wanted.display_name:
            _patch(client, {"name": wanted.name, "display_name": wanted.display_name}, "display_name")
        # Labels of the model and of the version are returned merged, and which of them an upload sets is not told.
        left: Version | None = version
        for name, labels in ((versioned, wanted.all_labels), (wanted.name, wanted.labels)):
            if left is not None and left.labels != wanted.all_labels:
                _patch(client, {"name": name, "labels": labels}, "labels")
                left = read(context, wanted.region, versioned)
        given = {DEFAULT_ALIAS, *(wanted.aliases or ())}
        merge = sorted(given - set(version.aliases))
        merge += sorted(f"-{alias}" for alias in set(dropped) & set(version.aliases) - given)
        if merge:
            client.merge_version_aliases(name=versioned, version_aliases=merge)


def delete_version(context: Context, region: str, name: str, doing: str) -> None:
    """Deletes a version.

    Raises:
        GoogleError: Refused, such as while something is deployed from it.
    """
    _operate(context, region, doing, lambda client: client.delete_model_version(name=name))


def delete(context: Context, region: str, name: str) -> None:
    """Deletes a model with all its versions; one that is not there is no error.

    Raises:
        DeploymentError: Something is deployed from it, named in the message, or Vertex AI refused.
    """
    try:
        _operate(context, region, f"deleting the model {_last(name)}", lambda client: client.delete_model(name=name))
    except GoogleError as error:
        if error.status == "NOT_FOUND":
            return
        users = [each for version in versions(context, region, name) for each in version.deployed]
        if not users:
            raise
        raise DeploymentError(
            f"the model {_last(name)} cannot be deleted while something is deployed from it: "
            f"{', '.join(sorted(users))}: undeploy that first (gcloud ai endpoints undeploy-model)"
        ) from error


def _upload(context: Context, wanted: Wanted, *, first: bool) -> Version:
    content, labels = wanted.content, wanted.all_labels
    aliases = [*([] if first else [DEFAULT_ALIAS]), *(wanted.aliases or ())]
    model: dict[str, Any] = {
        "display_name": wanted.display_name,
        "container_spec": container.spec(content),
        "artifact_uri": content["artifactUri"],
        "labels": labels,
        "version_aliases": aliases,
    }
    if wanted.kms_key:
        model["encryption_spec"] = {"kms_key_name": wanted.kms_key}
    request: dict[str, Any] = {"parent": location(wanted.project, wanted.region), "model": model}
    request |= {"model_id": wanted.model_id} if first else {"parent_model": wanted.name}
    if wanted.service_account:
        request["service_account"] = wanted.service_account
    doing = f"uploading the model {wanted.model_id}"
    answer = _operate(context, wanted.region, doing, lambda client: client.upload_model(request=request))
    name = f"{wanted.name}@{answer.get('modelVersionId') or '1'}"
    version = read(context, wanted.region, name)
    if version is None:
        raise DeploymentError(f"{doing}: {_last(name)} was deleted meanwhile; the next `up` uploads it again")
    return version


def _version(model: Any) -> Version:
    """Reads google.cloud.aiplatform_v1.types.Model."""
    return Version(
        id=model.version_id,
        display_name=model.display_name,
        content=container.content(model),
        labels={name: value for name, value in model.labels.items() if not name.startswith(_SYSTEM_LABELS)},
        aliases=tuple(model.version_aliases),
        deployed=tuple(f"{each.endpoint}/deployedModels/{each.deployed_model_id}" for each in model.deployed_models),
        kms_key=model.encryption_spec.kms_key_name,
    )


def _operate(context: Context, region: str, doing: str, call: Callable[[Any], Any]) -> dict[str, Any]:
    """Begins an operation and waits for it; begins it again when it failed for want of a grant not in effect yet."""
    client = context.gcp.clients(region).models

    def once() -> dict[str, Any]:
        return operations.wait(context, context.gcp, region, call(client).operation.name, doing=doing)

    return patiently(context, doing, once)


def _patch(client: Any, model: Mapping[str, Any], path: str) -> None:
    client.update_model(model=dict(model), update_mask={"paths": [path]})


def _asked(doing: str, call: Callable[..., Any], **request: Any) -> Any:
    """Asks for something; what may pass is tried again (google.api_core, `if_transient_error`)."""
    from google.api_core.retry import Retry

    with words(doing):
        return call(**request, retry=Retry(initial=0.5, maximum=8.0, timeout=_READ_S))


def _marks(artifact_uri: str, aliases: Iterable[str]) -> list[str]:
    """Some artifacts, and each alias of them, as a label can hold them, which knows no capitals."""
    texts = [f"{artifact_uri} {alias}" for alias in ("", *sorted(aliases))]
    return [hashlib.sha256(text.encode()).hexdigest()[:_MARK_DIGITS] for text in texts]


def _last(name: str) -> str:
    return name.rpartition("/")[2]
