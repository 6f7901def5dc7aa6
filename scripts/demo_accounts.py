"""What the demonstration has left behind in the emulated accounts: nothing, or it fails."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cohost.client.google_auth import GoogleAuthorization
from cohost.local import emulators
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from scripts.demo_steps import PROJECT, fail

# Kinds of the local GCP that no emulator but its provider holds.
_ROLES: Final = "gcp:projects/iAMCustomRole:IAMCustomRole"
_ACCOUNTS: Final = "gcp:serviceaccount/account:Account"


def nothing_left_on_aws(region: str) -> None:
    """Looks into the emulated account with boto3.

    Raises:
        Failed: Something is left.
    """
    import boto3

    def client(service: str) -> Any:
        return boto3.client(service, region_name=region)  # pyright: ignore[reportCallIssue,reportArgumentType]

    aliases = client("kms").list_aliases()["Aliases"]
    _nothing(
        "AWS",
        {
            "endpoints": client("sagemaker").list_endpoints()["Endpoints"],
            "endpoint configurations": client("sagemaker").list_endpoint_configs()["EndpointConfigs"],
            "models": client("sagemaker").list_models()["Models"],
            "buckets": client("s3").list_buckets()["Buckets"],
            "roles": client("iam").list_roles()["Roles"],
            "policies": client("iam").list_policies(Scope="Local")["Policies"],
            "log groups": client("logs").describe_log_groups()["logGroups"],
            "alarms": client("cloudwatch").describe_alarms()["MetricAlarms"],
            "key aliases": [alias for alias in aliases if not alias["AliasName"].startswith("alias/aws/")],
        },
    )


def nothing_left_on_gcp(region: str) -> None:
    """Looks into the emulated project through Google's APIs.

    Raises:
        Failed: Something is left.
    """
    project = os.environ["GOOGLE_CLOUD_PROJECT"]
    vertex = os.environ[VERTEX_ENDPOINT_OVERRIDE].rstrip("/")
    parent = f"{vertex}/v1/projects/{project}/locations/{region}"
    storage = os.environ["STORAGE_EMULATOR_HOST"]
    kept = json.loads((emulators.state_folder(PROJECT, emulators.GCP) / "provider/provider/ledger.json").read_text())
    _nothing(
        "GCP",
        {
            "endpoints": _get(f"{parent}/endpoints").get("endpoints", []),
            "GPUs": [each for each in _get(f"{vertex}/-/deployments") if each["ended"] is None],
            "models": _get(f"{parent}/models").get("models", []),
            "buckets": _get(f"{storage}/storage/v1/b?project={project}").get("items", []),
            "service accounts": list(kept.get(_ACCOUNTS, ())),
            "roles": list(kept.get(_ROLES, ())),
        },
    )


def _get(url: str) -> Any:
    request = urllib.request.Request(url, headers=dict(GoogleAuthorization().headers()))
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as answer:
        return json.load(answer)


def _nothing(cloud: str, found: Mapping[str, Sequence[Any]]) -> None:
    print(f"  left on {cloud}: " + ", ".join(f"{len(items)} {kind}" for kind, items in found.items()), flush=True)
    if any(found.values()):
        fail(f"left: { {kind: items for kind, items in found.items() if items} }")
