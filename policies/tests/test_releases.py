from __future__ import annotations

import pytest

from cohost import tokens
from rules import types
from tests.stacks import Case, assert_breaks, set_to, with_resource

IMAGE = "europe-west4-docker.pkg.dev/my-project/serving/triton"
AWS_IMAGE = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-tritonserver"
DIGEST = "0a" * 32

CASES = [
    Case(
        "image-pinned",
        "aws",
        set_to(types.AWS_MODEL, "primaryContainer.image", f"{AWS_IMAGE}:latest"),
        [f"{AWS_IMAGE}:latest has the tag latest, which does not look like a version"],
    ),
    Case(
        "image-pinned",
        "aws",
        lambda stack: stack,
        [f"{AWS_IMAGE}:26.05-py3 is not pinned by digest"],
        settings={"requireDigest": True},
    ),
    Case(
        "image-pinned",
        "gcp",
        set_to(tokens.VERTEX_MODEL, "image", IMAGE),
        [f"{IMAGE} has neither digest nor tag, so it is whatever was pushed last"],
    ),
    Case(
        "image-pinned",
        "gcp",
        set_to(tokens.VERTEX_MODEL_SET, "image", f"{IMAGE}@sha256:0a"),
        [f"{IMAGE}@sha256:0a has the tag 0a, which does not look like a version"],
    ),
    Case(
        "artifacts-by-content",
        "aws",
        set_to(tokens.ARTIFACT_SET, "models.digits", "v2"),
        ["models.digits is v2, not a SHA-256 digest"],
    ),
    Case(
        "artifacts-by-content",
        "aws",
        set_to(types.AWS_MODEL, "primaryContainer.modelDataUrl", "s3://bucket/models/digits.tar.gz"),
        ["primaryContainer.modelDataUrl is s3://bucket/models/digits.tar.gz, not the store's …/models/"],
    ),
    Case(
        "artifacts-by-content",
        "aws",
        with_resource("aws:s3/bucketObjectv2:BucketObjectv2", key="models/digits/latest.tar.gz"),
        ["the object models/digits/latest.tar.gz has no digest in its key"],
    ),
    Case(
        "artifacts-by-content",
        "gcp",
        set_to(tokens.VERTEX_MODEL, "artifactUri", "gs://bucket/repositories/current"),
        ["artifactUri is gs://bucket/repositories/current, not a release's …/repositories/<digest>"],
    ),
    Case(
        "artifacts-by-content",
        "gcp",
        with_resource("gcp:storage/bucketObject:BucketObject", name="models/digits/model.onnx"),
        ["the object models/digits/model.onnx has no digest in its key"],
    ),
    Case(
        "way-back-in-production",
        "aws-production",
        set_to(types.AWS_ENDPOINT, "deploymentConfig.autoRollbackConfiguration", None),
        ["deploymentConfig.autoRollbackConfiguration has no alarms"],
    ),
    Case(
        "way-back-in-production",
        "gcp-production",
        set_to(tokens.VERTEX_DEPLOYED_MODEL, "update", "replace"),
        ["update is replace, so callers get errors until the new release is up"],
    ),
    Case(
        "gpu-verified-in-production",
        "aws-production",
        set_to(tokens.SAGEMAKER_ACTIVE_RELEASE, "gpu", value=False),
        ["gpu is false, so a server that has fallen back to its CPU goes live"],
    ),
    Case(
        "gpu-verified-in-production",
        "gcp-production",
        set_to(tokens.VERTEX_ACTIVE_RELEASE, "gpu", value=False),
        ["gpu is false, so a server that has fallen back to its CPU goes live"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_could_change_unseen_breaks_its_rule(case: Case) -> None:
    assert_breaks(case)
