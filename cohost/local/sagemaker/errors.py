"""What the emulated services refuse, as AWS clients expect to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """An answer other than success.

    Attributes:
        code: The error code, such as ValidationException.
        message: Text for the caller.
        status: HTTP status.
        members: Further members of the error's shape.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


class ProvisioningError(Exception):
    """A fleet did not come up; the text becomes the endpoint's FailureReason."""


def invalid(message: str) -> ServiceError:
    """The control plane's refusal of a request."""
    return ServiceError("ValidationException", message)


def unsupported(what: str) -> ServiceError:
    """The answer to whatever SageMaker does and this emulator does not."""
    return ServiceError("ValidationException", f"{what} is not supported here: this is the local SageMaker")


def missing(kind: str, arn: str) -> ServiceError:
    """The control plane's answer about something that does not exist."""
    return invalid(f'Could not find {kind} "{arn}".')


def existing(kind: str, arn: str) -> ServiceError:
    """The control plane's answer to a name in use."""
    return invalid(f'Cannot create already existing {kind} "{arn}".')


def in_progress(arn: str) -> ServiceError:
    """The control plane's answer to an update or a deletion while an operation runs."""
    return invalid(f'Cannot update in-progress endpoint "{arn}".')


def failed(arn: str) -> ServiceError:
    """The control plane's answer to an update of a failed endpoint, which can only be deleted (DescribeEndpoint)."""
    return invalid(f'Cannot update failed endpoint "{arn}": DeleteEndpoint is the only operation that it takes.')


def config_in_use(name: str) -> ServiceError:
    """The control plane's answer to an update to the configuration that the endpoint already has."""
    return invalid(f'Cannot update endpoint with the currently in use endpoint configuration "{name}".')


def scaled(variant: str) -> ServiceError:
    """The control plane's answer to an update that takes a scaled variant away or gives it another instance type."""
    return invalid(
        f'The variant(s) "{variant}" must be deregistered as scalable targets with Application Auto Scaling before '
        "they can be removed or have their instance type changed."
    )


def over_quota(instance_type: str, *, limit: int, used: int, delta: int) -> ServiceError:
    """SageMaker's answer when an account's quota does not cover what was asked for."""
    return ServiceError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{instance_type} for endpoint usage' is {limit} Instances, with current "
        f"utilization of {used} Instances and a request delta of {delta} Instances. Please use AWS Service Quotas "
        "to request an increase for this quota. If AWS Service Quotas is not available, contact AWS support to "
        "request an increase for this quota.",
    )
