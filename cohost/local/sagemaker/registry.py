"""Amazon ECR, for the one question whether an image is there."""

from __future__ import annotations

from typing import Final

from cohost.local.sagemaker import images
from cohost.local.sagemaker.control import Caller
from cohost.local.sagemaker.errors import ServiceError
from cohost.local.tables import Record

_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """Operations on images; which there are is what `images` says."""

    def batch_get_image(self, caller: Caller, request: Record) -> Record:
        """BatchGetImage, without the manifests, of which there are none here."""
        account, repository = request.get("registryId", caller.account), request["repositoryName"]
        domain = "amazonaws.com.cn" if caller.region.startswith("cn-") else "amazonaws.com"
        address = f"{account}.dkr.ecr.{caller.region}.{domain}/{repository}"
        found: list[Record] = []
        failures: list[Record] = []
        for identity in request["imageIds"]:
            digest = identity.get("imageDigest")
            image = f"{address}@{digest}" if digest else f"{address}:{identity.get('imageTag', '')}"
            missing = images.fault(image, region=caller.region, account=caller.account)
            if missing == "repository":
                raise ServiceError(
                    "RepositoryNotFoundException",
                    f"The repository with name '{repository}' does not exist in the registry with id '{account}'",
                )
            if missing:
                reason = "Requested image not found"
                failures.append({"imageId": identity, "failureCode": "ImageNotFound", "failureReason": reason})
                continue
            found.append(
                {
                    "registryId": account,
                    "repositoryName": repository,
                    "imageId": identity,
                    "imageManifestMediaType": _MANIFEST,
                }
            )
        return {"images": found, "failures": failures}
