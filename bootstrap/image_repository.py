"""Where Vertex AI finds the serving image, and the account that puts it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import apis_gcp
import pulumi
import pulumi_gcp as gcp

TOKEN: Final = "cohost:bootstrap:ImageRepository"

# Service Usage and Resource Manager must be on already: nothing can be switched on without them.
_APIS: Final = ("artifactregistry", "cloudbuild", "iam", "logging")
_REPOSITORY: Final = "serving"
_BUILDER: Final = "mirror"
_KEEP_UNTAGGED: Final = "30d"


@dataclass(frozen=True, kw_only=True)
class ImageRepositoryArgs:
    """What a repository is made of.

    Attributes:
        project: The Google Cloud project's id.
        region: Its region, which must be that of the stacks (Vertex AI documentation, custom container requirements:
            a regional repository that matches the model's region, not a multi-regional one).
    """

    project: str
    region: str


class ImageRepository(pulumi.ComponentResource):
    """A repository whose tags never move, and an account for Cloud Build that may fill this one and write logs.

    Attributes:
        address: `<region>-docker.pkg.dev/<project>/<repository>`.
        builder: The account's resource name, once it may do what it must.
        enabled: The APIs.
    """

    address: pulumi.Output[str]
    builder: pulumi.Output[str]
    enabled: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: ImageRepositoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the APIs, the repository, the account and its roles."""
        super().__init__(TOKEN, name, None, opts)
        self._name, self._args = name, args
        self.enabled = apis = apis_gcp.enable(args.project, _APIS, parent=self)
        repository = self._repository(apis)
        self.address = pulumi.Output.concat(
            args.region, "-docker.pkg.dev/", args.project, "/", repository.repository_id
        )
        self.builder = self._builder(repository, apis)
        self.register_outputs({"address": self.address, "builder": self.builder})

    def _repository(self, apis: Sequence[pulumi.Resource]) -> gcp.artifactregistry.Repository:
        """A standard one: that Vertex AI takes an image from one that only passes NVIDIA's on is said nowhere."""
        return gcp.artifactregistry.Repository(
            self._name,
            project=self._args.project,
            location=self._args.region,
            repository_id=_REPOSITORY,
            format="DOCKER",
            mode="STANDARD_REPOSITORY",
            description="Serving images of shared endpoints",
            docker_config={"immutable_tags": True},
            cleanup_policies=_cleanup(),
            cleanup_policy_dry_run=False,
            # What is deployed comes from here.
            opts=pulumi.ResourceOptions(parent=self, protect=True, depends_on=list(apis)),
        )

    def _builder(
        self, repository: gcp.artifactregistry.Repository, apis: Sequence[pulumi.Resource]
    ) -> pulumi.Output[str]:
        """Source: Cloud Build documentation, "Configure user-specified service accounts" (such a one's roles)."""
        child = pulumi.ResourceOptions(parent=self)
        account = gcp.serviceaccount.Account(
            _BUILDER,
            project=self._args.project,
            # One a region, since there may be a repository in each; IAM allows 30 characters, and the longest region
            # (northamerica-northeast1) makes 30.
            account_id=f"{_BUILDER}-{self._args.region}",
            display_name="Mirrors serving images",
            description="Cloud Build copies NVIDIA's Triton image as it",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(apis)),
        )
        writes = gcp.artifactregistry.RepositoryIamMember(
            f"{_BUILDER}-writes",
            project=self._args.project,
            location=self._args.region,
            repository=repository.repository_id,
            role="roles/artifactregistry.writer",
            member=account.member,
            opts=child,
        )
        logs = gcp.projects.IAMMember(
            f"{_BUILDER}-logs",
            project=self._args.project,
            role="roles/logging.logWriter",
            member=account.member,
            opts=child,
        )
        return pulumi.Output.all(account.name, writes.id, logs.id).apply(lambda values: str(values[0]))


def _cleanup() -> list[gcp.artifactregistry.RepositoryCleanupPolicyArgsDict]:
    """Deletes only what has no tag; since tags cannot move, an image that was mirrored is never that.

    Source: Artifact Registry documentation, "Configure cleanup policies" (keeping goes before deleting).
    """
    return [
        {"id": "keep-tagged", "action": "KEEP", "condition": {"tag_state": "TAGGED"}},
        {
            "id": "delete-untagged",
            "action": "DELETE",
            "condition": {"tag_state": "UNTAGGED", "older_than": _KEEP_UNTAGGED},
        },
    ]
