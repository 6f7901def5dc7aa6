"""An endpoint, a store and what deployed models answer, for tests of the Vertex AI ActiveRelease."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cohost.client.vertex import CONTENT_TYPE
from cohost.errors import PreconditionFailed
from cohost.provider.vertex.active_release import VertexActiveRelease
from cohost.release import CURRENT_KEY, Release
from cohost.store import ObjectNotFound
from tests.unit import runtime_server
from tests.unit.provider_context import Operation
from tests.unit.vertex_service import ENDPOINT, PROJECT, REGION, Reply, Service

STORE = "gs://bucket/team"
NAMES = ("digits", "iris")
OLD, NEW = "111", "222"
A: dict[str, str] = dict.fromkeys(NAMES, "a" * 64)
B: dict[str, str] = dict.fromkeys(NAMES, "b" * 64)
CHANGED = {**A, "iris": "c" * 64}
RELEASES = VertexActiveRelease()


@dataclass
class MemoryStore:
    """What the plugin uses of a store, in memory."""

    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    meanwhile: Callable[[], None] | None = None

    @property
    def url(self) -> str:
        return STORE

    def get(self, key: str) -> tuple[bytes, str]:
        if key not in self.objects:
            raise ObjectNotFound(key)
        return self.objects[key]

    def put_bytes(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        found = self.objects.get(key)
        if (if_none_match and found) or (if_match is not None and (found is None or found[1] != if_match)):
            raise PreconditionFailed(key)
        self.objects[key] = (data, str(len(self.objects) + int(found[1] if found else 0)))
        return self.objects[key][1]

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


@dataclass
class Stack:
    """An endpoint, a store and a project, and what the deployed models answer."""

    service: Service
    project: Path
    store: MemoryStore
    operation: Operation
    answers: dict[str, Callable[[str, bytes], Reply]] = field(default_factory=dict)
    gpu_bytes: float = 5e8

    def context(self) -> Any:
        made = self.service.context(self.operation)
        made.gcp._stores[STORE] = self.store  # type: ignore[assignment]
        return made

    def predict(self, id: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        if path == "metrics":
            text = f'# HELP nv_gpu_memory_used_bytes GPU\nnv_gpu_memory_used_bytes{{gpu_uuid="1"}} {self.gpu_bytes:f}\n'
            return 200, {"Content-Type": "text/plain"}, text.encode()
        name = re.fullmatch("v2/models/(.+)/infer", path)
        assert name is not None
        answer = self.answers.get(id)
        return answer(name[1], body) if answer else right(name[1], body)

    def update(self, before: dict[str, Any] | None, after: dict[str, Any]) -> dict[str, Any]:
        if before is None:
            return dict(RELEASES.create(self.context(), after))
        return dict(RELEASES.update(self.context(), before, after))

    def current(self) -> dict[str, Any] | None:
        found = self.store.objects.get(CURRENT_KEY)
        return json.loads(found[0]) if found else None

    def digests(self) -> dict[str, str] | None:
        current = self.current()
        return {name: model["digest"] for name, model in current["models"].items()} if current else None

    def asked(self, id: str) -> set[str]:
        return {path.split("/")[2] for who, path in self.service.predictions if who == id and path != "metrics"}


def right(name: str, body: bytes) -> Reply:
    """The answer that the smoke test expects: y = x = 1, 2, 3."""
    return output(np.array([[1, 2, 3]], np.float32))


def wrong(name: str, body: bytes) -> Reply:
    return output(np.array([[1, 2, 4]], np.float32))


def output(y: Any) -> Reply:
    answer = runtime_server.prediction({"y": y})
    size = answer.headers["Content-Type"].removeprefix(runtime_server.CONTENT_TYPE)
    return 200, {"Content-Type": f"{CONTENT_TYPE}{size}"}, answer.body


def unknown(name: str, body: bytes) -> Reply:
    return 404, {"Content-Type": "application/json"}, json.dumps({"error": f"unknown model '{name}'"}).encode()


def inputs(models: dict[str, str], deployed_model: str, **changes: Any) -> dict[str, Any]:
    return {
        "project": PROJECT,
        "region": REGION,
        "store": STORE,
        "catalog": "catalog.yaml",
        "endpoint": ENDPOINT,
        "deployedModel": deployed_model,
        "models": models,
        "release": Release(models).digest,
        "probePercent": 5.0,
        "gpu": True,
        **changes,
    }


def canary(weight: float, models: dict[str, str] = A) -> dict[str, Any]:
    return {"weight": weight, "stableDeployedModel": OLD, "stableRelease": Release(models).digest}
