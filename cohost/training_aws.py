"""The SageMaker pipeline that trains, evaluates and pushes a model: its definition, and who may do what for it.

Three processing jobs run the three steps of `scripts/pipeline/`; what one hands to the next lies in the store, below
`pipelines/`. A step that fails, as the evaluation does below the floor, ends the execution: nothing is pushed.

Sources: the pipeline definition JSON schema of 2025-04-03 (aws-sagemaker-mlops on GitHub) for the form, which knows no
"Std:Join", and the tests of aws/sagemaker-python-sdk for that; API reference, CreateProcessingJob, for the arguments of
a step. Never run on an account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cohost.policies_aws import Document, Place, Statement, Vpc, allow, document, for_bucket, interfaces, repository_arn
from cohost.training_steps import Step, steps

# What the steps hand on, in the bucket.
PREFIX: Final = "pipelines/"
_INPUT: Final = "/opt/ml/processing/input"
_OUTPUT: Final = "/opt/ml/processing/output"
_VOLUME_GB: Final = 10
_MAX_RUNTIME_S: Final = 3600
_SCHEMA: Final = "2020-12-01"


@dataclass(frozen=True, kw_only=True)
class PipelineSpec:
    """What one pipeline does.

    Attributes:
        name: Its own name, and that of the group of its model's versions.
        model: The model, by its name in the catalog.
        floor: The least value of the model's metric with which it is pushed.
        image: The image of the steps.
        instance_type: What each step runs on.
        serving_image: The image that serves the model, noted with each version.
        vpc: Where in a VPC the steps run; None outside one.
    """

    name: str
    model: str
    floor: float
    image: str
    instance_type: str
    serving_image: str
    vpc: Vpc | None


def definition(spec: PipelineSpec, *, bucket: str, region: str, role_arn: str) -> dict[str, Any]:
    """Returns the pipeline's definition, as JSON would have it.

    Args:
        spec: What the pipeline does.
        bucket: The store's bucket.
        region: Where the store is.
        role_arn: The role of the steps.
    """
    commands = steps(
        read=lambda step, name: f"{_INPUT}/{step}-{name}",
        write=lambda name: f"{_OUTPUT}/{name}",
        model=spec.model,
        # A number becomes a text, which an argument must be, by being joined with nothing.
        floor={"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Floor"}]}},
        store=f"s3://{bucket}",
        push=("--region", region, "--model-package-group", spec.name, "--serving-image", spec.serving_image),
    )
    return {
        "Version": _SCHEMA,
        "Metadata": {},
        "Parameters": [{"Name": "Floor", "Type": "Float", "DefaultValue": spec.floor}],
        "Steps": [_step(spec, step, bucket, role_arn) for step in commands],
    }


def _step(spec: PipelineSpec, step: Step, bucket: str, role_arn: str) -> dict[str, Any]:
    cluster = {"InstanceCount": 1, "InstanceType": spec.instance_type, "VolumeSizeInGB": _VOLUME_GB}
    arguments = {
        "RoleArn": role_arn,
        "ProcessingResources": {"ClusterConfig": cluster},
        "AppSpecification": {
            "ImageUri": spec.image,
            "ContainerEntrypoint": ["python", "-m", step.module],
            "ContainerArguments": list(step.arguments),
        },
        "ProcessingInputs": [_input(source, name, bucket, spec.name) for source, name in step.reads],
        "ProcessingOutputConfig": {"Outputs": [_output(step.name, name, bucket, spec.name) for name in step.writes]},
        "StoppingCondition": {"MaxRuntimeInSeconds": _MAX_RUNTIME_S},
        **({"NetworkConfig": {"VpcConfig": _vpc(spec.vpc)}} if spec.vpc else {}),
    }
    after = sorted({source for source, _ in step.reads})
    return {
        "Name": step.name,
        "Type": "Processing",
        "Arguments": arguments,
        **({"DependsOn": after} if after else {}),
    }


def _vpc(vpc: Vpc) -> dict[str, list[str]]:
    return {"Subnets": list(vpc.subnets), "SecurityGroupIds": list(vpc.security_groups)}


def _input(source: str, name: str, bucket: str, pipeline: str) -> dict[str, Any]:
    place = {"S3DataType": "S3Prefix", "S3InputMode": "File", "LocalPath": f"{_INPUT}/{source}-{name}"}
    return {"InputName": f"{source}-{name}", "S3Input": {"S3Uri": _handed(source, name, bucket, pipeline), **place}}


def _output(step: str, name: str, bucket: str, pipeline: str) -> dict[str, Any]:
    place = {"LocalPath": f"{_OUTPUT}/{name}", "S3UploadMode": "EndOfJob"}
    return {"OutputName": name, "S3Output": {"S3Uri": _handed(step, name, bucket, pipeline), **place}}


def _handed(step: str, name: str, bucket: str, pipeline: str) -> Mapping[str, Any]:
    """Where a step's output lies: below the execution's own id, so that two executions do not meet."""
    execution = {"Get": "Execution.PipelineExecutionId"}
    parts = ["s3:/", bucket, f"{PREFIX}{pipeline}", execution, step, name]
    return {"Std:Join": {"On": "/", "Values": parts}}


def pipeline_role(place: Place, spec: PipelineSpec, *, bucket_arn: str, key_arn: str, role_arn: str) -> Document:
    """Returns what the pipeline and its steps may do: run jobs, write the store, note a model's version.

    Pipelines names its jobs itself, beginning with "pipelines-". Sources: SageMaker developer guide, "SageMaker AI
    roles", CreateProcessingJob; SAR, Amazon SageMaker, for the resources.

    Args:
        place: Where the stack is.
        spec: What the pipeline does.
        bucket_arn: The store's bucket.
        key_arn: The store's key.
        role_arn: The role itself, which the pipeline gives to its jobs.
    """
    jobs = [place.arn("sagemaker", "processing-job/pipelines-*")]
    group = place.arn("sagemaker", f"model-package-group/{spec.name}")
    logs = place.arn("logs", "log-group:/aws/sagemaker/ProcessingJobs")
    written = [f"{bucket_arn}/{prefix}*" for prefix in (PREFIX, "models/", "smoke/")]
    return document(
        allow(
            "RunSteps",
            [f"sagemaker:{verb}ProcessingJob" for verb in ("Create", "Describe", "Stop")] + ["sagemaker:AddTags"],
            jobs,
        ),
        allow(
            "GiveRoleToSteps",
            ["iam:PassRole"],
            [role_arn],
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        allow("NoteVersion", ["sagemaker:CreateModelPackage"], [group, f"{_packages(group)}/*"]),
        allow("WriteStore", ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], written),
        # Whole: whether an object is missing, S3 tells only to who may list (API reference, HeadObject).
        allow("ListStore", ["s3:ListBucket"], [bucket_arn]),
        allow("UseKey", ["kms:Decrypt", "kms:GenerateDataKey"], [key_arn], for_bucket(place, bucket_arn)),
        # Knows no resource. Source: SAR, Amazon Elastic Container Registry.
        allow("LogInToRegistry", ["ecr:GetAuthorizationToken"], ["*"]),
        allow(
            "PullImage",
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [repository_arn(place, spec.image)],
        ),
        allow(
            "WriteLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [logs, f"{logs}:*"],
        ),
        *(interfaces(place, spec.vpc) if spec.vpc else ()),
    )


def deployer(place: Place, spec: PipelineSpec, *, role_arn: str) -> Document:
    """Returns what a deployer needs beside `cohost.deployer_policy_aws`: bring the pipeline up to date.

    Source: hashicorp/terraform-provider-aws, internal/service/sagemaker, pipeline.go and model_package_group.go.

    Args:
        place: Where the stack is.
        spec: What the pipeline does.
        role_arn: The pipeline's role.
    """
    group = place.arn("sagemaker", f"model-package-group/{spec.name}")
    pipeline = place.arn("sagemaker", f"pipeline/{spec.name}")
    reads: Sequence[str] = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    statements: list[Statement] = [
        allow(
            "Pipeline",
            ["sagemaker:DescribePipeline", "sagemaker:ListTags", "sagemaker:UpdatePipeline"],
            [pipeline],
        ),
        allow("Group", ["sagemaker:DescribeModelPackageGroup", "sagemaker:ListTags"], [group]),
        allow("ReadPipelineRole", reads, [role_arn]),
        allow(
            "PassPipelineRole",
            ["iam:PassRole"],
            [role_arn],
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
    ]
    return document(*statements)


def _packages(group_arn: str) -> str:
    """The ARN of a group's model packages, without the version."""
    return group_arn.replace(":model-package-group/", ":model-package/")
