from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from cohost import settings, training_aws
from cohost.training_aws import PipelineSpec
from tests.unit import inventory
from tests.unit.iam import ARTIFACT, BUCKET, CURRENT, IMAGE, KEY, PLACE, VPC, Iam
from tests.unit.mocks import Recording, run_main

pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")

NAME = "cohost-dev-digits"
ROLE = PLACE.iam("role/cohost-dev-training-1a2b3c4")
SPEC = PipelineSpec(
    name=NAME,
    model="digits",
    floor=0.9,
    image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/training@sha256:0a",
    instance_type="ml.m5.large",
    serving_image=IMAGE,
    vpc=VPC,
)
PIPELINE = "aws:sagemaker/pipeline:Pipeline"
GROUP = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"


def definition() -> dict[str, Any]:
    return training_aws.definition(SPEC, bucket="cohost-dev-models-1a2b3c4", region="eu-west-1", role_arn=ROLE)


def run_time(value: Any) -> Any:
    """A definition's value as SageMaker has it while the pipeline runs."""
    if isinstance(value, list):
        return [run_time(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "Get" in value:
        return {"Parameters.Floor": 0.9, "Execution.PipelineExecutionId": "abc123"}[value["Get"]]
    if "Std:Join" in value:
        return value["Std:Join"]["On"].join(str(run_time(item)) for item in value["Std:Join"]["Values"])
    return {key: run_time(item) for key, item in value.items()}


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for step in definition()["Steps"]:
        assert step["Type"] == "Processing"
        yield step["Name"], run_time(step["Arguments"])


def test_each_step_is_a_processing_job_that_sagemakers_own_api_model_takes() -> None:
    api = botocore.session.get_session().get_service_model("sagemaker")
    shape: Any = api.operation_model("CreateProcessingJob").input_shape
    for name, arguments in jobs():
        found = ParamValidator().validate({"ProcessingJobName": f"pipelines-abc123-{name}", **arguments}, shape)
        assert not found.has_errors(), found.generate_report()


def test_a_step_reads_what_one_that_it_waits_for_has_written_of_the_same_execution() -> None:
    written: dict[str, str] = {}
    after = {step["Name"]: step.get("DependsOn", []) for step in definition()["Steps"]}
    for name, arguments in jobs():
        for item in arguments["ProcessingInputs"]:
            assert written[item["S3Input"]["S3Uri"]] in after[name]
        for item in arguments["ProcessingOutputConfig"]["Outputs"]:
            place = item["S3Output"]["S3Uri"]
            assert place.startswith(f"s3://cohost-dev-models-1a2b3c4/pipelines/{NAME}/abc123/{name}/")
            written[place] = name
    assert set(written.values()) == {"Train", "Evaluate", "Push"}


def test_a_step_is_told_the_places_to_which_sagemaker_brings_its_files() -> None:
    for _, arguments in jobs():
        line = arguments["AppSpecification"]["ContainerArguments"]
        places = [item["S3Input"]["LocalPath"] for item in arguments["ProcessingInputs"]]
        places += [item["S3Output"]["LocalPath"] for item in arguments["ProcessingOutputConfig"]["Outputs"]]
        assert sorted(item for item in line if item.startswith("/opt/ml/processing/")) == sorted(places)


def test_the_steps_run_in_the_stacks_vpc() -> None:
    for _, arguments in jobs():
        assert arguments["NetworkConfig"]["VpcConfig"] == {
            "Subnets": list(VPC.subnets),
            "SecurityGroupIds": list(VPC.security_groups),
        }


def test_the_steps_write_artifacts_and_neither_delete_one_nor_make_a_release_active() -> None:
    role = Iam(training_aws.pipeline_role(PLACE, SPEC, bucket_arn=BUCKET, key_arn=KEY, role_arn=ROLE))
    assert role.allows("s3:PutObject", ARTIFACT)
    assert role.allows("s3:GetObject", f"{BUCKET}/pipelines/{NAME}/abc123/Train/model/digits/config.pbtxt")
    assert not role.allows("s3:PutObject", CURRENT)
    assert not role.allows("s3:DeleteObject", ARTIFACT)
    assert role.allows("sagemaker:CreateProcessingJob", PLACE.arn("sagemaker", "processing-job/pipelines-abc123-Train"))
    assert not role.allows("sagemaker:CreateProcessingJob", PLACE.arn("sagemaker", "processing-job/another"))
    assert role.allows("sagemaker:CreateModelPackage", PLACE.arn("sagemaker", f"model-package-group/{NAME}"))
    assert role.allows("sagemaker:CreateModelPackage", PLACE.arn("sagemaker", f"model-package/{NAME}/1"))
    assert not role.allows("sagemaker:CreateModelPackage", PLACE.arn("sagemaker", "model-package-group/another"))
    assert role.allows("iam:PassRole", ROLE, iam__PassedToService="sagemaker.amazonaws.com")
    assert not role.allows("iam:PassRole", f"{ROLE}2", iam__PassedToService="sagemaker.amazonaws.com")


def test_a_deployer_brings_this_pipeline_up_to_date_and_makes_none() -> None:
    deployer = Iam(training_aws.deployer(PLACE, SPEC, role_arn=ROLE))
    for action in ("sagemaker:UpdatePipeline", "sagemaker:DescribePipeline"):
        assert deployer.allows(action, PLACE.arn("sagemaker", f"pipeline/{NAME}"))
        assert not deployer.allows(action, PLACE.arn("sagemaker", "pipeline/another"))
    assert not deployer.allows("sagemaker:CreatePipeline", PLACE.arn("sagemaker", f"pipeline/{NAME}"))
    assert deployer.allows("iam:PassRole", ROLE, iam__PassedToService="sagemaker.amazonaws.com")


@pytest.fixture(scope="module")
def trained() -> Recording:
    return run_main(inventory.VARIANTS["training"])


def test_without_the_setting_there_is_not_one_resource_more(trained: Recording) -> None:
    given = inventory.VARIANTS["training"]["training"]
    off = run_main({"training": {**given, "enabled": False}})
    default = run_main()
    assert {resource.urn for resource in off.custom} == {resource.urn for resource in default.custom}
    assert off.outputs == default.outputs
    more = {resource.type for resource in trained.custom} - {resource.type for resource in default.custom}
    assert more == {PIPELINE, GROUP}
    assert len(trained.custom) == len(default.custom) + 5
    assert trained.outputs["trainingPipeline"] == NAME


def test_pipeline_and_group_are_named_alike_and_the_pipeline_comes_after_what_its_steps_need(
    trained: Recording,
) -> None:
    pipeline, group = trained.one(PIPELINE), trained.one(GROUP)
    assert pipeline.inputs["pipelineName"] == group.inputs["modelPackageGroupName"] == NAME
    assert NAME in pipeline.inputs["pipelineDefinition"]
    assert {group.urn, trained.one("aws:iam/rolePolicy:RolePolicy", "cohost-dev-training").urn} <= trained.after(
        pipeline
    )


def test_a_long_name_still_fits_where_sagemaker_takes_it() -> None:
    given = inventory.VARIANTS["training"]["training"]
    chosen = {"endpointName": "models", "training": {**given, "model": f"a{'_long' * 12}"}}
    stack = run_main(chosen, stack="an-uncommonly-long-name-of-a-stack")
    api = botocore.session.get_session().get_service_model("sagemaker")
    name = stack.one(PIPELINE).inputs["pipelineName"]
    # Source: botocore 1.44.5, sagemaker, PipelineName.
    assert len(name) <= api.shape_for("PipelineName").metadata["max"]
    assert "_" not in name
    assert not name.endswith("-")


@pytest.mark.parametrize(
    ("training", "key"),
    [
        ({"enabled": True}, "training.image"),
        ({"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/t:1"}, "training.image"),
        ({"model": "Digits"}, "training.model"),
        ({"floor": 1.5}, "training.floor"),
        ({"instanceType": "m5"}, "training.instanceType"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_registered(training: Mapping[str, Any], key: str) -> None:
    config = {
        "aws:region": "eu-west-1",
        "shared-endpoint:platform": "aws",
        "shared-endpoint:training": json.dumps(training),
    }
    assert [problem.key for problem in settings.check(config, stack="dev")] == [f"shared-endpoint:{key}"]
