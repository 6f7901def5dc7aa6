"""Who workflows are on GCP: GitHub's tokens are trusted, and two accounts used by them, one to look and one to deploy.

What the second needs of a stack the stack grants itself (`deployer.members`); what the first needs is the reading part
of the same permissions, `cohost.permissions_gcp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import github_subjects
import pulumi
import pulumi_gcp as gcp
import state_layout
from place import Place
from state_gcp import GcpState

from cohost import ownership, permissions_gcp

TOKEN: Final = "cohost:bootstrap:GcpPipeline"
_POOL: Final = "github"
_READING: Final = (".get", ".getIamPolicy", ".list")
# Source: IAM documentation, "Cloud Storage roles" and "Cloud Key Management Service roles". A preview takes no lock and
# writes nothing, and only decrypts: `policies_pipeline.state` has the source.
_STATE_ROLES: Final = {
    "preview": ("roles/storage.objectViewer", "roles/cloudkms.cryptoKeyDecrypter"),
    "deploy": ("roles/storage.objectUser", "roles/cloudkms.cryptoKeyEncrypterDecrypter"),
}


@dataclass(frozen=True, kw_only=True)
class GcpPipelineArgs:
    """What the pipeline's accounts are made of.

    Attributes:
        settings: The bootstrap's settings, with a project on GCP and a repository on GitHub.
        state: Where the state is kept; None when it is not on GCP.
        apis: What must be on before.
    """

    settings: Place
    state: GcpState | None
    apis: Sequence[pulumi.Resource]


class GcpPipeline(pulumi.ComponentResource):
    """GitHub as an identity provider, and the accounts.

    Attributes:
        provider: The provider's full name.
        preview_account: Address of the account of pull requests and of the look for drift; it changes nothing.
        deploy_account: Address of the account of the environments.
    """

    provider: pulumi.Output[str]
    preview_account: pulumi.Output[str]
    deploy_account: pulumi.Output[str]

    def __init__(self, name: str, args: GcpPipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the provider, the accounts and their roles."""
        super().__init__(TOKEN, name, None, opts)
        self._args, self._project = args, args.settings.project or ""
        self._child = pulumi.ResourceOptions(parent=self, depends_on=list(args.apis))
        self._pool, self.provider = self._federation()
        preview = self._account("preview", github_subjects.preview(args.settings))
        deploy = self._account("deploy", github_subjects.deploy(args.settings))
        self._let_look(preview)
        self.preview_account, self.deploy_account = preview.email, deploy.email
        self.register_outputs({"provider": self.provider})

    def _federation(self) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """Names of the pool and of the provider in it.

        GitHub has one issuer for everybody, so tokens of other repositories are refused here already (IAM
        documentation, "Configure Workload Identity Federation with deployment pipelines").
        """
        pool = gcp.iam.WorkloadIdentityPool(
            _POOL,
            project=self._project,
            workload_identity_pool_id=_POOL,
            display_name="GitHub",
            description="Workflows of shared endpoints",
            opts=self._child,
        )
        provider = gcp.iam.WorkloadIdentityPoolProvider(
            _POOL,
            project=self._project,
            workload_identity_pool_id=pool.workload_identity_pool_id,
            workload_identity_pool_provider_id=_POOL,
            display_name="GitHub Actions",
            attribute_mapping={"google.subject": "assertion.sub", "attribute.repository": "assertion.repository"},
            attribute_condition=f"assertion.repository == '{self._args.settings.github}'",
            oidc={"issuer_uri": github_subjects.ISSUER},
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pool.name, provider.name

    def _account(self, name: str, subjects: Sequence[str]) -> gcp.serviceaccount.Account:
        """An account that jobs of these subjects may use, with what it needs of the state."""
        account = gcp.serviceaccount.Account(
            f"cohost-{name}",
            project=self._project,
            account_id=f"cohost-{name}",
            display_name=f"Workflows: {name}",
            opts=self._child,
        )
        for subject in subjects:
            gcp.serviceaccount.IAMMember(
                f"cohost-{name}-{subject.split(':', 2)[2]}",
                service_account_id=account.name,
                role="roles/iam.workloadIdentityUser",
                member=pulumi.Output.concat("principal://iam.googleapis.com/", self._pool, "/subject/", subject),
                opts=pulumi.ResourceOptions(parent=self),
            )
        if self._args.state is not None:
            self._let_use_state(name, account, self._args.state)
        return account

    def _let_use_state(self, name: str, account: gcp.serviceaccount.Account, state: GcpState) -> None:
        child = pulumi.ResourceOptions(parent=self)
        objects, key = _STATE_ROLES[name]
        gcp.storage.BucketIAMMember(
            f"cohost-{name}-state",
            bucket=state.bucket,
            role=objects,
            member=account.member,
            condition={"title": "state", "expression": state.bucket.apply(_state_of_stacks)},
            opts=child,
        )
        gcp.kms.CryptoKeyIAMMember(
            f"cohost-{name}-state", crypto_key_id=state.key, role=key, member=account.member, opts=child
        )

    def _let_look(self, account: gcp.serviceaccount.Account) -> None:
        """What a preview and a look for drift read of the stack, which may not be there yet."""
        bucket = f"projects/_/buckets/{ownership.prefix(self._args.settings.gcp_stack)}-models"
        for part, permissions, condition in (
            ("endpoint", permissions_gcp.ENDPOINT, None),
            # The project's other buckets, its state among them, are not the stack's.
            ("store", permissions_gcp.STORE, f'resource.name.startsWith("{bucket}")'),
        ):
            role = gcp.projects.IAMCustomRole(
                f"cohost-preview-{part}",
                project=self._project,
                role_id=f"cohost_preview_{part}",
                title=f"Preview a shared endpoint: its {part}",
                permissions=[permission for permission in permissions if permission.endswith(_READING)],
                stage="GA",
                opts=self._child,
            )
            gcp.projects.IAMMember(
                f"cohost-preview-{part}",
                project=self._project,
                role=role.name,
                member=account.member,
                condition={"title": f"preview-{part}", "expression": condition} if condition else None,
                opts=pulumi.ResourceOptions(parent=self),
            )


def _state_of_stacks(bucket: str) -> str:
    """The condition that only the stacks' state is meant; objects are listed on the bucket itself.

    Source: IAM documentation, "Resource attributes for IAM Conditions".
    """
    below = (permissions_gcp.below(bucket, prefix) for prefix in (state_layout.META, *state_layout.STACKS))
    return " || ".join(('resource.type == "storage.googleapis.com/Bucket"', *below))
