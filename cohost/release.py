"""The release: which artifact each model of the catalog has, addressed by its own digest.

The active release is one small object in the store, `releases/current.json`; writing it is the moment a
model version goes live, and clients map a model's name to what the platform calls it by reading it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

from cohost.errors import CohostError

SCHEMA: Final = 1
CURRENT_KEY: Final = "releases/current.json"
CANARY: Final = "cohost-canary"
"""The model of ours that stands in every model repository beside the catalog's (`cohost.repository`)."""


def target(name: str, digest: str) -> str:
    """The key of an archive below `models/`, which is also SageMaker's TargetModel for it."""
    return f"{name}/{digest}.tar.gz"


def archive_key(name: str, digest: str) -> str:
    """The key of an archive relative to the store's prefix."""
    return f"models/{target(name, digest)}"


def smoke_key(name: str, digest: str) -> str:
    """The key of the smoke test that was pushed with an archive, relative to the store's prefix."""
    return f"smoke/{name}/{digest}.json"


def release_key(release: str) -> str:
    """The key under which a release stays readable for good, relative to the store's prefix."""
    return f"releases/{release}.json"


@dataclass(frozen=True)
class Release:
    """The set {model name -> artifact digest}.

    Attributes:
        models: Digest (64 lowercase hex digits) by model name.
    """

    models: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        r"""SHA-256 over the lines `<artifact digest>  <model name>\n` in the order of the names."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.models.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def to_json(self, inputs: Mapping[str, str] | None = None) -> bytes:
        """The release as the object `releases/<release>.json` holds it.

        Args:
            inputs: What each model takes, in one phrase for people: "pixels FP32 [-1, 64]".
        """
        document: dict[str, Any] = {"schema": SCHEMA, "release": self.digest}
        document["models"] = dict(sorted(self.models.items()))
        if inputs is not None:
            document["inputs"] = dict(sorted(inputs.items()))
        return _encode(document)


def inputs_from_json(data: bytes) -> dict[str, tuple[str, str]]:
    """What the object `releases/<release>.json` says of its models: (digest, inputs) by name.

    A document of an earlier version tells no inputs; then there are none, as in one that is malformed: they only
    make an error's message better.
    """
    try:
        document = json.loads(data)
        models, inputs = document["models"], document.get("inputs", {})
        return {name: (models[name], _text(inputs, name)) for name in inputs if name in models}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


@dataclass(frozen=True)
class ModelTarget:
    """One model of the active release.

    Attributes:
        digest: The artifact's digest.
        target: What the platform calls it: SageMaker's TargetModel, or the model's name on Triton.
    """

    digest: str
    target: str


@dataclass(frozen=True)
class ActiveRelease:
    """What `releases/current.json` holds: the release that callers get.

    Attributes:
        release: Digest of the release.
        platform: "aws" or "gcp".
        endpoint: The endpoint's name (SageMaker) or resource name (Vertex AI).
        models: What to call for each model's name.
        schema: Version of this document's shape.
    """

    release: str
    platform: str
    endpoint: str
    models: Mapping[str, ModelTarget]
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """The document's bytes; the same release gives the same bytes."""
        models = {name: asdict(model) for name, model in sorted(self.models.items())}
        return _encode(
            {
                "schema": self.schema,
                "release": self.release,
                "platform": self.platform,
                "endpoint": self.endpoint,
                "models": models,
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> ActiveRelease:
        """Reads the document.

        Raises:
            CohostError: It is not one, or of a newer schema than this version understands.
        """
        try:
            document = json.loads(data)
            schema = document["schema"]
            if schema != SCHEMA:
                raise CohostError(
                    f"{CURRENT_KEY} has schema {schema!r}; this version of cohost reads schema {SCHEMA}: "
                    "install the version that wrote it"
                )
            models = {
                name: ModelTarget(digest=_text(model, "digest"), target=_text(model, "target"))
                for name, model in document["models"].items()
            }
            return cls(
                release=_text(document, "release"),
                platform=_text(document, "platform"),
                endpoint=_text(document, "endpoint"),
                models=models,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CohostError(f"{CURRENT_KEY} is not an active release: {type(error).__name__}: {error}") from error


def for_sagemaker(models: Mapping[str, str], endpoint: str) -> ActiveRelease:
    """The active release of a SageMaker multi-model endpoint, whose targets are keys below `models/`.

    Args:
        models: Digest by model name.
        endpoint: The endpoint's name.
    """
    return ActiveRelease(
        release=Release(models).digest,
        platform="aws",
        endpoint=endpoint,
        models={name: ModelTarget(digest, target(name, digest)) for name, digest in models.items()},
    )


def for_vertex(models: Mapping[str, str], endpoint: str) -> ActiveRelease:
    """The active release of a Vertex AI endpoint, whose targets are the models' names on Triton.

    Args:
        models: Digest by model name.
        endpoint: The endpoint's full name, `projects/<project>/locations/<region>/endpoints/<id>`.
    """
    return ActiveRelease(
        release=Release(models).digest,
        platform="gcp",
        endpoint=endpoint,
        models={name: ModelTarget(digest, name) for name, digest in models.items()},
    )


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is not a string")
    return value


def _encode(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
