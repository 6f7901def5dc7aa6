"""Every resource type served, by its token."""

from __future__ import annotations

from cohost.local.gcp_provider import accounts, iam, storage, vertex
from cohost.local.gcp_provider.resource import Resource

RESOURCES: dict[str, Resource] = {
    resource.token: resource for module in (accounts, iam, storage, vertex) for resource in module.RESOURCES
}
