"""The content of a model's version: its container and where its artifacts are, as inputs and as Google's messages.

Fields: google/cloud/aiplatform/v1, model.proto, ModelContainerSpec; every one is fixed in a version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cohost.provider.vertex import probes

# Wire names of `cohost:vertex:Model`.
CONTENT: Final = (
    *("image", "args", "env", "predictRoute", "healthRoute", "ports"),
    *("sharedMemoryMb", "deploymentTimeoutS", *probes.NAMES, "artifactUri"),
)
DIGITS: Final = 32
_DEFAULT_PORTS: Final = (8080,)


def fingerprint(content: Mapping[str, Any]) -> str:
    """A content in 32 hex digits; numbers of the wire are floats, and what Google takes by itself may be given or not.

    Args:
        content: By the names in CONTENT; others are left out of account.
    """
    given = {name: content[name] for name in CONTENT if content.get(name) not in (None, "", [], {}, 0)}
    given.setdefault("ports", list(_DEFAULT_PORTS))
    given |= {name: probes.unusual(given[name]) for name in probes.NAMES if name in given}
    text = json.dumps(_plain(given), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def spec(content: Mapping[str, Any]) -> dict[str, Any]:
    """A ModelContainerSpec by its fields; what is not given is left to Vertex AI."""
    made: dict[str, Any] = {
        "image_uri": content["image"],
        "args": list(content.get("args") or ()),
        "env": [{"name": name, "value": value} for name, value in sorted((content.get("env") or {}).items())],
        "ports": [{"container_port": int(port)} for port in content.get("ports") or ()],
        "predict_route": content.get("predictRoute") or "",
        "health_route": content.get("healthRoute") or "",
    }
    if content.get("sharedMemoryMb"):
        made["shared_memory_size_mb"] = int(content["sharedMemoryMb"])
    if content.get("deploymentTimeoutS"):
        made["deployment_timeout"] = timedelta(seconds=int(content["deploymentTimeoutS"]))
    fields = ("startup_probe", "health_probe", "liveness_probe")
    return made | {
        field: probes.message(content[name])
        for field, name in zip(fields, probes.NAMES, strict=True)
        if content.get(name)
    }


def content(model: Any) -> dict[str, Any]:
    """What a google.cloud.aiplatform_v1.types.Model holds; without the container where Vertex AI does not tell it."""
    found: dict[str, Any] = {"artifactUri": model.artifact_uri.rstrip("/")}
    container = model.container_spec
    if container.image_uri:
        timeout = container.deployment_timeout
        found |= {
            "image": container.image_uri,
            "args": list(container.args),
            "env": {each.name: each.value for each in container.env},
            "predictRoute": container.predict_route,
            "healthRoute": container.health_route,
            "ports": [port.container_port for port in container.ports],
            "sharedMemoryMb": container.shared_memory_size_mb,
            "deploymentTimeoutS": int(timeout.total_seconds()) if timeout else 0,
            **probes.told(container),
        }
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
