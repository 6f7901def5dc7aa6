"""Where moto 5.2.5 differs from AWS in what the stacks' resources touch, each with its correction."""

from __future__ import annotations

import types
from typing import Any

from moto.core.common_models import BaseModel
from moto.iam.access_control import IAMPolicyStatement, IAMRequestBase, PermissionResult
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
    _keep_bucket_policies_unevaluated()
    _name_actions_as_policies_do()
    _allow_what_is_allowed_on_a_resource_moto_does_not_know()


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


def _keep_bucket_policies_unevaluated() -> None:
    """Moto knows no conditions: a policy that refuses all but TLS would refuse everything."""

    def permission(bucket: s3_models.FakeBucket, action: str, resource: str) -> PermissionResult:
        del bucket, action, resource
        return PermissionResult.NEUTRAL

    s3_models.FakeBucket.get_permission = permission  # type: ignore[method-assign]


def _name_actions_as_policies_do() -> None:
    """Moto takes the name that a request is signed for, which is "monitoring" for CloudWatch's actions."""
    begin = IAMRequestBase.__init__

    def init(request: IAMRequestBase, *args: Any, **kwargs: Any) -> None:
        begin(request, *args, **kwargs)
        request._action = request._action.replace("monitoring:", "cloudwatch:", 1)

    IAMRequestBase.__init__ = init  # type: ignore[method-assign]


def _allow_what_is_allowed_on_a_resource_moto_does_not_know() -> None:
    """Only for S3, IAM and STS does moto say which resource a request is for; all others are for "*".

    A statement for one log group would then allow nothing. So of those services the action alone is checked.
    """
    matches = IAMPolicyStatement._check_element_matches

    def check(statement: IAMPolicyStatement, element: str, value: str) -> bool:
        unknown = element == "Resource" and value == "*" and statement._statement["Effect"] == "Allow"
        return unknown or bool(matches(statement, element, value))

    IAMPolicyStatement._check_element_matches = check  # type: ignore[method-assign]
