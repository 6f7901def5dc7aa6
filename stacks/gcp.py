"""The stack on GCP: one Vertex AI endpoint for a whole catalog."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from cohost.catalog import Catalog
from cohost.gcp_settings import GcpSettings
from components.gcp import (
    Apis,
    ApisArgs,
    ArtifactStore,
    ArtifactStoreArgs,
    CallerRole,
    CallerRoleArgs,
    DeployerRole,
    DeployerRoleArgs,
    ServiceIdentity,
    ServiceIdentityArgs,
    ServingAccount,
    ServingAccountArgs,
    SharedEndpoint,
    SharedEndpointArgs,
    Stack,
)


def deploy(settings: GcpSettings, models: Catalog, digests: Mapping[str, str]) -> None:
    """Declares the whole stack.

    Args:
        settings: What the stack was told.
        models: The catalog.
        digests: Artifact digest by model name, for every model of the catalog.
    """
    stack = Stack.current(settings)
    apis = Apis("apis", ApisArgs(encryption=settings.encryption))
    store = ArtifactStore(
        "models",
        ArtifactStoreArgs(stack=stack, apis=apis, encryption=settings.encryption, force_destroy=settings.force_destroy),
    )
    artifacts = store.publish(settings.catalog, digests)
    identity = ServiceIdentity(
        "vertex",
        ServiceIdentityArgs(stack=stack, apis=apis, reads=store, image=settings.image, encryption=settings.encryption),
    )
    account = ServingAccount("serving", ServingAccountArgs(stack=stack, apis=apis, used_by=settings.deployer.members))
    endpoint = SharedEndpoint(
        "shared",
        SharedEndpointArgs(
            stack=stack,
            store=store,
            artifacts=artifacts,
            identity=identity,
            account=account,
            image=settings.image,
            digests=digests,
            labels=_labels(models),
            machine=settings.machine,
            endpoint=settings.endpoint,
            encryption=settings.encryption,
            update=settings.update,
            canary=settings.canary,
        ),
    )
    release = endpoint.activate(settings.catalog, settings.verify)
    caller = CallerRole(
        "caller",
        CallerRoleArgs(stack=stack, apis=apis, store=store, endpoint=endpoint, access=settings.caller),
    )
    deployer = DeployerRole("deployer", DeployerRoleArgs(stack=stack, apis=apis, store=store, access=settings.deployer))

    pulumi.export("platform", settings.platform)
    pulumi.export("region", settings.region)
    pulumi.export("endpoint", endpoint.name)
    pulumi.export("store", store.url)
    pulumi.export("release", release.release)
    pulumi.export("callerRoles", caller.roles)
    pulumi.export("deployerRoles", deployer.roles)
    if settings.endpoint.kind == "dedicated":
        pulumi.export("dns", endpoint.dns)
    if settings.endpoint.address:
        pulumi.export("address", settings.endpoint.address)


def _labels(models: Catalog) -> dict[str, dict[str, str]]:
    """Owner and framework of each model; the catalog's words are valid labels already."""
    return {
        model.name: {"owner": model.owner}
        | ({"framework": model.tags["framework"]} if "framework" in model.tags else {})
        for model in models.models
    }
