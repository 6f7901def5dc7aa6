"""Programs of the stack on GCP, run on Pulumi mocks."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Mapping
from typing import Any

from pulumi.runtime import mocks, rpc

from cohost import release, tokens
from tests.unit.mocks import ROOT, SUFFIX, Recording, record

PROJECT = "my-project"
REGION = "europe-west4"
NUMBER = "123456789012"
IMAGE = f"{REGION}-docker.pkg.dev/{PROJECT}/serving/triton@sha256:{'0a' * 32}"
AGENT = f"serviceAccount:service-{NUMBER}@gcp-sa-aiplatform.iam.gserviceaccount.com"
STORAGE_AGENT = f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com"


class GoogleCloud(mocks.Mocks):
    """Answers as providers would."""

    def __init__(self, *, preview: bool) -> None:
        self._preview = preview

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        answers = {
            "gcp:storage/getProjectServiceAccount:getProjectServiceAccount": {
                "emailAddress": STORAGE_AGENT,
                "member": f"serviceAccount:{STORAGE_AGENT}",
            }
        }
        return answers[args.token], []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom:
            return None, args.inputs
        made = _MADE.get(args.typ, lambda _: {})(args)
        outputs = {**args.inputs, **made}
        if self._preview:
            unknown = {name: rpc.UNKNOWN for name in made if name not in args.inputs and name != "release"}
            return None, outputs | unknown
        return f"{args.name}-{SUFFIX}", outputs


def _account(args: mocks.MockResourceArgs) -> dict[str, Any]:
    email = f"{args.inputs['accountId']}@{PROJECT}.iam.gserviceaccount.com"
    return {
        "email": email,
        "member": f"serviceAccount:{email}",
        "name": f"projects/{PROJECT}/serviceAccounts/{email}",
    }


def _model(args: mocks.MockResourceArgs) -> dict[str, Any]:
    name = f"projects/{PROJECT}/locations/{REGION}/models/{args.inputs['modelId']}"
    return {"name": name, "versionId": "1", "versionName": f"{name}@1"}


_MADE: Mapping[str, Callable[[mocks.MockResourceArgs], dict[str, Any]]] = {
    "gcp:storage/bucket:Bucket": lambda args: {"name": f"{args.name}-{SUFFIX}"},
    "gcp:projects/serviceIdentity:ServiceIdentity": lambda args: {"member": AGENT},
    "gcp:serviceaccount/account:Account": _account,
    "gcp:projects/iAMCustomRole:IAMCustomRole": lambda args: {
        "name": f"projects/{PROJECT}/roles/{args.inputs['roleId']}"
    },
    "gcp:vertex/aiEndpoint:AiEndpoint": lambda args: {
        "dedicatedEndpointDns": f"https://{args.inputs['name']}.{REGION}-{NUMBER}.prediction.vertexai.goog"
    },
    tokens.ARTIFACT_SET: lambda args: {"release": release.Release(args.inputs["models"]).digest},
    tokens.VERTEX_MODEL: _model,
    tokens.VERTEX_DEPLOYED_MODEL: lambda args: {"deployedModelId": "1234567890"},
}


def run(program: Callable[[], object], *, preview: bool = False, **how: Any) -> Recording:
    """Runs a program as `tests.unit.mocks.record` does, on GCP."""
    return record(program, cloud=GoogleCloud(preview=preview), preview=preview, **how)


def run_main(
    settings: Mapping[str, Any] | None = None,
    *,
    more: Mapping[str, str] | None = None,
    preview: bool = False,
    **how: Any,
) -> Recording:
    """Runs the project's own program, unchanged.

    Args:
        settings: The stack's settings beside platform, project, region and image, as they stand in its YAML file.
        more: Configuration by full key, as the engine hands it over.
        preview: Whether what providers make up is unknown.
        how: As of `tests.unit.mocks.record`.
    """
    values = {"platform": "gcp", "image": IMAGE, **(settings or {})}
    config = {
        f"{tokens.PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }
    main = str(ROOT / "__main__.py")
    config = {"gcp:project": PROJECT, "gcp:region": REGION, **config, **(more or {})}
    return run(lambda: runpy.run_path(main, run_name="__main__"), config=config, preview=preview, **how)
