"""All checks of a stack, in the order in which one would go about it."""

from __future__ import annotations

from cohost.doctor import (
    aws_account,
    aws_orphans,
    aws_serving,
    gcp_account,
    gcp_orphans,
    gcp_project,
    gcp_serving,
    project,
    versions,
)
from cohost.doctor.check import Check, Step, run
from cohost.doctor.subject import Subject
from cohost.provider.aws import Aws, AwsSettings
from cohost.provider.google import Google, GoogleSettings
from cohost.tokens import PLUGIN


def examine(subject: Subject, platform: str) -> tuple[Check, ...]:
    """Looks at everything, and changes nothing.

    Args:
        subject: The stack.
        platform: "aws" or "gcp".
    """
    return run(_aws(subject) if platform == "aws" else _gcp(subject))


def _aws(subject: Subject) -> tuple[Step, ...]:
    given = _plugin(subject, "profile", "roleArn")
    aws = Aws(AwsSettings(profile=given["profile"], role_arn=given["roleArn"]))
    there = (aws_account.CREDENTIALS, aws_account.REGION, aws_account.REGION_ON)
    return (
        *project.steps(subject),
        *versions.steps(subject, "pulumi-aws"),
        *aws_account.steps(subject, aws),
        *aws_serving.steps(subject, aws, (project.SETTINGS, *there)),
        aws_orphans.step(subject, aws, there),
    )


def _gcp(subject: Subject) -> tuple[Step, ...]:
    google = Google(GoogleSettings(impersonate=_plugin(subject, "impersonate")["impersonate"]))
    asked = (gcp_account.CREDENTIALS, gcp_account.PROJECT)
    there = (*asked, gcp_account.REGION)
    return (
        *project.steps(subject),
        *versions.steps(subject, "pulumi-gcp"),
        *gcp_account.steps(subject, google),
        *gcp_project.steps(subject, google, asked),
        *gcp_serving.steps(subject, google, (project.SETTINGS, *there)),
        gcp_orphans.step(subject, google, (*there, gcp_account.REGION_ON)),
    )


def _plugin(subject: Subject, *names: str) -> dict[str, str | None]:
    """The plugin's own settings, by which the stack chooses whose credentials it is deployed with."""
    return {name: subject.config.get(f"{PLUGIN}:{name}") or None for name in names}
