from __future__ import annotations

import pytest

from cohost import tokens
from rules import types
from tests.stacks import Case, assert_breaks, set_to, statement, with_resource

GCP_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"

CASES = [
    Case(
        "no-wildcard-action",
        "aws",
        set_to(types.AWS_ROLE_POLICY, "policy", statement(0, Action=["s3:Get*", "s3:ListBucket"])),
        ["ReadArtifacts allows s3:Get*"],
    ),
    Case(
        "no-wildcard-action",
        "aws",
        set_to(types.AWS_ROLE_POLICY, "policy", statement(0, Action=None, NotAction="s3:DeleteObject", Sid=None)),
        ["Statement[0] allows everything but some actions (NotAction)"],
    ),
    Case(
        "no-wildcard-action",
        "aws",
        set_to(types.AWS_BUCKET_POLICY, "policy", statement(1, Effect="Allow", Principal={"AWS": "1"}, Action="s3:*")),
        ["DenyOverwritingArtifacts allows s3:*"],
        also=["artifacts-kept"],
    ),
    Case(
        "no-wildcard-resource",
        "aws",
        set_to(types.AWS_ROLE_POLICY, "policy", statement(0, Resource="*")),
        ["ReadArtifacts allows s3:GetObject on *"],
    ),
    Case(
        "no-wildcard-resource",
        "aws",
        set_to(types.AWS_ROLE_POLICY, "policy", statement(2, Resource=["arn:aws:kms:eu-west-1:123456789012:*"])),
        ["DecryptArtifacts allows kms:Decrypt on arn:aws:kms:eu-west-1:123456789012:*"],
    ),
    Case(
        "no-wildcard-resource",
        "aws",
        set_to(
            types.AWS_POLICY,
            "policy",
            statement(0, Resource=None, NotResource="arn:aws:s3:::a"),
            name="cohost-dev-caller",
        ),
        ["Invoke allows actions on everything but some resources (NotResource)"],
    ),
    Case(
        "no-public-principal",
        "aws",
        set_to(types.AWS_BUCKET_POLICY, "policy", statement(1, Effect="Allow", Action="s3:GetObject")),
        ["DenyOverwritingArtifacts allows s3:GetObject to everyone"],
        also=["artifacts-kept"],
    ),
    Case(
        "no-public-principal",
        "aws",
        set_to(types.AWS_ROLE, "assumeRolePolicy", statement(0, Principal={"AWS": "*"})),
        ["SageMakerOfThisAccount allows sts:AssumeRole to everyone"],
    ),
    Case(
        "no-public-principal",
        "gcp",
        set_to(GCP_MEMBER, "member", "allUsers"),
        ["gives roles/storage.objectViewer to allUsers"],
    ),
    Case(
        "no-public-principal",
        "gcp",
        with_resource(
            "gcp:vertex/aiEndpointIamBinding:AiEndpointIamBinding", role="r", members=["allAuthenticatedUsers"]
        ),
        ["gives r to allAuthenticatedUsers"],
    ),
    Case(
        "no-full-access",
        "aws",
        with_resource(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            policyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess",
        ),
        ["AmazonSageMakerFullAccess is attached"],
    ),
    Case(
        "no-full-access",
        "aws",
        set_to(types.AWS_ROLE, "managedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
        ["AdministratorAccess is attached"],
    ),
    Case(
        "no-full-access",
        "gcp",
        set_to(GCP_MEMBER, "role", "roles/storage.objectAdmin"),
        ["gives roles/storage.objectAdmin"],
    ),
    Case("no-full-access", "gcp", set_to(types.GCP_PROJECT_MEMBER, "role", "roles/editor"), ["gives roles/editor"]),
    Case(
        "pass-role-limited",
        "aws",
        set_to(
            types.AWS_ROLE_POLICY,
            "policy",
            statement(0, Action="iam:PassRole", Resource="arn:aws:iam::123456789012:role/cohost-*"),
        ),
        [
            "ReadArtifacts allows iam:PassRole on arn:aws:iam::123456789012:role/cohost-*",
            "ReadArtifacts allows iam:PassRole without the condition iam:PassedToService",
        ],
    ),
    Case(
        "pass-role-limited",
        "gcp",
        set_to(types.GCP_PROJECT_MEMBER, "role", "roles/iam.serviceAccountUser"),
        ["gives roles/iam.serviceAccountUser on the whole project"],
    ),
    Case(
        "pass-role-limited",
        "gcp",
        set_to(
            types.GCP_CUSTOM_ROLE,
            "permissions",
            ["iam.serviceAccounts.actAs", "storage.buckets.setIamPolicy"],
            name="caller",
        ),
        ["holds iam.serviceAccounts.actAs", "holds storage.buckets.setIamPolicy"],
    ),
    Case(
        "trust-limited",
        "aws",
        set_to(types.AWS_ROLE, "assumeRolePolicy", statement(0, Condition=None)),
        [
            "SageMakerOfThisAccount lets sagemaker.amazonaws.com take the role on behalf of anybody "
            "(aws:SourceAccount or aws:SourceArn)"
        ],
    ),
    Case(
        "serving-account",
        "gcp",
        set_to(tokens.VERTEX_DEPLOYED_MODEL, "serviceAccount", "123456789012-compute@developer.gserviceaccount.com"),
        ["serviceAccount is 123456789012-compute@developer.gserviceaccount.com, which may edit the project by default"],
    ),
    Case(
        "serving-account",
        "gcp",
        set_to(tokens.VERTEX_DEPLOYED_MODEL, "serviceAccount", None),
        ["serviceAccount is not set, so Vertex AI runs the containers as an account of its own choice"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_right_too_many_breaks_its_rule(case: Case) -> None:
    assert_breaks(case)
