"""CloudWatch: log groups and metric alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from cohost.local.aws_provider.convert import from_api, map_to_pairs, pairs_to_map, request
from cohost.local.aws_provider.resource import Call, Change, Gone, Name, Resource

_TAGS: Final = frozenset({"tags", "tagsAll"})


class LogGroup(Resource):
    """A log group."""

    token = "aws:cloudwatch/logGroup:LogGroup"
    supported: ClassVar = frozenset(
        {
            "kmsKeyId",
            "logGroupClass",
            "name",
            "namePrefix",
            "region",
            "retentionInDays",
            "skipDestroy",
            "tags",
        }
    )
    name: ClassVar = Name()
    replaces: ClassVar = frozenset({"logGroupClass", "name", "namePrefix"})
    computed: ClassVar = frozenset({"logGroupClass"})
    defaults: ClassVar = {"retentionInDays": 0, "skipDestroy": False}
    gone: ClassVar = frozenset({"ResourceNotFoundException"})

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the group."""
        parameters = {
            "logGroupName": inputs["name"],
            "kmsKeyId": inputs.get("kmsKeyId"),
            "logGroupClass": inputs.get("logGroupClass"),
            "tags": inputs.get("tags"),
        }
        call.client("logs").create_log_group(**{name: value for name, value in parameters.items() if value})
        return inputs["name"]

    def complete(self, call: Call, resource_id: str, inputs: dict[str, Any]) -> None:
        """Sets how long logs are kept."""
        if inputs["retentionInDays"]:
            _keep(call, resource_id, inputs["retentionInDays"])

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Finds the group among those whose names begin alike."""
        logs = call.client("logs")
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=resource_id)
        for told in (group for page in pages for group in page["logGroups"]):
            if told["logGroupName"] == resource_id:
                arn = told["arn"].removesuffix(":*")
                return {
                    "name": resource_id,
                    "arn": arn,
                    "kmsKeyId": told.get("kmsKeyId"),
                    "logGroupClass": told.get("logGroupClass", "STANDARD"),
                    "retentionInDays": told.get("retentionInDays", 0),
                    "tags": logs.list_tags_for_resource(resourceArn=arn)["tags"],
                }
        raise Gone(f"there is no log group {resource_id}")

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes how long logs are kept, the key and the tags."""
        logs, new = call.client("logs"), change.new
        if change.touches("retentionInDays"):
            _keep(call, resource_id, new["retentionInDays"])
        if change.touches("kmsKeyId"):
            if key := new.get("kmsKeyId"):
                logs.associate_kms_key(logGroupName=resource_id, kmsKeyId=key)
            else:
                logs.disassociate_kms_key(logGroupName=resource_id)
        wanted, unwanted = change.tags()
        if unwanted:
            logs.untag_resource(resourceArn=change.old["arn"], tagKeys=unwanted)
        if wanted:
            logs.tag_resource(resourceArn=change.old["arn"], tags=wanted)

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the group and its logs unless the resource says to leave it."""
        if not state.get("skipDestroy"):
            call.client("logs").delete_log_group(logGroupName=resource_id)


class MetricAlarm(Resource):
    """An alarm on one metric; alarms on expressions over several are refused."""

    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    _plain: ClassVar = (
        "actionsEnabled",
        "alarmActions",
        "alarmDescription",
        "comparisonOperator",
        "datapointsToAlarm",
        "evaluationPeriods",
        "extendedStatistic",
        "insufficientDataActions",
        "metricName",
        "namespace",
        "okActions",
        "period",
        "statistic",
        "threshold",
        "treatMissingData",
        "unit",
    )
    _low_samples: ClassVar = "evaluateLowSampleCountPercentiles"
    supported: ClassVar = frozenset({*_plain, _low_samples, "dimensions", "name", "region", "tags"})
    name: ClassVar = Name(prefix="")
    replaces: ClassVar = frozenset({"name"})
    sets: ClassVar = frozenset({"alarmActions", "insufficientDataActions", "okActions"})
    computed: ClassVar = frozenset({_low_samples})
    defaults: ClassVar = {"actionsEnabled": True, "treatMissingData": "missing"}

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Puts the alarm."""
        self._put(call, inputs, Tags=map_to_pairs(inputs.get("tags") or {}))
        return inputs["name"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the alarm."""
        cloudwatch = call.client("cloudwatch")
        found = cloudwatch.describe_alarms(AlarmNames=[resource_id], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
        if not found:
            raise Gone(f"there is no alarm {resource_id}")
        told = {name.lower(): value for name, value in found[0].items()}
        arn = found[0]["AlarmArn"]
        return {
            **{name: from_api(told.get(name.lower())) for name in self._plain},
            self._low_samples: told.get("evaluatelowsamplecountpercentile"),
            "treatMissingData": told.get("treatmissingdata") or "missing",
            "dimensions": pairs_to_map(found[0].get("Dimensions", [])),
            "name": resource_id,
            "arn": arn,
            "tags": pairs_to_map(cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]),
        }

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Puts the alarm anew, which does not change its tags, and then those."""
        cloudwatch = call.client("cloudwatch")
        if change.names - _TAGS:
            self._put(call, change.new)
        wanted, unwanted = change.tags()
        if unwanted:
            cloudwatch.untag_resource(ResourceARN=change.old["arn"], TagKeys=unwanted)
        if wanted:
            cloudwatch.tag_resource(ResourceARN=change.old["arn"], Tags=map_to_pairs(wanted))

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the alarm; CloudWatch does not mind one that is gone."""
        call.client("cloudwatch").delete_alarms(AlarmNames=[resource_id])

    def _put(self, call: Call, inputs: Mapping[str, Any], **more: Any) -> None:
        cloudwatch = call.client("cloudwatch")
        given = {name: inputs[name] for name in (*self._plain, "dimensions") if name in inputs}
        if self._low_samples in inputs:
            more["EvaluateLowSampleCountPercentile"] = inputs[self._low_samples]
        cloudwatch.put_metric_alarm(**request(cloudwatch, "PutMetricAlarm", given, AlarmName=inputs["name"], **more))


def _keep(call: Call, group: str, days: int) -> None:
    logs = call.client("logs")
    if days:
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)
    else:
        logs.delete_retention_policy(logGroupName=group)


RESOURCES = (LogGroup(), MetricAlarm())
