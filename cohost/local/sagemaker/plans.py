"""What a fleet is made of and how an update goes, as an endpoint's record keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from cohost.local.sagemaker import errors
from cohost.local.sagemaker.control import only
from cohost.local.tables import Record

# Waits of the cloud (baking, the old fleet's time to live) are made this much shorter: minutes become seconds.
_SECONDS_HERE: Final = 0.01
_POLICY_MEMBERS: Final = frozenset({"BlueGreenUpdatePolicy", "AutoRollbackConfiguration"})
_BLUE_GREEN_MEMBERS: Final = frozenset(
    {"TrafficRoutingConfiguration", "TerminationWaitInSeconds", "MaximumExecutionTimeoutInSeconds"}
)
_ROUTING_MEMBERS: Final = frozenset({"Type", "WaitIntervalInSeconds"})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A fleet, with all that is needed to bring it up: its configuration may be deleted while it runs.

    Attributes:
        config: Name of the endpoint configuration.
        variant: Name of the production variant.
        instance_type: Type of its instances.
        count: How many instances.
        weight: The variant's weight.
        image: The container's image.
        environment: The container's variables.
        role: The execution role.
        url: The prefix in S3 below which target models are.
        mark: Name of the fleet, which its instances' names begin with.
    """

    config: str
    variant: str
    instance_type: str
    count: int
    weight: float
    image: str
    environment: Mapping[str, str]
    role: str
    url: str
    mark: str

    @classmethod
    def of(cls, config: Record, model: Record, mark: str) -> Plan:
        """Returns the fleet of an endpoint configuration and its model."""
        variant = config["ProductionVariants"][0]
        container = model["PrimaryContainer"]
        return cls(
            config=config["EndpointConfigName"],
            variant=variant["VariantName"],
            instance_type=variant["InstanceType"],
            count=variant["InitialInstanceCount"],
            weight=variant["InitialVariantWeight"],
            image=container["Image"],
            environment=container.get("Environment", {}),
            role=model["ExecutionRoleArn"],
            url=container["ModelDataUrl"],
            mark=mark,
        )

    def retaining(self, old: Plan, excluded: set[str]) -> Plan:
        """Returns the plan with the old one's count and weight, but for the excluded properties."""
        if self.variant != old.variant:
            return self
        count = self.count if "DesiredInstanceCount" in excluded else old.count
        weight = self.weight if "DesiredWeight" in excluded else old.weight
        return replace(self, count=count, weight=weight)

    def summary(self, since: float, **members: Any) -> Record:
        """Returns what DescribeEndpoint says of it (ProductionVariantSummary)."""
        # Which digest a tag stands for is the registry's to know.
        resolved = {"ResolvedImage": self.image} if "@sha256:" in self.image else {}
        image = {"SpecifiedImage": self.image, "ResolutionTime": since, **resolved}
        return {
            "VariantName": self.variant,
            "DeployedImages": [image],
            "CurrentWeight": self.weight,
            "DesiredWeight": self.weight,
            "CurrentInstanceCount": self.count,
            "DesiredInstanceCount": self.count,
            **members,
        }


def deployed(record: Record) -> Plan | None:
    """Returns the fleet that an endpoint has; None when it has none."""
    found = record.get("Deployed")
    return Plan(**found) if found else None


def coming(record: Record) -> Plan | None:
    """Returns the fleet that an endpoint is to get; None when nothing changes."""
    found = record.get("Coming")
    return Plan(**found) if found else None


def kept(plan: Plan) -> Record:
    """Returns a plan as a record keeps it."""
    return asdict(plan)


def instances(record: Record, instance_type: str) -> int:
    """Returns how many instances of a type an endpoint has and is to get; a scaled fleet counts once."""
    counts: dict[str, int] = {}
    for plan in (deployed(record), coming(record)):
        if plan and plan.instance_type == instance_type:
            counts[plan.mark] = max(plan.count, counts.get(plan.mark, 0))
    return sum(counts.values())


@dataclass(frozen=True)
class Policy:
    """How an update goes: blue/green, all traffic at once.

    Attributes:
        alarms: Alarms that take it back.
        bake: Seconds for which they are watched once the new fleet has the traffic.
        linger: Seconds for which the old fleet stays after that.
    """

    alarms: tuple[str, ...] = ()
    bake: float = 0.0
    linger: float = 0.0

    @classmethod
    def of(cls, config: Record | None) -> Policy:
        """Reads a DeploymentConfig.

        Raises:
            ServiceError: It asks for something this emulator does not do, or contradicts itself.
        """
        config = config or {}
        only(config, _POLICY_MEMBERS, "DeploymentConfig.")
        update = config.get("BlueGreenUpdatePolicy", {})
        only(update, _BLUE_GREEN_MEMBERS, "DeploymentConfig.BlueGreenUpdatePolicy.")
        routing = update.get("TrafficRoutingConfiguration", {})
        if routing.get("Type", "ALL_AT_ONCE") != "ALL_AT_ONCE":
            raise errors.unsupported(f"Traffic routing {routing['Type']}")
        only(routing, _ROUTING_MEMBERS, "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.")
        bake, linger = routing.get("WaitIntervalInSeconds", 0), update.get("TerminationWaitInSeconds", 0)
        _check_time(update, bake + linger)
        alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        names = tuple(alarm["AlarmName"] for alarm in alarms if "AlarmName" in alarm)
        return cls(names, bake * _SECONDS_HERE, linger * _SECONDS_HERE)


def _check_time(update: Record, waits: int) -> None:
    """Holds the API reference of BlueGreenUpdatePolicy: the timeout "should be larger than the total waiting time"."""
    longest = update.get("MaximumExecutionTimeoutInSeconds")
    if longest is not None and longest <= waits:
        raise errors.invalid(
            f"MaximumExecutionTimeoutInSeconds ({longest}) must be larger than WaitIntervalInSeconds and "
            f"TerminationWaitInSeconds together ({waits})."
        )
