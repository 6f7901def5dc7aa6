"""Where stacks keep their state on GCP: a bucket, and the key of both the bucket and the stacks' secrets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_gcp as gcp

TOKEN: Final = "cohost:bootstrap:GcpState"
_NAME: Final = "cohost-state"
_ROTATION: Final = f"{90 * 24 * 3600}s"
_KEEP_OLD_DAYS: Final = 90
_KEY_USER: Final = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


class GcpState(pulumi.ComponentResource):
    """A private bucket whose objects keep their versions, and its key; both protected from deletion.

    Attributes:
        bucket: The bucket's name.
        key: The key's name.
        backend_url: What PULUMI_BACKEND_URL is to be.
        secrets_provider: What a stack's secrets provider is to be.
    """

    bucket: pulumi.Output[str]
    key: pulumi.Output[str]
    backend_url: pulumi.Output[str]
    secrets_provider: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        project: str,
        region: str,
        apis: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares bucket and key.

        Args:
            name: The component's name.
            project: The project's id.
            region: The region of both.
            apis: What must be on before.
            opts: The component's options.
        """
        super().__init__(TOKEN, name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, protect=True, depends_on=list(apis))
        # Neither is ever deleted by Google (Cloud KMS documentation, "Key states"), so both names are for good.
        ring = gcp.kms.KeyRing(_NAME, name=_NAME, project=project, location=region, opts=kept)
        key = gcp.kms.CryptoKey(_NAME, name=_NAME, key_ring=ring.id, rotation_period=_ROTATION, opts=kept)
        agent = gcp.storage.get_project_service_account_output(
            project=project, opts=pulumi.InvokeOutputOptions(parent=self, depends_on=list(apis))
        )
        grant = gcp.kms.CryptoKeyIAMMember(
            f"{_NAME}-storage",
            crypto_key_id=key.id,
            role=_KEY_USER,
            member=pulumi.Output.concat("serviceAccount:", agent.email_address),
            opts=pulumi.ResourceOptions(parent=self),
        )
        bucket = gcp.storage.Bucket(
            _NAME,
            project=project,
            # As Google tells it: in capitals.
            location=region.upper(),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning={"enabled": True},
            lifecycle_rules=[
                {
                    "action": {"type": "Delete"},
                    "condition": {"days_since_noncurrent_time": _KEEP_OLD_DAYS, "with_state": "ARCHIVED"},
                }
            ],
            encryption={"default_kms_key_name": key.id},
            opts=pulumi.ResourceOptions(parent=self, protect=True, depends_on=[grant]),
        )
        self.bucket, self.key = bucket.name, key.id
        # Both forms: pulumi 3.260, `pulumi login --help` and `pulumi stack init --help`.
        self.backend_url = pulumi.Output.concat("gs://", bucket.name)
        self.secrets_provider = pulumi.Output.concat("gcpkms://", key.id)
        self.register_outputs({"backendUrl": self.backend_url, "secretsProvider": self.secrets_provider})
