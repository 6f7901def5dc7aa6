"""Rules on what must outlive a mistake: names, protection, logs and alarms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cohost import tokens
from rules import types
from rules.rule import Context, Resource, Rule
from rules.values import UNKNOWN, differs, missing, number, shown, text

# The property that a physical name stands in; Pulumi makes one up where it is not given.
_NAMES: Final[Mapping[str, str]] = {
    types.AWS_BUCKET: "bucket",
    types.AWS_ENDPOINT: "name",
    types.AWS_ENDPOINT_CONFIGURATION: "name",
    types.AWS_LOG_GROUP: "name",
    types.AWS_METRIC_ALARM: "name",
    types.AWS_MODEL: "name",
    types.AWS_POLICY: "name",
    types.AWS_ROLE: "name",
    types.AWS_ROLE_POLICY: "name",
    types.GCP_BUCKET: "name",
    types.GCP_ENDPOINT: "name",
}


def _given_name(resource: Resource, context: Context) -> Iterator[str]:
    name = text(resource.props.get(_NAMES[resource.type]))
    # In a preview the engine has filled in the names that it makes up: the logical name and 7 hex digits.
    made_up = name and re.fullmatch(re.escape(resource.name) + "-[0-9a-f]{7}", name)
    if name and not made_up and resource.delete_before_replace is not False:
        yield f"{_NAMES[resource.type]} is given ({name}), and delete_before_replace is not False"


NO_FIXED_NAME: Final = Rule(
    name="no-fixed-name",
    description="A replacement comes up before what it replaces is gone.",
    level="mandatory",
    severity="high",
    remedy="Leave the name out; where only another name replaces, delete_before_replace=False will do.",
    source="pulumi-terraform-bridge, nameRequiresDeleteBeforeReplace; docs/decisions/009-names-and-replacement.md",
    checks=dict.fromkeys(_NAMES, _given_name),
)

_KEPT: Final = (
    types.AWS_BUCKET,
    types.AWS_ENDPOINT,
    types.AWS_KEY,
    types.GCP_BUCKET,
    types.GCP_ENDPOINT,
    tokens.ARTIFACT_SET,
    tokens.SAGEMAKER_ACTIVE_RELEASE,
    tokens.VERTEX_ACTIVE_RELEASE,
)


def _protected(resource: Resource, context: Context) -> Iterator[str]:
    deletion = resource.props.get("deletionPolicy")
    if not resource.protect and deletion not in ("PREVENT", UNKNOWN):
        yield "is not protected from deletion"
    if resource.props.get("forceDestroy") is True:
        yield "forceDestroy is true, so the bucket is deleted with everything in it"


PROTECTED_IN_PRODUCTION: Final = Rule(
    name="protected-in-production",
    description="In production, what callers would miss cannot be deleted by a `pulumi destroy` alone.",
    level="mandatory",
    severity="high",
    remedy="Set production: true, which protects all of it; a changed component must pass protect on.",
    source="Pulumi documentation, protect; pulumi-gcp 10.2, deletionPolicy",
    checks=dict.fromkeys(_KEPT, _protected),
    production=True,
)


def _stays_on(resource: Resource, context: Context) -> Iterator[str]:
    if differs(off := resource.props.get("disableOnDestroy"), False):
        yield f"disableOnDestroy is {shown(off)}, so a destroy turns the API off for the whole project"


APIS_STAY_ON: Final = Rule(
    name="apis-stay-on",
    description="Destroying a stack on GCP leaves the project's APIs on.",
    level="mandatory",
    severity="high",
    remedy="Set disable_on_destroy=False.",
    source="pulumi-gcp 10.2, projects.Service, disableOnDestroy",
    checks={types.GCP_SERVICE: _stays_on},
)


def _kept_logs(resource: Resource, context: Context) -> Iterator[str]:
    days, least = number(resource.props.get("retentionInDays")), context.settings["leastDays"]
    if missing(resource.props.get("retentionInDays")):
        yield "retentionInDays is not set, so logs are kept, and paid for, for ever"
    elif days is not None and days < least:
        yield f"retentionInDays is {shown(days)}; {least} are the least"


def _logs(resource: Resource, context: Context) -> Iterator[str]:
    if resource.props.get("disableContainerLogging") is True:
        yield "disableContainerLogging is true, so nothing tells why a model failed"


LOGS_IN_PRODUCTION: Final = Rule(
    name="logs-in-production",
    description="In production, the containers' logs are kept, and not for ever.",
    level="mandatory",
    severity="medium",
    remedy="Set logRetentionDays on AWS, endpoint.containerLogs: true on GCP.",
    source="AWS Security Hub, CloudWatch.16 (asks for a year); Vertex AI documentation, Online inference logging",
    checks={types.AWS_LOG_GROUP: _kept_logs, tokens.VERTEX_DEPLOYED_MODEL: _logs},
    settings={
        "leastDays": {"type": "integer", "minimum": 1, "default": 30, "description": "How long logs are kept at least."}
    },
    production=True,
)


def _somebody_told(resources: Sequence[Resource], context: Context) -> Iterator[tuple[str, Resource | None]]:
    alarms = [resource for resource in resources if resource.type == types.AWS_METRIC_ALARM]
    if any(resource.type == types.AWS_ENDPOINT for resource in resources) and not alarms:
        yield "has no alarm", None
    for alarm in alarms:
        if missing(alarm.props.get("alarmActions")):
            yield "alarmActions is empty, so nobody is told", alarm


ALARMS_IN_PRODUCTION: Final = Rule(
    name="alarms-in-production",
    description="In production on AWS, somebody is told when calls fail.",
    level="advisory",
    severity="medium",
    remedy="Set alarms.enabled: true and alarms.notify.",
    source="AWS Security Hub, CloudWatch.15; the stack on GCP declares no alarms",
    stack_check=_somebody_told,
    clouds=("AWS",),
    production=True,
)

RULES: Final = (NO_FIXED_NAME, PROTECTED_IN_PRODUCTION, APIS_STAY_ON, LOGS_IN_PRODUCTION, ALARMS_IN_PRODUCTION)
