"""Service Quotas, for the one kind of quota that endpoints have: instances of a type "for endpoint usage"."""

from __future__ import annotations

from typing import Final

from cohost.local.sagemaker.control import Caller
from cohost.local.sagemaker.errors import ServiceError
from cohost.local.sagemaker.limits import DEFAULT_QUOTA, INSTANCE_TYPES, Limits, quota_code, quota_name
from cohost.local.tables import Record

_SERVICE: Final = "sagemaker"
_ACCOUNT_LEVEL: Final = frozenset({"ACCOUNT", "ALL"})
_PAGE: Final = 100


class Quotas:
    """Operations on quotas; the values in force are those of `Limits`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def get_service_quota(self, caller: Caller, request: Record) -> Record:
        """GetServiceQuota."""
        found = _find(request)
        return {"Quota": _quota(caller, found, self._limits.quota(found))}

    def get_aws_default_service_quota(self, caller: Caller, request: Record) -> Record:
        """GetAWSDefaultServiceQuota: what an account has that asked for nothing."""
        return {"Quota": _quota(caller, _find(request), DEFAULT_QUOTA)}

    def list_service_quotas(self, caller: Caller, request: Record) -> Record:
        """ListServiceQuotas."""
        code = request.get("QuotaCode")
        wanted = [name for name in _types(request) if code in (None, quota_code(name))]
        if request.get("QuotaAppliedAtLevel", "ACCOUNT") not in _ACCOUNT_LEVEL:
            wanted = []
        return _page(request, [_quota(caller, name, self._limits.quota(name)) for name in wanted])

    def list_aws_default_service_quotas(self, caller: Caller, request: Record) -> Record:
        """ListAWSDefaultServiceQuotas."""
        return _page(request, [_quota(caller, name, DEFAULT_QUOTA) for name in _types(request)])


def _types(request: Record) -> list[str]:
    if request["ServiceCode"] != _SERVICE:
        raise _unknown()
    return list(INSTANCE_TYPES)


def _find(request: Record) -> str:
    for name in _types(request):
        if quota_code(name) == request["QuotaCode"]:
            return name
    raise _unknown()


def _unknown() -> ServiceError:
    return ServiceError("NoSuchResourceException", "The specified resource does not exist.")


def _quota(caller: Caller, instance_type: str, value: int) -> Record:
    code = quota_code(instance_type)
    return {
        "ServiceCode": _SERVICE,
        "ServiceName": "Amazon SageMaker",
        "QuotaArn": f"arn:aws:servicequotas:{caller.region}:{caller.account}:{_SERVICE}/{code}",
        "QuotaCode": code,
        "QuotaName": quota_name(instance_type),
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }


def _page(request: Record, quotas: list[Record]) -> Record:
    token = request.get("NextToken", "0")
    if not token.isdecimal() or int(token) > len(quotas):
        raise ServiceError("InvalidPaginationTokenException", "Invalid NextToken.")
    start = int(token)
    end = start + request.get("MaxResults", _PAGE)
    return {"Quotas": quotas[start:end], "NextToken": str(end) if end < len(quotas) else None}
