"""The last step: puts a model that has passed into the store, and notes its version in SageMaker's registry.

It prints the digest for the catalog: what is served changes by a change of `catalog.yaml`, which somebody reviews.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cohost import pushing
from cohost.errors import DeploymentError, InputError, Problem
from cohost.pushing import Pushed
from cohost.stores import open_store
from scripts.pipeline.command import ending
from scripts.pipeline.evaluate import REPORT

PUSHED: Final = "pushed.json"
_CONTENT: Final = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Where a version is noted.

    Attributes:
        group: The model package group.
        image: The image that serves the model.
        region: The group's region.
    """

    group: str
    image: str
    region: str


def push(
    model: Path, report: Path, store_url: str, out: Path, *, registry: Registry | None, region: str | None
) -> Pushed:
    """Stores the model, notes its version where there is a registry, and writes what was done.

    Args:
        model: The folder that holds the model's folder.
        report: The folder of the evaluation's report.
        store_url: `s3://<bucket>` or `gs://<bucket>`.
        out: The folder for what was done.
        registry: SageMaker's, or None.
        region: The store's; None = from the environment.

    Raises:
        InputError: The report says that the model has not passed, or the model would be refused.
        StoreError: The store refused.
        DeploymentError: The registry refused.
    """
    passed = _passed(report / REPORT)
    folder = pushing.checked(model / passed["model"])
    pushed = pushing.push(folder, open_store(store_url, region=region))
    document: dict[str, Any] = {
        **asdict(pushed),
        "store": store_url,
        "metric": passed["metric"],
        "value": passed["value"],
    }
    if registry:
        document["model_package"] = _note(registry, pushed, store_url, passed)
    out.mkdir(parents=True, exist_ok=True)
    (out / PUSHED).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8", newline="\n")
    print(f"artifact: {pushed.artifact}")
    return pushed


def _passed(file: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        passed, wanted = report["passed"], ("model", "metric", "value")
        missing = [key for key in wanted if key not in report]
    except OSError as error:
        raise InputError([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from None
    except (ValueError, KeyError, TypeError):
        raise InputError([Problem(str(file), "", "is not a report of `scripts.pipeline.evaluate`")]) from None
    if passed is not True or missing:
        raise InputError([Problem(str(file), "passed", "is not true; only a model that has passed is pushed")])
    return report


def _note(registry: Registry, pushed: Pushed, store_url: str, report: Mapping[str, Any]) -> str:
    """Adds a version to the group, to be approved by somebody, and returns its ARN.

    Source: SageMaker API reference, CreateModelPackage.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    container = {"Image": registry.image, "ModelDataUrl": f"{store_url}/models/{pushed.target}"}
    try:
        client: Any = boto3.client("sagemaker", region_name=registry.region)
        made = client.create_model_package(
            ModelPackageGroupName=registry.group,
            ModelPackageDescription=f"{pushed.model} {pushed.artifact[:12]}",
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": [_CONTENT],
                "SupportedResponseMIMETypes": [_CONTENT],
            },
            CustomerMetadataProperties={
                "model": pushed.model,
                "artifact": pushed.artifact,
                str(report["metric"]): str(report["value"]),
            },
        )
    except (BotoCoreError, ClientError) as error:
        raise DeploymentError(f"model package group {registry.group}: {error}") from error
    return made["ModelPackageArn"]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="where the first step put the model's folder")
    parser.add_argument("--report", type=Path, required=True, help="where the second put its report")
    parser.add_argument("--store", required=True, help="s3://<bucket> or gs://<bucket>")
    parser.add_argument("--out", type=Path, required=True, help="where it is written what was pushed")
    parser.add_argument("--region", help="the store's region; default: the environment's")
    parser.add_argument("--model-package-group", help="SageMaker's group of the model's versions")
    parser.add_argument("--serving-image", help="the image that serves the model; with a group")
    given = parser.parse_args()
    return ending(lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    named = {key: getattr(given, key) for key in ("model_package_group", "serving_image", "region")}
    if given.model_package_group and not all(named.values()):
        missing = [f"--{key.replace('_', '-')}" for key, value in named.items() if not value]
        raise InputError(Problem("", key, "is missing, and --model-package-group needs it") for key in missing)
    registry = None
    if given.model_package_group:
        registry = Registry(group=given.model_package_group, image=given.serving_image, region=given.region)
    push(given.model, given.report, given.store, given.out, registry=registry, region=given.region)


if __name__ == "__main__":
    sys.exit(main())
