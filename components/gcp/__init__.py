"""The boxes of the stack on GCP."""

from components.gcp.access import CallerRole, CallerRoleArgs, DeployerRole, DeployerRoleArgs
from components.gcp.apis import Apis, ApisArgs
from components.gcp.artifact_store import ArtifactStore, ArtifactStoreArgs
from components.gcp.service_identity import ServiceIdentity, ServiceIdentityArgs
from components.gcp.serving_account import ServingAccount, ServingAccountArgs
from components.gcp.shared_endpoint import SharedEndpoint, SharedEndpointArgs
from components.gcp.stack import Stack

__all__ = [
    "Apis",
    "ApisArgs",
    "ArtifactStore",
    "ArtifactStoreArgs",
    "CallerRole",
    "CallerRoleArgs",
    "DeployerRole",
    "DeployerRoleArgs",
    "ServiceIdentity",
    "ServiceIdentityArgs",
    "ServingAccount",
    "ServingAccountArgs",
    "SharedEndpoint",
    "SharedEndpointArgs",
    "Stack",
]
