"""The Pulumi program: reads the stack's settings and catalog, and calls the stack of its platform."""

from __future__ import annotations

from pathlib import Path

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from cohost import artifact, settings
from cohost.aws_settings import AwsSettings
from cohost.errors import InputError

root = Path(__file__).resolve().parent
# One look at each model folder, for the checks and for the digests.
cache = artifact.DigestCache.of_project(root)
try:
    # The whole configuration, so that a mistyped key is an error: `pulumi.Config` answers for known ones only.
    configuration = get_config_env() | CONFIG.get()
    stack_settings, catalog = settings.prepare(configuration, stack=pulumi.get_stack(), root=root, cache=cache)
    digests = artifact.digests(catalog, cache=cache)
except InputError as error:
    raise pulumi.RunError(str(error)) from None
# Only the cloud in question is imported: either one takes half a second.
if isinstance(stack_settings, AwsSettings):
    from stacks import aws

    aws.deploy(stack_settings, digests)
else:
    from stacks import gcp

    gcp.deploy(stack_settings, catalog, digests)
