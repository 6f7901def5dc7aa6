"""The variables that point a cloud's own clients, a provider or a program at its emulators, and at nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cohost.errors import CohostError
from cohost.local import emulators, google_key
from cohost.local.emulators import AWS, GCP, NO_PROXY, Cloud, Emulator
from cohost.provider import google_api
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE

DEFAULT_PROJECT: Final = "local-project"
# Of Google's services those that the emulator of Vertex AI answers for beside it.
_BESIDE_VERTEX: Final = ("artifactregistry", "cloudresourcemanager", "serviceusage")
_REGIONS: Final = {AWS.platform: ("aws:region", "us-east-1"), GCP.platform: ("gcp:region", "us-central1")}


def region(cloud: Cloud, config: Mapping[str, str]) -> str:
    """Returns the region that a stack's configuration (by full key) names, or the cloud's first."""
    key, default = _REGIONS[cloud.platform]
    return config.get(key, default)


def environment(root: Path, cloud: Cloud, config: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables of a stack.

    Args:
        root: The project's folder.
        cloud: The stack's cloud.
        config: The stack's configuration by full key.

    Raises:
        CohostError: The emulators do not run.
    """
    running = emulators.serving(root, cloud)
    if running is None:
        missing = [name for name in (cloud.base, cloud.serving) if name not in emulators.status(root)]
        raise CohostError(f"the local cloud does not run ({', '.join(missing)}): start it with `cohost local up`")
    state = emulators.state_folder(root, cloud)
    if cloud is AWS:
        return _aws(state, *running, region(cloud, config)) | NO_PROXY
    return _gcp(state, *running, region(cloud, config), config.get("gcp:project", DEFAULT_PROJECT)) | NO_PROXY


def _aws(state: Path, base: Emulator, serving: Emulator, region: str) -> dict[str, str]:
    credentials = json.loads((state / "credentials.json").read_text())
    return {
        "AWS_ENDPOINT_URL": base.url,
        "AWS_ENDPOINT_URL_SAGEMAKER": serving.url,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": serving.url,
        "AWS_ENDPOINT_URL_SERVICE_QUOTAS": serving.url,
        "AWS_ENDPOINT_URL_ECR": serving.url,
        "AWS_ACCESS_KEY_ID": credentials["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": credentials["secret_access_key"],
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        # A profile of the user's own must not send any of this to a real account.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _gcp(state: Path, base: Emulator, serving: Emulator, region: str, project: str) -> dict[str, str]:
    key = google_key.ensure(state / "credentials.json", project=project, token_uri=f"{serving.url}/token")
    return {
        "STORAGE_EMULATOR_HOST": base.url,
        # gcloud's own name for another address of a service.
        VERTEX_ENDPOINT_OVERRIDE: f"{serving.url}/",
        **{google_api.override(service): f"{serving.url}/" for service in _BESIDE_VERTEX},
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        "GOOGLE_CLOUD_PROJECT": project,
        "GOOGLE_CLOUD_REGION": region,
        # The local GCP's own provider keeps what no emulator holds there.
        "COHOST_LOCAL_GCP_STATE": str(state / "provider"),
        # No metadata server answers for a machine of Google's here, and none must be waited for.
        "NO_GCE_CHECK": "true",
    }
