"""The Google APIs that the stack uses, switched on before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_gcp as gcp

from cohost import gcp_apis, tokens
from cohost.gcp_settings import Encryption


@dataclass(frozen=True, kw_only=True)
class ApisArgs:
    """What is to be used.

    Attributes:
        encryption: With a key, its API too.
    """

    encryption: Encryption = field(default_factory=Encryption)


class Apis(pulumi.ComponentResource):
    """Google's APIs; they stay on after a destroy, since others in the project may use them.

    Service Usage and Resource Manager must be on already: nothing can be switched on without them.

    Attributes:
        enabled: What comes after this comes after all of these.
    """

    enabled: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: ApisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the APIs."""
        super().__init__(tokens.GCP_APIS, name, None, opts)
        used = gcp_apis.used(args.encryption)
        self.enabled = [
            gcp.projects.Service(
                api,
                service=f"{api}.googleapis.com",
                disable_on_destroy=False,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for api in used
        ]
        self.register_outputs({"apis": list(used)})
