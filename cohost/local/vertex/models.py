"""Models and their versions: uploaded, read, renamed, given aliases and labels, deleted."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from cohost.local.vertex import artifacts, images
from cohost.local.vertex.artifacts import Artifacts
from cohost.local.vertex.errors import VertexError, invalid, missing, precondition, unsupported
from cohost.local.vertex.names import Name, canonical, versioned
from cohost.local.vertex.operations import Operations, page
from cohost.local.vertex.protos import Record, masked, now, strict
from cohost.local.vertex.state import State

UPLOAD: Final = "upload"
DEFAULT: Final = "default"
_ID: Final = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ALIAS: Final = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_LABEL: Final = re.compile(r"[a-z0-9_-]{0,63}")
_OF_MODEL: Final = ("displayName", "description", "encryptionSpec")
_OF_VERSION: Final = ("versionDescription", "containerSpec", "artifactUri", "labels")
_MEMBERS: Final = frozenset({*_OF_MODEL, *_OF_VERSION, "versionAliases"})
_UPDATES: Final = frozenset({"displayName", "description", "versionDescription", "labels"})


class Models:
    """Operations of the model service."""

    def __init__(
        self, state: State, operations: Operations, copies: Artifacts, *, begin: Callable[[str], None]
    ) -> None:
        """Begins with what the state holds.

        Args:
            state: The records.
            operations: Where long-running operations are recorded.
            copies: The frozen artifacts.
            begin: Carries out an operation (by name) in the background.
        """
        self._state, self._operations, self._copies, self._begin = state, operations, copies, begin

    def upload_model(self, place: Name, content: Record) -> Record:
        """UploadModel: a new model, or a new version of one."""
        request = strict("UploadModelRequest", content)
        model = request.get("model", {})
        _check(model, place)
        with self._state.changing():
            name = self._target(place, request)
            known = self._state.models.get(name) or {"versions": {}, "last": 0, "createTime": now()}
            version = str(known["last"] + 1)
            known |= {"last": known["last"] + 1}
            if not known["versions"]:
                known |= {"model": {key: model[key] for key in _OF_MODEL if key in model}, "updateTime": now()}
            self._state.models[name] = known
            work = {
                "kind": UPLOAD,
                "about": name,
                "version": version,
                "content": {key: model[key] for key in _OF_VERSION if key in model},
                "aliases": model.get("versionAliases", []),
            }
            operation = self._operations.begin(name, "UploadModelOperationMetadata", work)
        self._begin(operation["name"])
        return self._operations.get_operation(operation["name"])

    def finish_upload(self, operation: Record) -> Record:
        """Makes the frozen copy that an upload is about; returns the response.

        Raises:
            VertexError: It cannot be made; nothing is left of the version.
        """
        work = operation["work"]
        try:
            self._copies.freeze(work["content"].get("artifactUri", ""), work["about"], work["version"])
        except VertexError:
            self._copies.discard(work["about"], work["version"])
            with self._state.changing():
                if not self._state.models.get(work["about"], {}).get("versions", True):
                    del self._state.models[work["about"]]
            raise
        with self._state.changing():
            record = self._state.models.get(work["about"])
            if record is None:
                self._copies.discard(work["about"])
                raise missing("Model", work["about"])
            moment = now()
            aliases = [*work["aliases"], *([] if record["versions"] else [DEFAULT])]
            record["versions"][work["version"]] = {**work["content"], "createTime": moment, "updateTime": moment}
            record["updateTime"] = moment
            for alias in dict.fromkeys(aliases):
                _give(record, work["version"], alias)
        return {"model": work["about"], "modelVersionId": work["version"]}

    def get_model(self, name: str) -> Record:
        """GetModel: a version, or the default one."""
        with self._state.reading():
            model, version = self.resolve(name)
            return self._view(model, version, named=versioned(name)[1] is not None)

    def list_models(self, place: Name, query: Mapping[str, str]) -> Record:
        """ListModels: the default version of each."""
        with self._state.reading():
            found = [
                self._view(name, _default(record))
                for name, record in self._state.models.items()
                if name.startswith(f"{place.parent}/") and record["versions"]
            ]
        return page("models", list(filtered(found, query.get("filter", ""))), query)

    def list_versions(self, name: str, query: Mapping[str, str]) -> Record:
        """ListModelVersions."""
        with self._state.reading():
            model, _ = self.resolve(name)
            found = [self._view(model, version, named=True) for version in self._state.models[model]["versions"]]
        return page("models", list(filtered(found, query.get("filter", ""))), query)

    def update_model(self, name: str, content: Record, mask: str) -> Record:
        """UpdateModel: the model's own words and labels, or with a version in the name that version's."""
        sent = strict("Model", content)
        paths = masked(mask)
        if unknown := set(paths) - _UPDATES:
            raise unsupported(f"An update of {sorted(unknown)[0]}")
        _check_labels(sent.get("labels", {}))
        with self._state.changing():
            model, version = self.resolve(name)
            record = self._state.models[model]
            of_version = versioned(name)[1] is not None
            for path in paths:
                holder = record["versions"][version] if of_version or path == "versionDescription" else record["model"]
                holder[path] = sent.get(path, {} if path == "labels" else "")
            record["versions"][version]["updateTime"] = record["updateTime"] = now()
            return self._view(model, version, named=of_version)

    def merge_version_aliases(self, name: str, content: Record) -> Record:
        """MergeVersionAliases: gives aliases to a version, and takes those with a hyphen before them."""
        request = strict("MergeVersionAliasesRequest", {**content, "name": name})
        aliases = request.get("versionAliases", [])
        with self._state.changing():
            model, version = self.resolve(name)
            record = self._state.models[model]
            if f"-{DEFAULT}" in aliases:
                raise invalid("The default version alias cannot be removed: give it to another version.")
            _check_aliases([alias.removeprefix("-") for alias in aliases])
            for alias in aliases:
                if alias.startswith("-"):
                    _take(record["versions"][version], alias[1:])
                else:
                    _give(record, version, alias)
            return self._view(model, version, named=True)

    def delete_model(self, name: str) -> Record:
        """DeleteModel: with all its versions, none of them deployed."""
        with self._state.changing():
            model, _ = self.resolve(name)
            self._check_unused(model, set(self._state.models[model]["versions"]))
            del self._state.models[model]
            self._copies.discard(model)
            return self._operations.at_once(model, "DeleteOperationMetadata")

    def delete_version(self, name: str) -> Record:
        """DeleteModelVersion: one that is not deployed and not the only one."""
        with self._state.changing():
            model, version = self.resolve(name)
            if versioned(name)[1] is None:
                raise invalid("The name has no version: use DeleteModel to delete the model.")
            versions = self._state.models[model]["versions"]
            if len(versions) == 1:
                raise precondition("The only version of a model cannot be deleted: delete the model instead.")
            self._check_unused(model, {version})
            gone = versions.pop(version)
            self._copies.discard(model, version)
            if DEFAULT in gone.get("aliases", []):
                _give(self._state.models[model], max(versions, key=int), DEFAULT)
            return self._operations.at_once(model, "DeleteOperationMetadata")

    def resolve(self, name: str) -> tuple[str, str]:
        """Returns a model's name and the id of the version that a name means: by id, by alias, or the default one.

        Raises:
            VertexError: There is no such model or version.
        """
        model, wanted = versioned(canonical(name))
        record = self._state.models.get(model)
        if not record or not record["versions"]:
            raise missing("Model", model)
        if wanted in (None, "-"):
            return model, _default(record)
        for version, content in record["versions"].items():
            if wanted == version or wanted in content.get("aliases", []):
                return model, version
        raise missing("Model version", name)

    def container(self, model: str, version: str) -> Record:
        """Returns the container of a model's version."""
        return self._state.models[model]["versions"][version]["containerSpec"]

    def display_name(self, model: str) -> str:
        """Returns what a model is called."""
        return self._state.models[model]["model"]["displayName"]

    def encryption(self, model: str) -> Record | None:
        """Returns the key that a model is encrypted with."""
        return self._state.models[model]["model"].get("encryptionSpec")

    def _target(self, place: Name, request: Record) -> str:
        """Returns the name of the model that an upload makes, or adds a version to."""
        parent, wanted = request.get("parentModel", ""), request.get("modelId", "")
        if parent:
            return self.resolve(parent)[0]
        if wanted and not _ID.fullmatch(wanted):
            raise invalid(f'The model_id "{wanted}" does not match [a-z_][a-z0-9_-]{{0,62}}.')
        name = f"{place.parent}/models/{wanted or uuid.uuid4().int % 10**19}"
        if name in self._state.models:
            raise VertexError("ALREADY_EXISTS", f"Model `{name}` already exists.")
        return name

    def _check_unused(self, model: str, versions: set[str]) -> None:
        coming = [
            operation["work"]["deployedModel"]
            for operation in self._operations.pending()
            if operation["work"].get("kind") == "deploy"
        ]
        for deployed in (*(each for _, each in self._deployed()), *coming):
            if deployed["model"] == model and deployed["modelVersionId"] in versions:
                # The rule: DeleteModel and DeleteModelVersion in google.cloud.aiplatform.v1. The words: own.
                raise precondition(
                    f"Model `{model}@{deployed['modelVersionId']}` is deployed as DeployedModel {deployed['id']}: "
                    "undeploy it before it is deleted."
                )

    def _deployed(self) -> Iterator[tuple[str, Record]]:
        for name, endpoint in self._state.endpoints.items():
            for deployed in endpoint.get("deployedModels", []):
                yield name, deployed

    def _view(self, model: str, version: str, *, named: bool = False) -> Record:
        record = self._state.models[model]
        content = record["versions"][version]
        refs = [
            {"endpoint": endpoint, "deployedModelId": deployed["id"]}
            for endpoint, deployed in self._deployed()
            if deployed["model"] == model and deployed["modelVersionId"] == version
        ]
        view = {
            **record["model"],
            **{key: content[key] for key in _OF_VERSION if key in content},
            "name": f"{model}@{version}" if named else model,
            "versionId": version,
            "versionAliases": content.get("aliases", []),
            "versionCreateTime": content["createTime"],
            "versionUpdateTime": content["updateTime"],
            "createTime": record["createTime"],
            "updateTime": record["updateTime"],
            "labels": {**record["model"].get("labels", {}), **content.get("labels", {})},
            "supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"],
            "deployedModels": refs,
            "etag": etag(model, record["updateTime"]),
        }
        return strict("Model", view)


def etag(name: str, moment: str) -> str:
    """Returns the etag of what was last changed at a moment."""
    return hashlib.sha256(f"{name} {moment}".encode()).hexdigest()[:24]


def filtered(found: list[Record], text: str) -> Iterator[Record]:
    """Yields the records that a filter lets through: `display_name="x"` and `labels.key="x"`, joined by AND.

    Raises:
        VertexError: The filter says anything else.
    """
    terms: list[tuple[str, str]] = []
    for term in re.split(r"\s+AND\s+", text.strip()) if text.strip() else []:
        parsed = re.fullmatch(r'(display_?[nN]ame|labels\.[\w-]+)\s*[=:]\s*"?([^"]*)"?', term)
        if not parsed:
            raise unsupported(f"The filter {term!r}")
        terms.append((parsed[1], parsed[2]))
    for record in found:
        labels = record.get("labels", {})
        if all(
            (labels.get(key.removeprefix("labels.")) if key.startswith("labels.") else record.get("displayName"))
            == value
            for key, value in terms
        ):
            yield record


def _check(model: Record, place: Name) -> None:
    if not model.get("displayName"):
        raise invalid("The display_name of the model is required.")
    if unknown := model.keys() - _MEMBERS:
        raise unsupported(f"model.{sorted(unknown)[0]} of an upload")
    images.check(model.get("containerSpec", {}), place)
    artifacts.check_uri(model.get("artifactUri", ""))
    _check_aliases(model.get("versionAliases", []))
    _check_labels(model.get("labels", {}))


def _check_aliases(aliases: list[str]) -> None:
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            raise invalid(f'The version alias "{alias}" does not match [a-z][a-zA-Z0-9-]{{0,126}}[a-z0-9].')


def _check_labels(labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        if not (key and _LABEL.fullmatch(key) and _LABEL.fullmatch(value)):
            raise invalid(
                f'The label "{key}": "{value}" holds other than lower-case letters, digits, underscores and dashes, '
                "or more than 63 of them."
            )


def _default(record: Record) -> str:
    return next(version for version, content in record["versions"].items() if DEFAULT in content.get("aliases", []))


def _give(record: Record, version: str, alias: str) -> None:
    for content in record["versions"].values():
        _take(content, alias)
    record["versions"][version].setdefault("aliases", []).append(alias)


def _take(content: Record, alias: str) -> None:
    content["aliases"] = [each for each in content.get("aliases", []) if each != alias]
