"""The Pulumi program of the bootstrap: what must exist in a cloud before its first stack."""

from __future__ import annotations

import apis_gcp
import place
import pulumi
from image_repository import ImageRepository, ImageRepositoryArgs
from pipeline_aws import AwsPipeline, AwsPipelineArgs
from pipeline_gcp import GcpPipeline, GcpPipelineArgs
from pulumi.runtime.config import CONFIG, get_config_env
from state_aws import AwsState
from state_gcp import GcpState

settings, problems = place.read(get_config_env() | CONFIG.get(), pulumi.get_stack())
if problems:
    raise pulumi.RunError("\n".join(problems))

apis: list[pulumi.Resource] = []
if settings.project and settings.region:
    images = ImageRepository("serving", ImageRepositoryArgs(project=settings.project, region=settings.region))
    apis += images.enabled
    pulumi.export("repository", images.address)
    pulumi.export("builder", images.builder)

# What follows is exported under the names of the variables that the workflows read.
if settings.github:
    state = None
    if settings.aws_region and settings.keeper == "aws":
        state = AwsState("state", settings.aws_region)
    if settings.project and settings.region:
        apis += apis_gcp.enable(settings.project, ("cloudkms", "iamcredentials", "sts"))
        if settings.keeper == "gcp":
            state = GcpState("state", project=settings.project, region=settings.region, apis=apis)
    if state is not None:
        pulumi.export("PULUMI_BACKEND_URL", state.backend_url)
        pulumi.export("PULUMI_SECRETS_PROVIDER", state.secrets_provider)
    if settings.aws_region:
        roles = AwsPipeline(
            "pipeline-aws",
            AwsPipelineArgs(settings=settings, state=state if isinstance(state, AwsState) else None),
        )
        pulumi.export("AWS_PREVIEW_ROLE", roles.preview_role)
        pulumi.export("AWS_DEPLOY_ROLE", roles.deploy_role)
    if settings.has_gcp:
        accounts = GcpPipeline(
            "pipeline-gcp",
            GcpPipelineArgs(settings=settings, state=state if isinstance(state, GcpState) else None, apis=apis),
        )
        pulumi.export("GCP_WORKLOAD_IDENTITY_PROVIDER", accounts.provider)
        pulumi.export("GCP_PREVIEW_ACCOUNT", accounts.preview_account)
        pulumi.export("GCP_DEPLOY_ACCOUNT", accounts.deploy_account)
