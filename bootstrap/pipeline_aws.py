"""Who workflows are on AWS: GitHub's tokens are trusted, and two roles taken by them, one to look and one to deploy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import github_subjects
import policies_pipeline
import pulumi
import pulumi_aws as aws
from place import Place as Settings
from state_aws import AwsState

from cohost.policies_aws import Document, Place, to_json

TOKEN: Final = "cohost:bootstrap:AwsPipeline"


@dataclass(frozen=True, kw_only=True)
class AwsPipelineArgs:
    """What the pipeline's roles are made of.

    Attributes:
        settings: The bootstrap's settings, with a region on AWS and a repository on GitHub.
        state: Where the state is kept; None when it is not on AWS.
    """

    settings: Settings
    state: AwsState | None


class AwsPipeline(pulumi.ComponentResource):
    """GitHub as an identity provider, and the roles.

    Attributes:
        preview_role: ARN of the role of pull requests and of the look for drift; it changes nothing.
        deploy_role: ARN of the role of the environments.
    """

    preview_role: pulumi.Output[str]
    deploy_role: pulumi.Output[str]

    def __init__(self, name: str, args: AwsPipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the provider, the roles and their policies."""
        super().__init__(TOKEN, name, None, opts)
        settings = args.settings
        identity, partition = aws.get_caller_identity_output(), aws.get_partition_output()
        place = pulumi.Output.all(identity.account_id, partition.partition).apply(
            lambda known: Place(account=known[0], partition=known[1], region=settings.aws_region or "")
        )
        # One an account: IAM knows one provider an issuer. AWS checks GitHub's certificate by itself (IAM user guide,
        # "Create an OpenID Connect identity provider"), so no thumbprint is given.
        provider = aws.iam.OpenIdConnectProvider(
            "github",
            url=github_subjects.ISSUER,
            client_id_lists=["sts.amazonaws.com"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        stack = place.apply(lambda known: policies_pipeline.stack(known, settings.aws_stack))
        looks = stack.apply(lambda parts: {part: policies_pipeline.reading(policy) for part, policy in parts.items()})
        self._github, self._state = provider, args.state
        self.preview_role = self._role("preview", github_subjects.preview(settings), looks, write=False)
        self.deploy_role = self._role("deploy", github_subjects.deploy(settings), stack, write=True)
        self.register_outputs({"previewRole": self.preview_role, "deployRole": self.deploy_role})

    def _role(
        self, name: str, subjects: Sequence[str], stack: pulumi.Output[dict[str, Document]], *, write: bool
    ) -> pulumi.Output[str]:
        """Returns the role's ARN, once it may do what it must."""
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"cohost-{name}",
            description=f"Workflows of {subjects[0].split(':')[1]}: {name}",
            assume_role_policy=self._github.arn.apply(lambda arn: to_json(policies_pipeline.trust(arn, subjects))),
            opts=child,
        )
        documents: dict[str, pulumi.Output[Document]] = {
            part: stack.apply(lambda parts, part=part: parts[part]) for part in policies_pipeline.PARTS
        }
        if self._state is not None:
            known = pulumi.Output.all(self._state.bucket_arn, self._state.key_arn)
            documents["state"] = known.apply(lambda arns: policies_pipeline.state(arns[0], arns[1], write=write))
        attached = [self._attach(f"cohost-{name}-{part}", role, policy) for part, policy in documents.items()]
        return pulumi.Output.all(role.arn, *attached).apply(lambda values: str(values[0]))

    def _attach(self, name: str, role: aws.iam.Role, policy: pulumi.Output[Document]) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        made = aws.iam.Policy(
            name, description="Of the workflows of shared endpoints", policy=policy.apply(to_json), opts=child
        )
        return aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=made.arn, opts=child).id
