"""Whether the project's quota holds the GPUs of a deployment, as far as Google tells: its limit, not what is in use.

Sources: Service Usage API, REST reference of `services.consumerQuotaMetrics` (`quotaBuckets`, from least to most
specific; an `effectiveLimit` of -1 is none); names of the quotas: `cohost/data/vertex_fleet.json`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from cohost import vertex_fleet
from cohost.errors import DeploymentError
from cohost.provider import google_api
from cohost.provider.context import Context
from cohost.provider.google import Google, endpoint_override
from cohost.provider.resource import Values
from cohost.provider.vertex import traffic
from cohost.provider.vertex.traffic import Endpoint

_API: Final = "serviceusage"
_SERVICE: Final = "aiplatform.googleapis.com"


def ensure(context: Context, wanted: Values, endpoint: Endpoint | None, id: str) -> None:
    """Refuses a deployment that the quota cannot hold; a quota that cannot be read is a warning.

    Spot machines are charged to quotas of their own, of which nobody tells the names; they are not looked at.

    Args:
        context: The operation.
        wanted: The complete inputs of the deployment.
        endpoint: What is deployed there stays beside the new one, unless the update replaces it.
        id: The new deployed model's.

    Raises:
        DeploymentError: The quota is too small.
    """
    kind, project, region = wanted["acceleratorType"], wanted["project"], wanted["region"]
    known = vertex_fleet.accelerator(kind) if kind and not wanted["spot"] else None
    if known is None or (endpoint_override() and not os.environ.get(google_api.override(_API))):
        return
    try:
        limit = read(context.gcp, project, region, known.quota)
    except DeploymentError as error:
        context.warning(f'the quota "{known.quota}" cannot be read: {error}')
        return
    stays = 0 if wanted["update"] == "replace" else _in_use(endpoint, kind, id)
    needed = wanted["minReplicas"] * wanted["acceleratorCount"] + stays
    if limit is None or needed <= limit:
        return
    beside = f", {stays} of them for what is deployed until the new one has its calls," if stays else ""
    instead = ", or set `update: replace`" if stays and needed - stays <= limit else ""
    idle = f"; {found}" if stays and (found := traffic.idle(endpoint, id)) else ""
    raise DeploymentError(
        f'the deployment needs {needed} x {kind} at once{beside} but the quota "{known.quota}" of {project} in '
        f"{region} is {limit}: ask for more at https://console.cloud.google.com/iam-admin/quotas?project={project}, "
        f"choose another region or machine{instead}{idle}"
    )


def _in_use(endpoint: Endpoint | None, kind: str, id: str) -> int:
    """GPUs of a kind that the other deployed models of the endpoint have at least."""
    found = 0
    for other, deployed in (endpoint.deployed if endpoint else {}).items():
        resources = deployed.get("dedicatedResources", {})
        machine = resources.get("machineSpec", {})
        if other != id and machine.get("acceleratorType") == kind and not resources.get("spot"):
            found += int(resources.get("minReplicaCount", 1)) * int(machine.get("acceleratorCount", 0))
    return found


def read(google: Google, project: str, region: str, name: str) -> int | None:
    """The limit of a quota of Vertex AI in a region, or None when there is none.

    Args:
        google: Who asks.
        project: The project's id.
        region: Where.
        name: As `cohost.vertex_fleet` knows it: "custom_model_serving_nvidia_l4_gpus".

    Raises:
        GoogleError: It cannot be read.
    """
    metric = quote(f"{_SERVICE}/{name}", safe="")
    path = f"v1beta1/projects/{project}/services/{_SERVICE}/consumerQuotaMetrics/{metric}"
    return _of_region(google_api.call(google.credentials(), _API, path, doing="asking the Service Usage API"), region)


def _of_region(metric: Mapping[str, Any], region: str) -> int | None:
    """The most specific bucket that holds for the region."""
    buckets = [bucket for limit in metric.get("consumerQuotaLimits", ()) for bucket in limit.get("quotaBuckets", ())]
    fitting = [bucket for bucket in buckets if bucket.get("dimensions", {}).get("region", region) == region]
    if not fitting:
        return None
    chosen = max(fitting, key=lambda bucket: len(bucket.get("dimensions", {})))
    limit = int(chosen.get("effectiveLimit", 0))
    return None if limit < 0 else limit
