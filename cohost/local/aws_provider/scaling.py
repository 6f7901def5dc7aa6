"""Application Auto Scaling: scalable targets and their policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from cohost.local.aws_provider.convert import from_api, request
from cohost.local.aws_provider.resource import Call, Change, Gone, Name, Resource

_SERVICE: Final = "application-autoscaling"
_KEY: Final = ("serviceNamespace", "resourceId", "scalableDimension")


class _Scaling(Resource):
    """What both types have in common: how they are said not to be there."""

    gone: ClassVar = frozenset({"ObjectNotFoundException"})

    def is_gone(self, error: Exception) -> bool:
        """Also knows moto 5.2.5's own words for it."""
        return super().is_gone(error) or (isinstance(error, ClientError) and "No scal" in str(error))


class Target(_Scaling):
    """What is scaled; its id is the resource's alone, so that all else comes from the state.

    Tags too: moto 5.2.5 takes them on registering and has no call to read or change them.
    """

    token = "aws:appautoscaling/target:Target"
    _capacities: ClassVar = ("maxCapacity", "minCapacity")
    supported: ClassVar = frozenset({*_KEY, *_capacities, "region", "roleArn", "tags"})
    replaces: ClassVar = frozenset(_KEY)
    computed: ClassVar = frozenset({"roleArn"})

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Registers the target."""
        self._register(call, inputs, Tags=inputs.get("tags") or {})
        return inputs["resourceId"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Finds the target among those of its service."""
        wanted = _key(known, resource_id)
        pages = (
            call.client(_SERVICE)
            .get_paginator("describe_scalable_targets")
            .paginate(
                ServiceNamespace=wanted["serviceNamespace"],
                ResourceIds=[resource_id],
                ScalableDimension=wanted["scalableDimension"],
            )
        )
        for told in (target for page in pages for target in page["ScalableTargets"]):
            names = ("roleARN", *self._capacities)
            values = {name: told.get(name[0].upper() + name[1:]) for name in names}
            role, arn = values.pop("roleARN"), told.get("ScalableTargetARN")
            return {**wanted, **values, "roleArn": role, "arn": arn, "tags": known.get("tags") or {}}
        raise Gone(f"there is no scalable target {resource_id}")

    def imported(self, import_id: str) -> tuple[str, dict[str, Any]]:
        """Takes `<service namespace>/<resource id>/<scalable dimension>`."""
        return _split(import_id, "<service-namespace>/<resource-id>/<scalable-dimension>")

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Registers the target anew."""
        self._register(call, change.new)

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deregisters the target; its policies go with it."""
        call.client(_SERVICE).deregister_scalable_target(**_parameters(_key(state, resource_id)))

    def _register(self, call: Call, inputs: Mapping[str, Any], **more: Any) -> None:
        client = call.client(_SERVICE)
        given = {name: inputs[name] for name in (*_KEY, *self._capacities, "roleArn") if name in inputs}
        client.register_scalable_target(**request(client, "RegisterScalableTarget", given, **more))


class Policy(_Scaling):
    """When a target is scaled; its id is the policy's name alone."""

    token = "aws:appautoscaling/policy:Policy"
    _configurations: ClassVar = ("stepScalingPolicyConfiguration", "targetTrackingScalingPolicyConfiguration")
    supported: ClassVar = frozenset({*_KEY, *_configurations, "name", "policyType", "region"})
    name: ClassVar = Name(prefix="")
    replaces: ClassVar = frozenset({*_KEY, "name"})
    sets: ClassVar = frozenset(
        {
            "stepScalingPolicyConfiguration.stepAdjustments",
            "targetTrackingScalingPolicyConfiguration.customizedMetricSpecification.dimensions",
            "targetTrackingScalingPolicyConfiguration.customizedMetricSpecification.metrics",
        }
    )
    defaults: ClassVar = {"policyType": "StepScaling"}

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Puts the policy."""
        self._put(call, inputs)
        return inputs["name"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Finds the policy among those of its target."""
        wanted = _key(known)
        pages = (
            call.client(_SERVICE)
            .get_paginator("describe_scaling_policies")
            .paginate(**_parameters(wanted), PolicyNames=[resource_id])
        )
        for told in (policy for page in pages for policy in page["ScalingPolicies"]):
            if told["PolicyName"] == resource_id:
                configurations = {name: _configuration(told, name) for name in self._configurations}
                return {
                    **wanted,
                    **configurations,
                    "name": resource_id,
                    "arn": told["PolicyARN"],
                    "policyType": told["PolicyType"],
                    "alarmArns": [alarm["AlarmARN"] for alarm in told.get("Alarms", [])],
                }
        raise Gone(f"there is no scaling policy {resource_id}")

    def imported(self, import_id: str) -> tuple[str, dict[str, Any]]:
        """Takes `<service namespace>/<resource id>/<scalable dimension>/<policy name>`."""
        target, _, name = import_id.rpartition("/")
        _, known = _split(target, "<service-namespace>/<resource-id>/<scalable-dimension>/<policy-name>")
        return name, {**known, "name": name}

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Puts the policy anew."""
        self._put(call, change.new)

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the policy, and with it its alarms."""
        call.client(_SERVICE).delete_scaling_policy(**_parameters(_key(state)), PolicyName=resource_id)

    def _put(self, call: Call, inputs: Mapping[str, Any]) -> None:
        client = call.client(_SERVICE)
        given = {name: inputs[name] for name in (*_KEY, *self._configurations, "policyType") if name in inputs}
        client.put_scaling_policy(**request(client, "PutScalingPolicy", given, PolicyName=inputs["name"]))


def _key(known: Mapping[str, Any], resource_id: str = "") -> dict[str, str]:
    return {name: known[name] for name in _KEY} | ({"resourceId": resource_id} if resource_id else {})


def _parameters(key: Mapping[str, str]) -> dict[str, str]:
    return {name[0].upper() + name[1:]: value for name, value in key.items()}


def _configuration(told: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    configuration = told.get(name[0].upper() + name[1:])
    return from_api(configuration) if configuration else None


def _split(import_id: str, form: str) -> tuple[str, dict[str, Any]]:
    namespace, _, rest = import_id.partition("/")
    resource_id, _, dimension = rest.rpartition("/")
    if not (namespace and resource_id and dimension):
        raise ValueError(f"unexpected format for ID ({import_id}), expected {form}")
    return resource_id, dict(zip(_KEY, (namespace, resource_id, dimension), strict=True))


RESOURCES = (Target(), Policy())
