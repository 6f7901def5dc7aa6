"""Every resource type served, by its token."""

from __future__ import annotations

from cohost.local.aws_provider import iam, kms, monitoring, s3, s3_settings, sagemaker, scaling
from cohost.local.aws_provider.resource import Resource

RESOURCES: dict[str, Resource] = {
    resource.token: resource
    for module in (kms, s3, s3_settings, iam, sagemaker, scaling, monitoring)
    for resource in module.RESOURCES
}
