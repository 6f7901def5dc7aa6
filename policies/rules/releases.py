"""Rules on how something new goes live: image, artifacts, and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cohost import tokens
from rules import types
from rules.rule import Context, Resource, Rule
from rules.values import at, differs, entries, items, missing, shown, text

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_BY_DIGEST: Final = re.compile(r"[^@]+@sha256:[0-9a-f]{64}")


def _container_image(resource: Resource, context: Context) -> Iterator[str]:
    containers = [at(container, "image") for container in items(resource.props.get("containers"))]
    for image in (at(resource.props, "primaryContainer", "image"), *containers):
        yield from _pinned(text(image), context)


def _model_image(resource: Resource, context: Context) -> Iterator[str]:
    yield from _pinned(text(resource.props.get("image")), context)


def _pinned(image: str | None, context: Context) -> Iterator[str]:
    if image is None or _BY_DIGEST.fullmatch(image):
        return
    if context.settings["requireDigest"]:
        yield f"{image} is not pinned by digest"
        return
    tag = image.rpartition("/")[2].partition(":")[2]
    if not tag:
        yield f"{image} has neither digest nor tag, so it is whatever was pushed last"
    elif not re.fullmatch(context.settings["tagPattern"], tag):
        yield f"{image} has the tag {tag}, which does not look like a version"


IMAGE_PINNED: Final = Rule(
    name="image-pinned",
    description="The serving image cannot change under its name.",
    level="mandatory",
    severity="high",
    remedy="Name the image with its digest, or with the tag of a version.",
    source="Kubernetes documentation, Images (a digest cannot change, a tag can); AWS names its images by version tags",
    checks={
        types.AWS_MODEL: _container_image,
        tokens.VERTEX_MODEL: _model_image,
        tokens.VERTEX_MODEL_SET: _model_image,
    },
    settings={
        "tagPattern": {
            "type": "string",
            "default": r"v?[0-9]+\.[0-9]+.*",
            "description": "Regular expression of tags that are versions.",
        },
        "requireDigest": {
            "type": "boolean",
            "default": False,
            "description": "Whether only a digest will do; on GCP the settings ask for one anyway.",
        },
    },
)


def _digests(resource: Resource, context: Context) -> Iterator[str]:
    for model, digest in sorted(entries(resource.props.get("models")).items()):
        if not _DIGEST.fullmatch(str(digest)):
            yield f"models.{model} is {digest}, not a SHA-256 digest"


def _repository(resource: Resource, context: Context) -> Iterator[str]:
    uri = text(resource.props.get("artifactUri"))
    if uri and not _DIGEST.fullmatch(uri.rpartition("/repositories/")[2]):
        yield f"artifactUri is {uri}, not a release's …/repositories/<digest>"


def _prefix(resource: Resource, context: Context) -> Iterator[str]:
    url = text(at(resource.props, "primaryContainer", "modelDataUrl"))
    if url and not url.endswith("/models/"):
        yield f"primaryContainer.modelDataUrl is {url}, not the store's …/models/"


def _object_key(resource: Resource, context: Context) -> Iterator[str]:
    key = text(resource.props.get("key")) or text(resource.props.get("name"))
    if key and key.startswith("models/") and not _DIGEST.search(key):
        yield f"the object {key} has no digest in its key"


ARTIFACTS_BY_CONTENT: Final = Rule(
    name="artifacts-by-content",
    description="Artifacts are named by their content, so that a release is the same models for ever.",
    level="mandatory",
    severity="high",
    remedy="Publish models through ArtifactSet, which names them by SHA-256.",
    source="docs/decisions/003-deterministic-archives.md; SageMaker developer guide: never overwrite a model in use",
    checks={
        tokens.ARTIFACT_SET: _digests,
        tokens.SAGEMAKER_ACTIVE_RELEASE: _digests,
        tokens.VERTEX_ACTIVE_RELEASE: _digests,
        tokens.VERTEX_MODEL_SET: _digests,
        tokens.VERTEX_MODEL: _repository,
        types.AWS_MODEL: _prefix,
        "aws:s3/bucketObject*:BucketObject*": _object_key,
        "gcp:storage/bucketObject:BucketObject": _object_key,
    },
)


def _rolls_back(resource: Resource, context: Context) -> Iterator[str]:
    if missing(at(resource.props, "deploymentConfig", "autoRollbackConfiguration", "alarms")):
        yield "deploymentConfig.autoRollbackConfiguration has no alarms"


def _beside(resource: Resource, context: Context) -> Iterator[str]:
    if differs(update := resource.props.get("update"), "surge"):
        yield f"update is {shown(update)}, so callers get errors until the new release is up"


WAY_BACK_IN_PRODUCTION: Final = Rule(
    name="way-back-in-production",
    description="In production, an update leaves the old fleet in place until the new one has proved itself.",
    level="mandatory",
    severity="high",
    remedy="Set rollback.enabled: true on AWS, update: surge on GCP.",
    source="SageMaker developer guide, Auto-rollback configuration; docs/decisions/011-vertex-releases.md",
    checks={types.AWS_ENDPOINT: _rolls_back, tokens.VERTEX_DEPLOYED_MODEL: _beside},
    production=True,
)


def _gpu_verified(resource: Resource, context: Context) -> Iterator[str]:
    if differs(gpu := resource.props.get("gpu"), True):
        yield f"gpu is {shown(gpu)}, so a server that has fallen back to its CPU goes live"


GPU_VERIFIED_IN_PRODUCTION: Final = Rule(
    name="gpu-verified-in-production",
    description="In production, a first release is seen to use the GPU before it goes live.",
    level="mandatory",
    severity="medium",
    remedy="Set verify.gpu: true.",
    source="docs/decisions/007-endpoint-name-and-active-release.md",
    checks={
        tokens.SAGEMAKER_ACTIVE_RELEASE: _gpu_verified,
        tokens.VERTEX_ACTIVE_RELEASE: _gpu_verified,
    },
    production=True,
)

RULES: Final = (IMAGE_PINNED, ARTIFACTS_BY_CONTENT, WAY_BACK_IN_PRODUCTION, GPU_VERIFIED_IN_PRODUCTION)
