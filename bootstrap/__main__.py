"""The Pulumi program of the bootstrap: what must exist in a Google Cloud project before its first stack."""

from __future__ import annotations

from typing import Final

import pulumi
from image_repository import ImageRepository, ImageRepositoryArgs
from pulumi.runtime.config import CONFIG, get_config_env

from cohost.errors import InputError
from cohost.gcp_settings import ProjectId, Region
from cohost.setting_reader import Platform
from cohost.setting_types import Settings


class Place(Settings):
    """Where the repository is to be.

    Attributes:
        project: From `gcp:project`.
        region: From `gcp:region`.
    """

    project: ProjectId
    region: Region


_PLACE: Final = Platform(
    model=Place,
    provider_keys={"project": "gcp:project", "region": "gcp:region"},
    stand_in={"project": "my-project", "region": "us-central1"},
    missing={
        "project": "is missing; set it with `pulumi config set gcp:project my-project`",
        "region": "is missing: that of the stack whose images these are; set it with "
        "`pulumi config set gcp:region europe-west4`",
    },
    defaults=lambda stack: {},
    faults=lambda place: [],
)

place, problems = _PLACE.read(get_config_env() | CONFIG.get(), pulumi.get_stack())
if problems:
    raise pulumi.RunError(str(InputError(problems)))

repository = ImageRepository("serving", ImageRepositoryArgs(project=place.project, region=place.region))
pulumi.export("repository", repository.address)
pulumi.export("builder", repository.builder)
