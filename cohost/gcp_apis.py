"""The Google APIs that a stack needs, by the first part of their names."""

from __future__ import annotations

from typing import Final

from cohost.gcp_settings import Encryption

# Nothing can be switched on without these two, so nothing that is deployed can switch them on.
BEFORE: Final = ("serviceusage", "cloudresourcemanager")
_USED: Final = ("aiplatform", "artifactregistry", "iam", "storage")
_FOR_A_KEY: Final = "cloudkms"


def used(encryption: Encryption) -> tuple[str, ...]:
    """Returns the APIs that a stack uses, and switches on itself."""
    return (*_USED, _FOR_A_KEY) if encryption.kms_key else _USED
