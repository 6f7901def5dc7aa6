"""Where moto 5.2.5 differs from AWS in what the stacks' resources touch, each with its correction."""

from __future__ import annotations

import types
from typing import Any

from moto.core.common_models import BaseModel
from moto.iam.access_control import IAMRequestBase
from moto.kms import models as kms_models
from moto.kms import utils as kms_utils
from moto.s3 import models as s3_models

from cohost.local.aws.bodies import Body
from cohost.local.aws.trust import trusted


def apply() -> None:
    """Puts every correction in place; called once, before the first request."""
    _keep_no_list_of_every_object()
    _keep_bodies_out_of_memory()
    _make_no_key_pair_for_symmetric_keys()
    _let_services_assume_roles()


def _keep_no_list_of_every_object() -> None:
    """Moto remembers every object ever made for its dashboard: deleted bodies would never be freed."""

    def new(cls: type, *_args: Any, **_kwargs: Any) -> Any:
        return object.__new__(cls)

    BaseModel.__new__ = new  # type: ignore[method-assign]


def _keep_bodies_out_of_memory() -> None:
    """Moto keeps bodies in anonymous temporary files, one open file each, that end with the process."""
    s3_models.tempfile = types.SimpleNamespace(SpooledTemporaryFile=Body)  # type: ignore[assignment]


def _make_no_key_pair_for_symmetric_keys() -> None:
    """Moto makes an RSA key pair beside every symmetric key: slow, unused, not to be kept."""
    generate = kms_utils.generate_private_key

    def generate_for(key_spec: str) -> Any:
        return None if key_spec == "SYMMETRIC_DEFAULT" else generate(key_spec)

    kms_models.generate_private_key = generate_for  # type: ignore[assignment]


def _let_services_assume_roles() -> None:
    """Moto knows no service principals: a role that trusts only SageMaker could be assumed by nobody.

    The SageMaker emulator assumes the execution role with the administrator's key, so a role is let to any
    permitted caller when its trust policy names the caller, the account, or SageMaker.
    """

    def check(request: IAMRequestBase, role_arn: str) -> bool:
        role = request.backend.get_role_by_arn(role_arn)
        return trusted(role.assume_role_policy_document, request._access_key.arn, request.account_id)

    IAMRequestBase._check_role_trust_relationship = check  # type: ignore[method-assign]
