"""APIs of a Google Cloud project, switched on."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp


def enable(project: str, apis: Sequence[str], parent: pulumi.Resource | None = None) -> list[pulumi.Resource]:
    """Declares APIs ("iam" for iam.googleapis.com); they stay on after a destroy, since others may use them."""
    return [
        gcp.projects.Service(
            api,
            project=project,
            service=f"{api}.googleapis.com",
            disable_on_destroy=False,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        for api in apis
    ]
