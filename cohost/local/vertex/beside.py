"""What other services of Google tell about a project: its APIs, quotas, policy and images; and Vertex AI's regions.

Forms: REST references of Service Usage (`services.batchGet`, `consumerQuotaMetrics`), Resource Manager
(`projects.getIamPolicy`), Artifact Registry (`dockerImages.get`) and of the Location service of Vertex AI. They share
an address here, because they have no path in common.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlsplit

from cohost import vertex_fleet
from cohost.local.gcp_provider.ledger import Ledger
from cohost.local.http import Request
from cohost.local.vertex import images
from cohost.local.vertex.errors import VertexError, missing
from cohost.local.vertex.limits import Limits
from cohost.local.vertex.names import project_number
from cohost.local.vertex.protos import Record

_VERTEX: Final = "aiplatform.googleapis.com"
# Nothing can be switched on without them, so they are on.
_ALWAYS_ON: Final = ("serviceusage.googleapis.com", "cloudresourcemanager.googleapis.com")
# What the resources of the local gcp provider are kept under.
_SERVICE: Final = "gcp:projects/service:Service"
_GRANT: Final = "gcp:projects/iAMMember:IAMMember"

_Answer = Callable[[re.Match[str], Request], Record]


class Beside:
    """Answers reads; what changes any of it goes through the local gcp provider, which keeps the ledger."""

    def __init__(self, limits: Limits, ledger: Ledger) -> None:
        self._limits, self._ledger = limits, ledger
        project = r"projects/(?P<project>[^/:]+)"
        self._routes: tuple[tuple[str, re.Pattern[str], _Answer], ...] = (
            ("GET", re.compile(rf"/v1/{project}/services:batchGet"), self._services),
            (
                "GET",
                re.compile(rf"/v1beta1/{project}/services/{_VERTEX}/consumerQuotaMetrics/(?P<metric>.+)"),
                self._quota,
            ),
            ("POST", re.compile(rf"/v1/{project}:getIamPolicy"), self._policy),
            (
                "GET",
                re.compile(
                    rf"/v1/{project}/locations/(?P<region>[^/]+)/repositories/(?P<name>[^/]+)/dockerImages/(?P<image>.+)"
                ),
                self._image,
            ),
            ("GET", re.compile(rf"/v1/{project}/locations/(?P<region>[^/:]+)"), self._location),
        )

    def answer(self, request: Request) -> Record | None:
        """Answers a request; None when it is not for any of these.

        Raises:
            VertexError: It is refused.
        """
        for method, form, answer in self._routes:
            if request.method == method and (found := form.fullmatch(request.path)):
                return answer(found, request)
        return None

    def _is_on(self, project: str, service: str) -> bool:
        return service in _ALWAYS_ON or self._ledger.get(_SERVICE, f"{project}/{service}") is not None

    def _services(self, found: re.Match[str], request: Request) -> Record:
        names = parse_qs(urlsplit(request.target).query).get("names", [])
        services = [name.rpartition("/")[2] for name in names]
        number = project_number(found["project"])
        return {
            "services": [
                {
                    "name": f"projects/{number}/services/{service}",
                    "parent": f"projects/{number}",
                    "state": "ENABLED" if self._is_on(found["project"], service) else "DISABLED",
                }
                for service in services
            ]
        }

    def _quota(self, found: re.Match[str], _request: Request) -> Record:
        name = found["metric"].removeprefix(f"{_VERTEX}/")
        kinds = map(vertex_fleet.accelerator, vertex_fleet.accelerators())
        kind = next((kind for kind in kinds if kind and kind.quota == name), None)
        if kind is None:
            raise missing("Quota metric", name)
        limit = str(self._limits.quota(kind.name))
        return {
            "metric": found["metric"],
            "consumerQuotaLimits": [{"unit": "1/{project}/{region}", "quotaBuckets": [{"effectiveLimit": limit}]}],
        }

    def _policy(self, found: re.Match[str], _request: Request) -> Record:
        members: dict[str, list[str]] = {}
        if self._is_on(found["project"], _VERTEX):
            # IAM documentation, "Service agents": granted when the service makes its agent.
            agent = f"service-{project_number(found['project'])}@gcp-sa-aiplatform.iam.gserviceaccount.com"
            members["roles/aiplatform.serviceAgent"] = [f"serviceAccount:{agent}"]
        for grant in self._ledger.all(_GRANT).values():
            if grant["project"] == found["project"]:
                members.setdefault(grant["role"], []).append(grant["member"])
        return {"version": 1, "bindings": [{"role": role, "members": who} for role, who in members.items()]}

    def _image(self, found: re.Match[str], _request: Request) -> Record:
        address = f"{found['region']}-docker.pkg.dev/{found['project']}/{found['name']}/{found['image']}"
        if not images.exists(address):
            raise VertexError("NOT_FOUND", "Requested entity was not found.")
        return {"name": found[0].removeprefix("/v1/"), "uri": address}

    def _location(self, found: re.Match[str], _request: Request) -> Record:
        known = {region for kind in vertex_fleet.accelerators() for region in vertex_fleet.regions(kind)}
        if found["region"] not in known:
            raise missing("Location", found["region"])
        return {"name": found[0].removeprefix("/v1/"), "locationId": found["region"]}
