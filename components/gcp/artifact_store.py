"""The store: a versioned, private bucket, ready before anything is uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
import pulumi_gcp as gcp

from cohost import gcp_rules, tokens
from cohost.gcp_settings import Encryption
from cohost.gcs_layout import REPOSITORIES
from cohost.resources import ArtifactSet
from components.gcp.apis import Apis
from components.gcp.stack import Stack
from components.names import Fault, refuse

# How long what was deleted or overwritten (`releases/current.json`) can be brought back.
_KEEP_OLD_DAYS: Final = 90
# Model repositories of old releases, which the artifact set deletes: copies of artifacts that are still there.
_KEEP_COPIES_DAYS: Final = 1
_ABORT_UPLOAD_DAYS: Final = 7
# Google's own default.
_SOFT_DELETE_SECONDS: Final = 7 * 24 * 3600
_LARGE_UPLOAD: Final = "2h"
KEY_USER: Final = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


@dataclass(frozen=True, kw_only=True)
class ArtifactStoreArgs:
    """What a store is made of.

    Attributes:
        stack: Whose it is.
        apis: What must be on before.
        encryption: With which key: the user's, or Google's own.
        force_destroy: Whether the bucket is deleted with objects in it that are not the stack's own.
    """

    stack: Stack
    apis: Apis
    encryption: Encryption = field(default_factory=Encryption)
    force_destroy: bool = False

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        return [
            *gcp_rules.encryption(self.encryption, self.stack.region),
            *gcp_rules.keeping(production=self.stack.production, force_destroy=self.force_destroy),
        ]


class ArtifactStore(pulumi.ComponentResource):
    """A bucket for artifacts, model repositories and releases.

    Attributes:
        url: `gs://<bucket>`, the store's URL.
        bucket: The bucket's name.
    """

    url: pulumi.Output[str]
    bucket: pulumi.Output[str]

    def __init__(self, name: str, args: ArtifactStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the bucket, and that Cloud Storage may use its key when one is given.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.GCP_ARTIFACT_STORE, name, None, opts)
        self._name, self._stack = name, args.stack
        bucket = self._bucket(args)
        self.bucket = bucket.name
        self.url = pulumi.Output.concat("gs://", bucket.name)
        self.register_outputs({"url": self.url, "bucket": self.bucket})

    def publish(self, catalog: str, digests: Mapping[str, str]) -> ArtifactSet:
        """Declares the artifacts of a catalog in this store, and their model repository.

        Args:
            catalog: Path of catalog.yaml, absolute or relative to Pulumi.yaml.
            digests: Artifact digest by model name.
        """
        return ArtifactSet(
            self._name,
            region=self._stack.region,
            store=self.url,
            catalog=catalog,
            models=digests,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Its deletion empties the bucket.
                protect=self._stack.production,
                custom_timeouts=pulumi.CustomTimeouts(create=_LARGE_UPLOAD, update=_LARGE_UPLOAD),
            ),
        )

    def _bucket(self, args: ArtifactStoreArgs) -> gcp.storage.Bucket:
        key = args.encryption.kms_key
        return gcp.storage.Bucket(
            self._stack.physical(self._name),
            # As Google tells it: in capitals.
            location=self._stack.region.upper(),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning={"enabled": True},
            soft_delete_policy={"retention_duration_seconds": _SOFT_DELETE_SECONDS},
            lifecycle_rules=_lifecycle(),
            encryption={"default_kms_key_name": key} if key else None,
            force_destroy=args.force_destroy,
            labels=self._stack.labels,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=self._stack.production,
                depends_on=[*args.apis.enabled, *([self._key_grant(key, args)] if key else [])],
            ),
        )

    def _key_grant(self, key: str, args: ArtifactStoreArgs) -> gcp.kms.CryptoKeyIAMMember:
        """Source: Cloud Storage documentation, "Use customer-managed encryption keys" (its agent needs the role)."""
        agent = gcp.storage.get_project_service_account_output(
            project=self._stack.project,
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=list(args.apis.enabled)),
        )
        return gcp.kms.CryptoKeyIAMMember(
            f"{self._name}-key",
            crypto_key_id=key,
            role=KEY_USER,
            member=pulumi.Output.concat("serviceAccount:", agent.email_address),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _lifecycle() -> list[gcp.storage.BucketLifecycleRuleArgsDict]:
    """Never deletes a live object: an artifact lives until the stack deletes it."""
    return [
        {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": _ABORT_UPLOAD_DAYS}},
        {
            "action": {"type": "Delete"},
            "condition": {
                "days_since_noncurrent_time": _KEEP_OLD_DAYS,
                "matches_prefixes": ["releases/"],
                "with_state": "ARCHIVED",
            },
        },
        {
            "action": {"type": "Delete"},
            "condition": {
                "days_since_noncurrent_time": _KEEP_COPIES_DAYS,
                "matches_prefixes": [REPOSITORIES],
                "with_state": "ARCHIVED",
            },
        },
    ]
