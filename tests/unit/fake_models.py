"""Vertex AI's model service in this process: what the plugin asks of it, on Google's own types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import RLock
from types import SimpleNamespace
from typing import Any

from google.api_core import exceptions
from google.cloud import aiplatform_v1 as api

from cohost.provider.google import Google

PROJECT, REGION = "acme", "europe-west4"
PARENT = f"projects/{PROJECT}/locations/{REGION}"


def full(model_id: str) -> str:
    return f"{PARENT}/models/{model_id}"


@dataclass
class Kept:
    """One model: its versions by number, and what belongs to all of them."""

    display_name: str
    versions: dict[str, api.Model] = field(default_factory=dict)
    count: int = 0


class FakeModels(Google):
    """Stands for `Google`, its clients of a region and its GAPIC client of models, all at once."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Kept] = {}
        self.calls: list[tuple[str, Any]] = []
        self.operations: dict[str, dict[str, Any]] = {}
        self.refuse: Callable[[str, Any], Exception | None] = lambda method, request: None
        self.fail: Callable[[str, Any], dict[str, Any] | None] = lambda method, request: None
        self.held: Callable[[], bool] = lambda: False
        self.tells_containers = True
        self._fake_lock = RLock()

    def clients(self, region: str) -> Any:
        assert region == REGION
        return SimpleNamespace(models=self, get=self.get)

    def count(self, method: str) -> int:
        return sum(1 for name, _ in self.calls if name == method)

    def deploy(self, model_id: str, version: str) -> str:
        """Says that a version is deployed; returns the deployed model's full name."""
        reference = api.DeployedModelRef(endpoint=f"{PARENT}/endpoints/1", deployed_model_id="77")
        self.kept[model_id].versions[version].deployed_models = [reference]
        return f"{PARENT}/endpoints/1/deployedModels/77"

    # What `VertexClients.get` answers

    def get(self, path: str, **query: str) -> dict[str, Any]:
        if path.endswith("/operations"):
            parent = path.removesuffix("operations")
            return {"operations": [each for name, each in self.operations.items() if name.startswith(parent)]}
        operation = self.operations[path]
        if not self.held() and (finish := operation.pop("finish", None)):
            finish()
        return operation

    # The GAPIC client

    def upload_model(self, *, request: dict[str, Any]) -> Any:
        asked = api.UploadModelRequest(request)
        model_id = asked.model_id or asked.parent_model.rpartition("/")[2]
        if asked.model_id and model_id in self.kept:
            raise exceptions.AlreadyExists(f"Model `{full(model_id)}` already exists")

        def commit() -> dict[str, Any]:
            kept = self.kept.setdefault(model_id, Kept(asked.model.display_name))
            kept.count += 1
            made = api.Model(asked.model)
            made.version_id = str(kept.count)
            kept.versions[made.version_id] = made
            self._point(kept, made, [*asked.model.version_aliases, *(["default"] if kept.count == 1 else [])])
            return {"model": full(model_id), "modelVersionId": made.version_id}

        return self._operation("upload_model", asked, f"{full(model_id)}", commit)

    def get_model(self, *, name: str, retry: Any = None) -> api.Model:
        self._called("get_model", name)
        model_id, _, version = name.rpartition("/")[2].partition("@")
        kept = self._kept(model_id)
        if not version:
            version = next(id for id, each in kept.versions.items() if "default" in each.version_aliases)
        if version not in kept.versions:
            raise exceptions.NotFound(f"The Model {name} is not found.")
        return self._told(model_id, version)

    def list_model_versions(self, *, name: str, retry: Any = None) -> list[api.Model]:
        self._called("list_model_versions", name)
        model_id = name.rpartition("/")[2]
        return [self._told(model_id, version) for version in self._kept(model_id).versions]

    def list_models(self, *, parent: str, retry: Any = None) -> Iterator[api.Model]:
        assert parent == PARENT
        return (self.get_model(name=full(model_id)) for model_id in self.kept)

    def update_model(self, *, model: dict[str, Any], update_mask: dict[str, Any]) -> None:
        self._called("update_model", model)
        model_id, _, version = model["name"].rpartition("/")[2].partition("@")
        kept = self._kept(model_id)
        assert update_mask["paths"] == [name for name in model if name != "name"]
        if "display_name" in model:
            assert not version
            kept.display_name = model["display_name"]
        elif version:
            kept.versions[version].labels = model["labels"]

    def merge_version_aliases(self, *, name: str, version_aliases: list[str]) -> None:
        self._called("merge_version_aliases", version_aliases)
        model_id, _, version = name.rpartition("/")[2].partition("@")
        kept = self._kept(model_id)
        self._point(kept, kept.versions[version], [each for each in version_aliases if not each.startswith("-")])
        gone = {each[1:] for each in version_aliases if each.startswith("-")}
        aliases = kept.versions[version].version_aliases
        kept.versions[version].version_aliases = [each for each in aliases if each not in gone]

    def delete_model(self, *, name: str) -> Any:
        model_id = name.rpartition("/")[2]
        if any(each.deployed_models for each in self._kept(model_id).versions.values()):
            raise exceptions.FailedPrecondition("The Model has deployed models.")
        return self._operation("delete_model", name, name, lambda: {"gone": self.kept.pop(model_id)})

    def delete_model_version(self, *, name: str) -> Any:
        model_id, _, version = name.rpartition("/")[2].partition("@")
        kept = self._kept(model_id)
        if kept.versions[version].deployed_models or "default" in kept.versions[version].version_aliases:
            raise exceptions.FailedPrecondition("The version cannot be deleted.")
        return self._operation(
            "delete_model_version", name, full(model_id), lambda: {"gone": kept.versions.pop(version)}
        )

    def _told(self, model_id: str, version: str) -> api.Model:
        told = api.Model(self.kept[model_id].versions[version])
        told.name, told.display_name = full(model_id), self.kept[model_id].display_name
        if not self.tells_containers:
            told.container_spec = api.ModelContainerSpec()
        return told

    def _kept(self, model_id: str) -> Kept:
        if model_id not in self.kept:
            raise exceptions.NotFound(f"The Model {full(model_id)} is not found.")
        return self.kept[model_id]

    def _point(self, kept: Kept, version: api.Model, aliases: list[str]) -> None:
        for each in kept.versions.values():
            each.version_aliases = [alias for alias in each.version_aliases if alias not in aliases]
        version.version_aliases = sorted({*version.version_aliases, *aliases})

    def _called(self, method: str, request: Any) -> None:
        with self._fake_lock:
            self.calls.append((method, request))
        if refusal := self.refuse(method, request):
            raise refusal

    def _operation(self, method: str, request: Any, parent: str, commit: Callable[[], dict[str, Any]]) -> Any:
        self._called(method, request)
        with self._fake_lock:
            name = f"{parent}/operations/{len(self.operations) + 1}"
            kind = "".join(word.capitalize() for word in method.split("_"))
            metadata = {"@type": f"type.googleapis.com/google.cloud.aiplatform.v1.{kind}OperationMetadata"}
            operation: dict[str, Any] = {"name": name, "done": False, "metadata": metadata}
            self.operations[name] = operation

        def finish() -> None:
            error = self.fail(method, request)
            with self._fake_lock:
                outcome = {"error": error} if error else {"response": commit()}
                operation.update(outcome, done=True)

        operation["finish"] = finish
        return SimpleNamespace(operation=SimpleNamespace(name=name))
