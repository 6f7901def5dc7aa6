"""A stack's typed settings and its catalog, for the platform that its configuration names.

docs/configuration.md describes the keys; `cohost.setting_reader` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cohost import aws_rules, catalog, fleet, gcp_rules, tokens, validation, vertex_fit
from cohost.aws_settings import AwsSettings
from cohost.catalog import Catalog
from cohost.digest_cache import DigestCache
from cohost.errors import InputError, Problem
from cohost.gcp_settings import GcpSettings
from cohost.setting_reader import Platform, problem

Settings = AwsSettings | GcpSettings

_NO_PLATFORM: Final = 'is missing; this release knows "aws" and "gcp"'
_AWS: Final = Platform(
    model=AwsSettings,
    provider_keys={"region": "aws:region"},
    stand_in={"platform": "aws", "region": "us-east-1", "endpointName": "shared-endpoint"},
    missing={
        "platform": _NO_PLATFORM,
        "region": "is missing; set it with `pulumi config set aws:region eu-west-1`",
    },
    defaults=lambda stack: {"endpointName": f"{tokens.PROJECT}-{stack}"},
    faults=aws_rules.faults,
)
_GCP: Final = Platform(
    model=GcpSettings,
    provider_keys={"project": "gcp:project", "region": "gcp:region"},
    stand_in={
        "platform": "gcp",
        "project": "my-project",
        "region": "us-central1",
        "image": f"us-central1-docker.pkg.dev/my-project/serving/triton@sha256:{'0' * 64}",
    },
    missing={
        "project": "is missing; set it with `pulumi config set gcp:project my-project`",
        "region": "is missing; set it with `pulumi config set gcp:region europe-west4`",
        "image": "is missing: the address, with its digest, of a Triton image in an Artifact Registry repository of "
        "this region; bootstrap/README.md shows how to get it there",
    },
    defaults=lambda stack: {},
    faults=gcp_rules.faults,
    regional=gcp_rules.REGIONAL,
)


def check(config: Mapping[str, str], *, stack: str) -> list[Problem]:
    """Returns everything wrong with a stack's configuration; empty when it is good.

    Args:
        config: Every value by its full key ("shared-endpoint:variant"), as the engine hands it to programs.
        stack: The stack's name.
    """
    return _read(config, stack)[1]


def parse(config: Mapping[str, str], *, stack: str) -> Settings:
    """Returns a stack's settings; arguments as of `check`.

    Raises:
        InputError: With every problem found.
    """
    settings, problems = _read(config, stack)
    if problems:
        raise InputError(problems)
    return settings


def max_model_bytes(settings: Settings) -> int | None:
    """Returns the largest model that fits on a stack's fleet; None where nothing but their sum counts."""
    if isinstance(settings, GcpSettings):
        return None
    instance = fleet.instance_type(settings.variant.instance_type)
    return instance.max_model_bytes if instance else None


def preflight(settings: Settings, models: Catalog, *, cache: DigestCache | None = None) -> list[Problem]:
    """Returns everything wrong with a catalog on this fleet: the models, their size on it, and what they are asked."""
    cache = cache or DigestCache()
    found = validation.validate(models, max_bytes=max_model_bytes(settings), cache=cache)
    return found + (list(vertex_fit.misfits(settings, models, cache)) if isinstance(settings, GcpSettings) else [])


def prepare(
    config: Mapping[str, str], *, stack: str, root: Path, cache: DigestCache | None = None
) -> tuple[Settings, Catalog]:
    """Returns a stack's settings and its catalog, both checked, before anything changes.

    Args:
        config: As of `check`.
        stack: The stack's name.
        root: The folder of Pulumi.yaml.
        cache: Where to note folders found good.

    Raises:
        InputError: With every problem found in either.
    """
    settings, problems = _read(config, stack)
    models: Catalog | None = None
    try:
        models = catalog.load(root / settings.catalog)
        problems += preflight(settings, models, cache=cache)
    except InputError as error:
        problems += error.problems
    if problems or models is None:
        raise InputError(problems)
    return settings, models


def _read(config: Mapping[str, str], stack: str) -> tuple[Settings, list[Problem]]:
    """Returns settings (with stand-ins for what is wrong) and the problems."""
    platform = config.get(f"{tokens.PROJECT}:platform", "aws")
    if platform == "aws":
        return _AWS.read(config, stack)
    if platform == "gcp":
        return _GCP.read(config, stack)
    # The other keys are another platform's: nothing can be said of them.
    message = f'{platform!r} is not a platform; this release knows "aws" and "gcp"'
    return AwsSettings.model_validate(_AWS.stand_in), [problem(stack, None, "platform", message)]
