"""Endpoints: what is asked for is checked and recorded here, and done by `deployments`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cohost.local.sagemaker import errors, plans
from cohost.local.sagemaker.cloud import Cloud
from cohost.local.sagemaker.control import Caller, Control, listing, now, only, tags_of
from cohost.local.sagemaker.limits import Limits
from cohost.local.sagemaker.plans import Plan, Policy
from cohost.local.sagemaker.state import State
from cohost.local.tables import Record

_CREATE_MEMBERS: Final = frozenset({"EndpointName", "EndpointConfigName", "DeploymentConfig", "Tags"})
_UPDATE_MEMBERS: Final = frozenset(
    {
        "EndpointName",
        "EndpointConfigName",
        "DeploymentConfig",
        "RetainAllVariantProperties",
        "ExcludeRetainedVariantProperties",
        "RetainDeploymentConfig",
    }
)
_CAPACITY_MEMBERS: Final = frozenset({"VariantName", "DesiredWeight", "DesiredInstanceCount"})
IN_SERVICE: Final = "InService"
CREATING: Final = "Creating"
UPDATING: Final = "Updating"
ROLLING_BACK: Final = "RollingBack"
DELETING: Final = "Deleting"
FAILED: Final = "Failed"
SERVING: Final = frozenset({IN_SERVICE, UPDATING, ROLLING_BACK})


class Endpoints:
    """Operations on endpoints."""

    def __init__(
        self,
        state: State,
        control: Control,
        cloud: Cloud,
        limits: Limits,
        *,
        new_mark: Callable[[], str],
        begin: Callable[[str], None],
    ) -> None:
        """Begins with what the state holds.

        Args:
            state: The records.
            control: Where configurations and models are looked up.
            cloud: Where it is looked up which variants scale.
            limits: The account's quotas.
            new_mark: Makes the name of a new fleet.
            begin: Does what the record of an endpoint (by ARN) says is to be done, in the background.
        """
        self._state, self._control, self._cloud, self._limits = state, control, cloud, limits
        self._new_mark, self._begin = new_mark, begin

    def create_endpoint(self, caller: Caller, request: Record) -> Record:
        """CreateEndpoint."""
        arn = caller.arn("endpoint", request["EndpointName"])
        only(request, _CREATE_MEMBERS, "")
        Policy.of(request.get("DeploymentConfig"))
        with self._state.changing():
            if arn in self._state.endpoints:
                raise errors.existing("endpoint", arn)
            plan = self._plan(caller, request["EndpointConfigName"])
            self._check_quota(caller, plan.instance_type, plan.count)
            self._state.endpoints[arn] = {
                "EndpointName": request["EndpointName"],
                "EndpointArn": arn,
                "EndpointConfigName": plan.config,
                "EndpointStatus": CREATING,
                "LastDeploymentConfig": request.get("DeploymentConfig"),
                "CreationTime": now(),
                "LastModifiedTime": now(),
                "Coming": plans.kept(plan),
            }
            self._state.tags[arn] = tags_of(request)
        self._begin(arn)
        return {"EndpointArn": arn}

    def describe_endpoint(self, caller: Caller, request: Record) -> Record:
        """DescribeEndpoint; a fleet that is still coming shows in PendingDeploymentSummary."""
        with self._state.reading():
            record = self._endpoint(caller, request["EndpointName"])
            plan, next_plan = plans.deployed(record), plans.coming(record)
            variants = pending = None
            since = record["LastModifiedTime"]
            if plan and next_plan and plan.mark == next_plan.mark:
                desired = {"DesiredInstanceCount": next_plan.count, "DesiredWeight": next_plan.weight}
                variants = [plan.summary(since, **desired)]
            elif plan:
                variants = [plan.summary(since)]
                pending = _pending(record, next_plan) if next_plan else None
            return {**record, "ProductionVariants": variants, "PendingDeploymentSummary": pending}

    def list_endpoints(self, caller: Caller, request: Record) -> Record:
        """ListEndpoints."""
        with self._state.reading():
            return listing(self._state.endpoints, caller, request, "Endpoints", "EndpointName")

    def update_endpoint(self, caller: Caller, request: Record) -> Record:
        """UpdateEndpoint: a new fleet beside the old one."""
        arn = caller.arn("endpoint", request["EndpointName"])
        only(request, _UPDATE_MEMBERS, "")
        with self._state.changing():
            record = self._settled(caller, request["EndpointName"])
            old = plans.deployed(record)
            assert old is not None
            deployment = _deployment(record, request)
            Policy.of(deployment)
            # Reported of the real service (hashicorp/terraform-provider-aws#40048).
            self._control.config(caller, old.config)
            if request["EndpointConfigName"] == old.config:
                raise errors.config_in_use(old.config)
            plan = self._plan(caller, request["EndpointConfigName"])
            if request.get("RetainAllVariantProperties"):
                excluded = request.get("ExcludeRetainedVariantProperties", [])
                plan = plan.retaining(old, {each["VariantPropertyType"] for each in excluded})
            self._check_scaling(caller, record["EndpointName"], old, plan)
            self._check_quota(caller, plan.instance_type, plan.count)
            self._change(record, plan)
            record["LastDeploymentConfig"] = deployment
        self._begin(arn)
        return {"EndpointArn": arn}

    def update_endpoint_weights_and_capacities(self, caller: Caller, request: Record) -> Record:
        """UpdateEndpointWeightsAndCapacities: more or fewer instances in the fleet there is."""
        arn = caller.arn("endpoint", request["EndpointName"])
        with self._state.changing():
            record = self._settled(caller, request["EndpointName"])
            plan = plans.deployed(record)
            assert plan is not None
            scaled = plan
            for wanted in request["DesiredWeightsAndCapacities"]:
                only(wanted, _CAPACITY_MEMBERS, "DesiredWeightsAndCapacities.")
                scaled = _scaled(scaled, wanted)
            self._check_quota(caller, plan.instance_type, max(0, scaled.count - plan.count))
            self._change(record, scaled)
        self._begin(arn)
        return {"EndpointArn": arn}

    def delete_endpoint(self, caller: Caller, request: Record) -> Record:
        """DeleteEndpoint."""
        arn = caller.arn("endpoint", request["EndpointName"])
        with self._state.changing():
            record = self._endpoint(caller, request["EndpointName"])
            if record["EndpointStatus"] not in (IN_SERVICE, FAILED):
                raise errors.in_progress(arn)
            record |= {"EndpointStatus": DELETING, "LastModifiedTime": now()}
        self._begin(arn)
        return {}

    def _endpoint(self, caller: Caller, name: str) -> Record:
        arn = caller.arn("endpoint", name)
        if arn not in self._state.endpoints:
            raise errors.missing("endpoint", arn)
        return self._state.endpoints[arn]

    def _settled(self, caller: Caller, name: str) -> Record:
        """Returns the record of an endpoint that can be changed now."""
        record = self._endpoint(caller, name)
        if record["EndpointStatus"] == FAILED:
            raise errors.failed(record["EndpointArn"])
        if record["EndpointStatus"] != IN_SERVICE:
            raise errors.in_progress(record["EndpointArn"])
        return record

    def _plan(self, caller: Caller, config_name: str) -> Plan:
        config = self._control.config(caller, config_name)
        model = self._control.model(caller, config["ProductionVariants"][0]["ModelName"])
        return Plan.of(config, model, self._new_mark())

    def _check_scaling(self, caller: Caller, endpoint: str, old: Plan, new: Plan) -> None:
        """Refuses another instance type for a variant that scales (developer guide, endpoint-scaling-update)."""
        if (old.variant, old.instance_type) == (new.variant, new.instance_type):
            return
        if self._cloud.scales(endpoint, old.variant, caller.region):
            raise errors.scaled(old.variant)

    def _check_quota(self, caller: Caller, instance_type: str, delta: int) -> None:
        """Refuses more instances than the account may have, those of fleets on their way included."""
        limit = self._limits.quota(instance_type)
        used = sum(
            plans.instances(record, instance_type) for arn, record in self._state.endpoints.items() if caller.owns(arn)
        )
        if delta and used + delta > limit:
            raise errors.over_quota(instance_type, limit=limit, used=used, delta=delta)

    def _change(self, record: Record, plan: Plan) -> None:
        record.pop("FailureReason", None)
        started = now()
        record |= {"EndpointStatus": UPDATING, "LastModifiedTime": started, "Started": started}
        record["Coming"] = plans.kept(plan)


def _deployment(record: Record, request: Record) -> Record | None:
    """Returns the DeploymentConfig that an update goes by."""
    if not request.get("RetainDeploymentConfig"):
        return request.get("DeploymentConfig")
    if request.get("DeploymentConfig"):
        raise errors.unsupported("DeploymentConfig beside RetainDeploymentConfig")
    return record.get("LastDeploymentConfig")


def _scaled(plan: Plan, wanted: Record) -> Plan:
    if wanted["VariantName"] != plan.variant:
        raise errors.invalid(
            f'The variant name(s) "{wanted["VariantName"]}" is/are not present within endpoint configuration '
            f'"{plan.config}".'
        )
    count = wanted.get("DesiredInstanceCount", plan.count)
    if count < 1:
        raise errors.invalid("DesiredInstanceCount of a variant without inference components must be at least 1.")
    return replace(plan, count=count, weight=wanted.get("DesiredWeight", plan.weight))


def _pending(record: Record, plan: Plan) -> Record:
    stage = record.get("Stage")
    added = {"InstanceType": plan.instance_type, "VariantStatus": [stage] if stage else None}
    since = record["Started"]
    return {
        "EndpointConfigName": plan.config,
        "ProductionVariants": [plan.summary(since, **added)],
        "StartTime": since,
    }
