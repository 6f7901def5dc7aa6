"""Which container images exist, as far as this emulator can know."""

from __future__ import annotations

import re
from typing import Final, Literal

from cohost.local.sagemaker.errors import ProvisioningError

_REFERENCE: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[a-z0-9][a-z0-9._/-]*?)(?:(?P<tag>:[\w][\w.-]*)|(?P<digest>@sha256:[0-9a-f]{64}))?"
)
_TRITON_REPOSITORY: Final = "sagemaker-tritonserver"
# Tags of AWS's Triton images: `YY.MM-py3`, as in sagemaker-core's image_uri_config/sagemaker-tritonserver.json.
_TRITON_TAG: Final = re.compile(r":2\d\.(0[1-9]|1[0-2])-py3")


def fault(image: str, *, region: str, account: str) -> Literal["repository", "image"] | None:
    """Returns what is missing of an image; None when it can be pulled.

    AWS's Triton repository in the endpoint's region exists with its documented tags; a repository of the
    account's own exists when its name says that it holds Triton. Everything else does not.
    """
    found = _REFERENCE.fullmatch(image)
    own = bool(found) and found["account"] == account and "triton" in found["repository"]
    if not found or not (own or found["repository"] == _TRITON_REPOSITORY) or found["region"] != region:
        return "repository"
    return None if own or found["digest"] or _TRITON_TAG.fullmatch(found["tag"] or "") else "image"


def check(image: str, *, variant: str, region: str, account: str) -> None:
    """Checks that an image can be pulled.

    Raises:
        ProvisioningError: It cannot, in SageMaker's words.
    """
    missing = fault(image, region=region, account=account)
    if missing == "repository":
        raise ProvisioningError(
            f"The repository of the image {image} for production variant {variant} does not exist or does not "
            "grant ecr:GetDownloadUrlForLayer, ecr:BatchGetImage, ecr:BatchCheckLayerAvailability to "
            "sagemaker.amazonaws.com service principal."
        )
    if missing == "image":
        raise ProvisioningError(f"The image '{image}' for production variant {variant} does not exist.")
