"""The bootstrap's part for workflows: where state is kept, and who may look and deploy."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from tests.documents import ROOT, blocks, rows
from tests.unit.iam import Iam
from tests.unit.mocks import ACCOUNT, Cloud, Recording
from tests.unit.mocks import REGION as AWS_REGION
from tests.unit.mocks_gcp import NUMBER, PROJECT, REGION, GoogleCloud
from tests.unit.test_bootstrap import README, up

pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")

OWN = "shared-endpoint-bootstrap"
AWS_ONLY = {"aws:region": AWS_REGION, f"{OWN}:github": "acme/models"}
GCP_ONLY = {"gcp:project": PROJECT, "gcp:region": REGION, f"{OWN}:github": "acme/models"}
BOTH = AWS_ONLY | GCP_ONLY
ISSUER = "token.actions.githubusercontent.com"
LOOKING = ["repo:acme/models:pull_request", "repo:acme/models:ref:refs/heads/main"]
DEPLOYING = ["repo:acme/models:environment:production"]
STATE_ARN = "arn:aws:s3:::cohost-state-1a2b3c4"
READING = re.compile(r"(Get|List|Describe)")
POLICY = "aws:iam/policy:Policy"
ROLE = "aws:iam/role:Role"
MEMBER = "gcp:serviceaccount/iAMMember:IAMMember"
MANAGED_POLICY_CHARACTERS = 6144


class BothClouds(mocks.Mocks):
    """Answers as the providers of both clouds, with what only the bootstrap makes."""

    def __init__(self) -> None:
        self._aws, self._gcp = Cloud(AWS_REGION, "aws", preview=False), GoogleCloud(preview=False)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        return self._of(args.token).call(args)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        id_, outputs = self._of(args.typ).new_resource(args)
        pool = f"projects/{NUMBER}/locations/global/workloadIdentityPools/github"
        more: dict[str, dict[str, Any]] = {
            "aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
                "arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"
            },
            "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": {"name": pool},
            "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": {"name": f"{pool}/providers/github"},
        }
        return id_, outputs | more.get(args.typ, {})

    def _of(self, token: str) -> mocks.Mocks:
        return self._aws if token.startswith("aws:") else self._gcp


def made_of(config: Mapping[str, str]) -> Recording:
    return up(config, cloud=BothClouds())


@pytest.fixture(scope="module")
def both() -> Recording:
    return made_of(BOTH)


def policies(made: Recording, role: str) -> Iam:
    """Everything that a role on AWS may do."""
    attached = [resource for resource in made.of(POLICY) if resource.name.startswith(f"cohost-{role}-")]
    documents = [json.loads(resource.inputs["policy"]) for resource in attached]
    return Iam({"Version": "2012-10-17", "Statement": [one for found in documents for one in found["Statement"]]})


def actions(iam: Iam) -> set[str]:
    return {action for statement in iam.document["Statement"] for action in statement["Action"]}


def test_the_outputs_are_the_variables_that_the_workflows_read(both: Recording) -> None:
    files = [*(ROOT / ".github").rglob("*.yml")]
    read = {name for file in files for name in re.findall(r"\bvars\.([A-Z_]+)", file.read_text())}
    assert read == {name for name in both.outputs if name.isupper()}


@pytest.mark.parametrize(
    ("config", "clouds", "backend"),
    [
        (AWS_ONLY, {"AWS"}, f"s3://cohost-state-1a2b3c4?region={AWS_REGION}"),
        (GCP_ONLY, {"GCP"}, "gs://cohost-state-1a2b3c4"),
        (BOTH, {"AWS", "GCP"}, f"s3://cohost-state-1a2b3c4?region={AWS_REGION}"),
        (BOTH | {f"{OWN}:state": "gcp"}, {"AWS", "GCP"}, "gs://cohost-state-1a2b3c4"),
    ],
)
def test_each_cloud_gets_its_own_part_and_one_of_them_the_state(
    config: Mapping[str, str], clouds: set[str], backend: str
) -> None:
    outputs = made_of(config).outputs
    assert {name.partition("_")[0] for name in outputs if name.isupper()} == {*clouds, "PULUMI"}
    assert outputs["PULUMI_BACKEND_URL"] == backend
    provider = outputs["PULUMI_SECRETS_PROVIDER"]
    assert provider.startswith("awskms://" if backend.startswith("s3") else "gcpkms://")


def test_without_a_repository_on_github_there_is_nothing_for_workflows() -> None:
    made = made_of({"gcp:project": PROJECT, "gcp:region": REGION})
    assert set(made.outputs) == {"repository", "builder"}
    assert made.of("gcp:iam/workloadIdentityPool:WorkloadIdentityPool") == []


@pytest.mark.parametrize(("role", "subjects"), [("preview", LOOKING), ("deploy", DEPLOYING)])
def test_a_role_is_taken_by_tokens_for_aws_with_exactly_these_subjects(
    both: Recording, role: str, subjects: list[str]
) -> None:
    [statement] = json.loads(both.one(ROLE, f"cohost-{role}").inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"}
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {"StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": subjects}}


@pytest.mark.parametrize(("account", "subjects"), [("preview", LOOKING), ("deploy", DEPLOYING)])
def test_an_account_is_used_by_tokens_of_the_repository_with_exactly_these_subjects(
    both: Recording, account: str, subjects: list[str]
) -> None:
    pool = f"principal://iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools/github"
    using = [one for one in both.of(MEMBER) if one.inputs["serviceAccountId"].count(f"/cohost-{account}@")]
    assert {one.inputs["member"] for one in using} == {f"{pool}/subject/{subject}" for subject in subjects}
    assert {one.inputs["role"] for one in using} == {"roles/iam.workloadIdentityUser"}
    provider = both.one("gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider").inputs
    assert provider["attributeCondition"] == "assertion.repository == 'acme/models'"
    assert provider["oidc"] == {"issuerUri": f"https://{ISSUER}"}


def test_a_repository_whose_tokens_carry_numbers_is_trusted_by_these() -> None:
    made = made_of(BOTH | {f"{OWN}:subject": "acme@12/models@34", f"{OWN}:environments": '["live", "eu"]'})
    trusted = json.loads(made.one(ROLE, "cohost-deploy").inputs["assumeRolePolicy"])["Statement"][0]["Condition"]
    wanted = [f"repo:acme@12/models@34:environment:{name}" for name in ("live", "eu")]
    assert trusted["StringEquals"][f"{ISSUER}:sub"] == wanted
    members = {one.inputs["member"].rpartition("/subject/")[2] for one in made.of(MEMBER)}
    assert {*wanted, "repo:acme@12/models@34:pull_request"} <= members


def test_who_previews_on_aws_changes_nothing(both: Recording) -> None:
    changing = {action for action in actions(policies(both, "preview")) if not READING.match(action.partition(":")[2])}
    # State and objects are encrypted.
    assert changing == {"kms:Decrypt"}


def test_who_previews_on_aws_reads_state_and_the_stack_and_no_other(both: Recording) -> None:
    preview = policies(both, "preview")
    assert preview.allows("s3:GetObject", f"{STATE_ARN}/.pulumi/stacks/shared-endpoint/aws.json")
    assert preview.allows("s3:GetObject", f"{STATE_ARN}/.pulumi/meta.yaml")
    assert preview.allows("s3:ListBucket", STATE_ARN)
    assert preview.allows("kms:Decrypt", f"arn:aws:kms:{AWS_REGION}:{ACCOUNT}:key/1a2b3c4")
    endpoint = f"arn:aws:sagemaker:{AWS_REGION}:{ACCOUNT}:endpoint/shared-endpoint-"
    assert preview.allows("sagemaker:DescribeEndpoint", f"{endpoint}aws")
    assert not preview.allows("sagemaker:DescribeEndpoint", f"{endpoint}other")
    assert preview.allows("s3:GetObject", "arn:aws:s3:::cohost-aws-models-1a2b3c4/releases/current.json")
    assert not preview.allows("s3:GetObject", "arn:aws:s3:::payroll/salaries")


def test_who_deploys_on_aws_may_what_the_stacks_own_deployer_policies_allow(both: Recording) -> None:
    deploy = policies(both, "deploy")
    endpoint = f"arn:aws:sagemaker:{AWS_REGION}:{ACCOUNT}:endpoint/shared-endpoint-aws"
    assert deploy.allows("sagemaker:UpdateEndpoint", endpoint)
    assert not deploy.allows("sagemaker:UpdateEndpoint", f"{endpoint}-2")
    role = f"arn:aws:iam::{ACCOUNT}:role/cohost-aws-serving-1a2b3c4"
    assert deploy.allows("iam:PassRole", role, iam__PassedToService="sagemaker.amazonaws.com")
    assert not deploy.allows("iam:PassRole", role, iam__PassedToService="ec2.amazonaws.com")
    assert deploy.allows("s3:PutObject", f"{STATE_ARN}/.pulumi/locks/organization/shared-endpoint/aws/1.json")
    for kind in ("stacks", "history", "backups"):
        assert deploy.allows("s3:PutObject", f"{STATE_ARN}/.pulumi/{kind}/shared-endpoint/aws.json")
        assert not deploy.allows("s3:PutObject", f"{STATE_ARN}/.pulumi/{kind}/shared-endpoint-bootstrap/main.json")
    assert not deploy.allows("s3:PutObject", f"{STATE_ARN}/.pulumi/meta.yaml")
    assert not deploy.allows("s3:DeleteObject", "arn:aws:s3:::cohost-aws-models-1a2b3c4/models/digits/0.tar.gz")
    assert not {action for action in actions(deploy) if action.startswith(("iam:Put", "iam:Attach", "iam:CreateRole"))}


def test_the_key_of_a_stack_that_may_not_be_there_yet_is_known_by_its_tag(both: Recording) -> None:
    key = f"arn:aws:kms:{AWS_REGION}:{ACCOUNT}:key/0a1b"
    s3 = {
        "kms__ViaService": f"s3.{AWS_REGION}.amazonaws.com",
        "kms__EncryptionContext__aws__s3__arn": "arn:aws:s3:::cohost-aws-models-1a2b3c4",
    }
    for role in ("preview", "deploy"):
        iam = policies(both, role)
        for call, context in (("kms:DescribeKey", {}), ("kms:Decrypt", s3)):
            assert iam.allows(call, key, **context, aws__ResourceTag_cohost__stack="shared-endpoint/aws")
            assert not iam.allows(call, key, **context, aws__ResourceTag_cohost__stack="shared-endpoint/other")
            assert not iam.allows(call, key, **context)


def test_every_policy_is_one_that_iam_takes_and_is_attached_to_its_role(both: Recording) -> None:
    attached = {one.inputs["policyArn"] for one in both.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
    for policy in both.of(POLICY):
        assert len(policy.inputs["policy"]) <= MANAGED_POLICY_CHARACTERS, policy.name
        assert f"arn:aws:iam::{ACCOUNT}:policy/{policy.name}-1a2b3c4" in attached
    assert len(attached) == len(both.of(POLICY)) == 6


def test_every_api_is_on_before_what_needs_it() -> None:
    made = made_of(GCP_ONLY)
    on = {service.urn for service in made.of("gcp:projects/service:Service")}
    assert len(on) == 7
    for kind in ("iam/workloadIdentityPool:WorkloadIdentityPool", "kms/keyRing:KeyRing", "storage/bucket:Bucket"):
        assert on <= made.after(made.one(f"gcp:{kind}")), kind
    assert on <= made.after(made.one("gcp:serviceaccount/account:Account", "cohost-deploy"))


def test_who_previews_on_gcp_reads_the_project_and_only_the_stacks_bucket() -> None:
    made = made_of(GCP_ONLY)
    roles = made.of("gcp:projects/iAMCustomRole:IAMCustomRole")
    permissions = {permission for role in roles for permission in role.inputs["permissions"]}
    assert {permission.rpartition(".")[2] for permission in permissions} == {"get", "getIamPolicy", "list"}
    assert "storage.objects.get" in permissions
    store = made.one("gcp:projects/iAMMember:IAMMember", "cohost-preview-store").inputs
    wanted = 'resource.name.startsWith("projects/_/buckets/cohost-gcp-models")'
    assert store["condition"] == {"title": "preview-store", "expression": wanted}
    assert [role.name for role in roles if any("storage." in one for one in role.inputs["permissions"])] == [
        "cohost-preview-store"
    ]


def test_on_gcp_who_previews_only_reads_the_state_and_who_deploys_writes_it() -> None:
    made = made_of(GCP_ONLY)
    granted = {
        (one.name, one.inputs["role"])
        for type_ in ("gcp:storage/bucketIAMMember:BucketIAMMember", "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember")
        for one in made.of(type_)
    }
    assert granted == {
        ("cohost-preview-state", "roles/storage.objectViewer"),
        ("cohost-preview-state", "roles/cloudkms.cryptoKeyDecrypter"),
        ("cohost-deploy-state", "roles/storage.objectUser"),
        ("cohost-deploy-state", "roles/cloudkms.cryptoKeyEncrypterDecrypter"),
        ("cohost-state-storage", "roles/cloudkms.cryptoKeyEncrypterDecrypter"),
    }
    for grant in made.of("gcp:storage/bucketIAMMember:BucketIAMMember"):
        first, *objects = grant.inputs["condition"]["expression"].split(" || ")
        assert first == 'resource.type == "storage.googleapis.com/Bucket"'
        named = {condition.partition("/objects/")[2].removesuffix('")') for condition in objects}
        kinds = ("stacks", "history", "backups", "locks/organization")
        assert named == {".pulumi/meta.yaml", *(f".pulumi/{kind}/shared-endpoint/" for kind in kinds)}


@pytest.mark.parametrize(
    ("config", "kinds"),
    [
        (AWS_ONLY, ("aws:s3/bucket:Bucket", "aws:kms/key:Key")),
        (GCP_ONLY, ("gcp:storage/bucket:Bucket", "gcp:kms/keyRing:KeyRing", "gcp:kms/cryptoKey:CryptoKey")),
    ],
)
def test_state_and_its_key_are_protected_from_deletion(config: Mapping[str, str], kinds: tuple[str, ...]) -> None:
    made = made_of(config)
    for kind in kinds:
        assert made.one(kind).options["protect"] is True, kind


def test_the_state_on_aws_is_private_encrypted_by_its_own_key_and_keeps_old_versions() -> None:
    made = made_of(AWS_ONLY)
    access = made.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert {value for name, value in access.items() if name != "bucket"} == {True}
    assert made.one("aws:s3/bucketVersioning:BucketVersioning").inputs["versioningConfiguration"]["status"] == "Enabled"
    encrypted = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    [rule] = made.one(encrypted).inputs["rules"]
    key = f"arn:aws:kms:{AWS_REGION}:{ACCOUNT}:key/1a2b3c4"
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key}
    policy = Iam(json.loads(made.one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"]))
    assert policy.denies("s3:GetObject", f"{STATE_ARN}/x", aws__SecureTransport="false")
    assert not policy.denies("s3:GetObject", f"{STATE_ARN}/x", aws__SecureTransport="true")


def test_the_state_on_gcp_is_private_encrypted_by_its_own_key_and_keeps_old_versions() -> None:
    bucket = made_of(GCP_ONLY).one("gcp:storage/bucket:Bucket")
    assert bucket.inputs["uniformBucketLevelAccess"] is True
    assert bucket.inputs["publicAccessPrevention"] == "enforced"
    assert bucket.inputs["versioning"] == {"enabled": True}
    assert bucket.inputs["encryption"] == {"defaultKmsKeyName": "cohost-state-1a2b3c4"}


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        ({"aws:region": AWS_REGION}, ["github: is missing"]),
        (AWS_ONLY | {f"{OWN}:state": "gcp"}, ['state: is "gcp", and there is no gcp:project']),
        (GCP_ONLY | {f"{OWN}:state": "aws"}, ['state: is "aws", and there is no aws:region']),
        (AWS_ONLY | {f"{OWN}:environments": "[]"}, ["environments: is empty"]),
        (AWS_ONLY | {f"{OWN}:subject": "acme@1/other@2"}, ["subject: is 'acme@1/other@2', which names another"]),
        (
            {"aws:region": "Ireland", f"{OWN}:github": "models", f"{OWN}:nonsense": "1"},
            ["aws:region: 'Ireland' is not a region", "github: 'models' is not a rep", "nonsense: is not a setting"],
        ),
    ],
)
def test_everything_wrong_with_the_settings_is_said_at_once(config: Mapping[str, str], lines: list[str]) -> None:
    recording = Recording()
    with pytest.raises(pulumi.RunError) as refused:
        up(config, cloud=BothClouds(), into=recording)
    said = [line.removeprefix("Pulumi.dev.yaml: ").removeprefix(f"{OWN}:") for line in str(refused.value).splitlines()]
    assert len(said) == len(lines)
    assert all(one.startswith(wanted) for one, wanted in zip(said, lines, strict=True)), said
    assert recording.custom == []


def test_the_readme_names_every_variable_and_every_setting(both: Recording) -> None:
    named = {cell.strip("`") for row in rows(README) for cell in row[:1]}
    assert {name for name in both.outputs if name.isupper()} <= named
    assert {"github", "subject", "branch", "environments", "state", "awsStack", "gcpStack"} <= named


@pytest.mark.skipif(not shutil.which("pulumi"), reason="there is no `pulumi` command in PATH")
def test_the_real_command_knows_every_subcommand_and_option_of_the_readme() -> None:
    shown = [line for block in blocks(README) for line in block.commands]
    commands = {found for line in shown for found in re.findall(r"pulumi (?:-C bootstrap )?[^|;&)\"<]*", line)}
    assert commands
    for command in commands:
        words = [word for word in shlex.split(command)[1:] if word not in ("-C", "bootstrap")]
        verbs = words[: 2 if words[0] in ("stack", "config", "state") else 1]
        done = subprocess.run(["pulumi", *verbs, "--help"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, command
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert f"{option} " in done.stdout, f"{command}: {option}"
