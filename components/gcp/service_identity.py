"""Google's own account that Vertex AI reads models and pulls images with, and what it may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_gcp as gcp

from cohost import gcp_rules, tokens
from cohost.gcp_settings import Encryption
from components.gcp.apis import Apis
from components.gcp.artifact_store import KEY_USER, ArtifactStore
from components.gcp.stack import Stack
from components.names import Fault, refuse


@dataclass(frozen=True, kw_only=True)
class ServiceIdentityArgs:
    """What Vertex AI is to read.

    Attributes:
        stack: Whose it is.
        apis: What must be on before.
        reads: The store.
        image: The serving image.
        encryption: The key that models and endpoint are encrypted with.
    """

    stack: Stack
    apis: Apis
    reads: ArtifactStore
    image: str
    encryption: Encryption = field(default_factory=Encryption)

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        return [
            *(("image", fault) for fault in gcp_rules.image(self.image, self.stack.region)),
            *gcp_rules.encryption(self.encryption, self.stack.region),
        ]


class ServiceIdentity(pulumi.ComponentResource):
    """The Vertex AI service agent of the project.

    In a fresh project it may not exist yet, or have no access to the bucket
    (GoogleCloudPlatform/vertex-ai-samples#3710): it is made, and everything is granted explicitly.

    Attributes:
        grants: What comes after this comes after all of these.
    """

    grants: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: ServiceIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the identity and its grants.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.GCP_SERVICE_IDENTITY, name, None, opts)
        self._name, self._args = name, args
        agent = gcp.projects.ServiceIdentity(
            name,
            service="aiplatform.googleapis.com",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.apis.enabled)),
        )
        found = [self._reads(agent.member), self._pulls(agent.member), self._decrypts(agent.member)]
        self.grants = [grant for grant in found if grant is not None]
        self.register_outputs({"member": agent.member})

    def _reads(self, member: pulumi.Output[str]) -> pulumi.Resource:
        return gcp.storage.BucketIAMMember(
            f"{self._name}-reads",
            bucket=self._args.reads.bucket,
            role="roles/storage.objectViewer",
            member=member,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _pulls(self, member: pulumi.Output[str]) -> pulumi.Resource | None:
        """Source: Vertex AI documentation, custom container requirements (a grant for another project only)."""
        registry, project, repository, *_ = self._args.image.split("/")
        if project == self._args.stack.project:
            return None
        return gcp.artifactregistry.RepositoryIamMember(
            f"{self._name}-pulls",
            project=project,
            location=registry.removesuffix("-docker.pkg.dev"),
            repository=repository,
            role="roles/artifactregistry.reader",
            member=member,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _decrypts(self, member: pulumi.Output[str]) -> pulumi.Resource | None:
        key = self._args.encryption.kms_key
        if key is None:
            return None
        return gcp.kms.CryptoKeyIAMMember(
            f"{self._name}-decrypts",
            crypto_key_id=key,
            role=KEY_USER,
            member=member,
            opts=pulumi.ResourceOptions(parent=self),
        )
