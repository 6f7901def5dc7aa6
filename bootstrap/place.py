"""The settings of the bootstrap: which clouds, which repository on GitHub, and where state is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from cohost.aws_settings import Region as AwsRegion
from cohost.gcp_settings import ProjectId, Region
from cohost.setting_reader import Platform
from cohost.setting_rules import Fault
from cohost.setting_types import Settings, like

PROJECT: Final = "shared-endpoint-bootstrap"

# Source: GitHub documentation, "Naming your account" and the form of `github.repository`.
GitHubRepository = Annotated[
    str, like(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}", "a repository on GitHub; one is acme/models")
]
GitHubSubject = Annotated[
    str,
    like(
        r"[A-Za-z0-9-]+(@[0-9]+)?/[A-Za-z0-9._-]+(@[0-9]+)?",
        "a repository as the subject of its tokens names it; one is acme@123456/models@456789",
    ),
]
Branch = Annotated[str, like(r"[A-Za-z0-9._/-]{1,200}", "a branch's name")]
Environment = Annotated[str, like(r"[A-Za-z0-9._-]{1,100}", "an environment's name; one is production")]
StackName = Annotated[str, like(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", "a stack's name")]


class Place(Settings):
    """What is to be there before the first stack.

    Attributes:
        project: The project on Google Cloud, from `gcp:project`; None for nothing on GCP.
        region: Its region, from `gcp:region`.
        aws_region: The region on AWS, from `aws:region`; None for nothing on AWS.
        github: The repository whose workflows may preview and deploy; None for none.
        subject: How the subject of its tokens names it; None for by its names alone, as GitHub did until July 2026.
        branch: Its branch on which the workflows by schedule run.
        environments: Its environments whose jobs may deploy.
        state: The cloud that keeps the stacks' state; None for AWS, or GCP where nothing is on AWS.
        aws_stack: The stack on AWS whose resources the roles are for.
        gcp_stack: The stack on GCP.
    """

    project: ProjectId | None = None
    region: Region | None = None
    aws_region: AwsRegion | None = None
    github: GitHubRepository | None = None
    subject: GitHubSubject | None = None
    branch: Branch = "main"
    environments: tuple[Environment, ...] = ("production",)
    state: Literal["aws", "gcp"] | None = None
    aws_stack: StackName = "aws"
    gcp_stack: StackName = "gcp"

    @property
    def has_gcp(self) -> bool:
        """Whether anything is on GCP."""
        return self.project is not None and self.region is not None

    @property
    def keeper(self) -> Literal["aws", "gcp"]:
        """The cloud that keeps the state."""
        return self.state or ("aws" if self.aws_region else "gcp")


def _faults(place: Place) -> Iterator[Fault]:
    if (place.project or place.region or not place.aws_region) and not place.has_gcp:
        if not place.project:
            yield (
                "project",
                "is missing; set it with `pulumi config set gcp:project my-project`, or only aws:region for AWS alone",
            )
        if not place.region:
            yield (
                "region",
                "is missing: that of the stack whose images these are; set it with "
                "`pulumi config set gcp:region europe-west4`",
            )
    if place.aws_region and not place.github:
        yield "github", "is missing: on AWS there is nothing but what its workflows need; one is acme/models"
    if place.subject and re.sub("@[0-9]+", "", place.subject) != place.github:
        yield "subject", f"is {place.subject!r}, which names another repository than {place.github}"
    if place.state == "aws" and not place.aws_region:
        yield "state", 'is "aws", and there is no aws:region'
    if place.state == "gcp" and not place.has_gcp:
        yield "state", 'is "gcp", and there is no gcp:project'
    if not place.environments:
        yield "environments", "is empty, so nobody could deploy; leave it out or name one"


READER: Final = Platform(
    model=Place,
    provider_keys={"project": "gcp:project", "region": "gcp:region", "awsRegion": "aws:region"},
    stand_in={"project": "my-project", "region": "us-central1", "github": "acme/models"},
    missing={},
    defaults=lambda stack: {},
    faults=lambda place: list(_faults(place)),
    namespace=PROJECT,
)


def read(config: Mapping[str, str], stack: str) -> tuple[Place, list[str]]:
    """Returns the settings, and a line for everything wrong with them.

    Args:
        config: Every value by its full key, as the engine hands it to programs.
        stack: The stack's name.
    """
    place, problems = READER.read(config, stack)
    return place, [str(problem) for problem in problems]
