"""CloudWatch alarms: those that take an endpoint update back, and those that tell people.

Metrics and their dimensions: SageMaker developer guide, "Monitor Amazon SageMaker AI with Amazon CloudWatch".
None of them exists for single models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pulumi
import pulumi_aws as aws

from cohost import aws_rules, tokens
from cohost.aws_settings import AlarmSettings, Rollback
from components.aws.stack import Stack
from components.names import Fault, refuse

_NAMESPACE: Final = "AWS/SageMaker"
_MICROSECONDS: Final = 1000
_MINUTE: Final = 60
# botocore 1.44.5, sagemaker, AutoRollbackConfig: at most ten alarms.
_MOST: Final = 10

Statistic = Literal["Average", "Sum", "SampleCount"]
Comparison = Literal["GreaterThanThreshold", "LessThanThreshold"]


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One alarm on one metric of the endpoint's variant.

    Attributes:
        name: What follows the endpoint's name in the alarm's.
        metric: The metric.
        statistic: What is compared.
        threshold: With what it is compared, in the metric's unit.
        comparison: How it is compared.
        minutes: Over how many minutes a value is taken.
        of: How many values in a row are looked at.
        enough: How many of them must be over the threshold.
        description: What it means and what to do.
    """

    name: str
    metric: str
    statistic: Statistic
    threshold: float
    description: str
    comparison: Comparison = "GreaterThanThreshold"
    minutes: int = 5
    of: int = 3
    enough: int = 2


def rollback(settings: Rollback) -> tuple[Alarm, ...]:
    """Returns the alarms that take an update back; none when that is switched off.

    Only errors of the server: a new fleet has to load its models first, so latency rises after every update.
    """
    if not settings.enabled:
        return ()
    return (
        Alarm(
            name="rollback-5xx",
            metric="Invocation5XXErrors",
            statistic="Average",
            threshold=settings.error_rate,
            minutes=1,
            of=2,
            enough=1,
            description="Too many calls are answered 5XX; SageMaker takes a running endpoint update back",
        ),
    )


def operations(settings: AlarmSettings) -> tuple[Alarm, ...]:
    """Returns the alarms for people; none when they are switched off.

    Source of the last two: AWS's advice for multi-model endpoints, "watch ModelCacheHit and ModelUnloadingTime".
    """
    if not settings.enabled:
        return ()
    return (
        Alarm(
            name="5xx-errors",
            metric="Invocation5XXErrors",
            statistic="Average",
            threshold=settings.error_rate,
            description="Too many calls are answered 5XX: see the endpoint's log group",
        ),
        Alarm(
            name="model-errors",
            metric="InvocationModelErrors",
            statistic="Average",
            threshold=settings.error_rate,
            description="Too many calls fail inside the models: see the endpoint's log group",
        ),
        Alarm(
            name="latency",
            metric="ModelLatency",
            statistic="Average",
            threshold=settings.latency_ms * _MICROSECONDS,
            description="Models answer slowly (microseconds): more instances, or fewer models an instance",
        ),
        Alarm(
            name="cache-misses",
            metric="ModelCacheHit",
            statistic="Average",
            comparison="LessThanThreshold",
            threshold=settings.cache_hit_ratio,
            description="Too many calls wait for their model to be loaded: the GPU's memory is too small",
        ),
        Alarm(
            name="thrashing",
            metric="ModelUnloadingTime",
            statistic="SampleCount",
            threshold=settings.unloads,
            description="Models push each other out of memory: the GPU's memory is too small",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    """What a set of alarms is made of.

    Attributes:
        stack: Whose endpoint is watched.
        variant_name: The endpoint's variant.
        alarms: The alarms.
        notify: SNS topics to tell.
    """

    stack: Stack
    variant_name: str
    alarms: Sequence[Alarm]
    notify: Sequence[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The alarms' names: fixed ones, since the endpoint's rollback settings hold them while it lives."""
        return tuple(f"{self.stack.endpoint_name}-{alarm.name}" for alarm in self.alarms)

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        found = list(aws_rules.notify(self.notify, self.stack.region, key="notify"))
        if len(self.alarms) > _MOST:
            found.append(("alarms", f"has {len(self.alarms)} alarms; SageMaker takes {_MOST} at most"))
        for index, alarm in enumerate(self.alarms):
            if not 1 <= alarm.enough <= alarm.of:
                found.append((f"alarms[{index}].enough", f"must be between 1 and `of` ({alarm.of})"))
            if alarm.minutes < 1:
                found.append((f"alarms[{index}].minutes", "must be at least 1: the metrics come once a minute"))
        return found


class Alarms(pulumi.ComponentResource):
    """Alarms on one endpoint.

    Declare them after the endpoint's name is known to be this stack's: CloudWatch takes an alarm of a name that is in
    use for a new version of it, whoever made the first.
    """

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the alarms; what `opts` makes them depend on, each of them depends on.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.AWS_ALARMS, name, None, opts)
        # Children do not inherit it from a component.
        after = opts.depends_on if opts else None
        for alarm, alarm_name in zip(args.alarms, args.names, strict=True):
            self._declare(alarm, alarm_name, args, pulumi.ResourceOptions(parent=self, depends_on=after))
        self.register_outputs({"names": list(args.names)})

    def _declare(self, alarm: Alarm, alarm_name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions) -> None:
        aws.cloudwatch.MetricAlarm(
            alarm.name,
            name=alarm_name,
            alarm_description=alarm.description,
            namespace=_NAMESPACE,
            metric_name=alarm.metric,
            dimensions={"EndpointName": args.stack.endpoint_name, "VariantName": args.variant_name},
            statistic=alarm.statistic,
            period=alarm.minutes * _MINUTE,
            evaluation_periods=alarm.of,
            datapoints_to_alarm=alarm.enough,
            threshold=alarm.threshold,
            comparison_operator=alarm.comparison,
            # Nobody calling is no fault.
            treat_missing_data="notBreaching",
            alarm_actions=list(args.notify),
            ok_actions=list(args.notify),
            tags=args.stack.tags,
            # Only another name replaces an alarm, and until the old endpoint is gone it needs the old one.
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=False)),
        )
