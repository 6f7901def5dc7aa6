"""The SageMaker emulator from outside: plain boto3, real Triton, the models of the catalog."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cohost.client import smoke
from cohost.client.sagemaker import CONTENT_TYPE
from cohost.client.tensors import decode, encode
from tests.local.sagemaker_fixture import (
    BUCKET,
    MODELS,
    VARIANT,
    Account,
    Caller,
    alarm,
    archive_of,
    await_baking,
    log_lines,
    metric,
    request_of,
    running,
    until,
    watching,
)

SHARED = "shared"
TYPE, OTHER_TYPE, SMALL_TYPE = "ml.g5.xlarge", "ml.g5.2xlarge", "ml.g4dn.xlarge"
MIB = 2**20


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture(scope="module")
def role(account: Account) -> str:
    return account.role("serving")


@pytest.fixture(scope="module")
def first_config(account: Account, role: str) -> str:
    return account.config("first", role=role, instance_type=TYPE)


@pytest.fixture(scope="module")
def shared(account: Account, first_config: str) -> str:
    """An endpoint that most tests share; they leave it in service."""
    account.endpoint(SHARED, first_config)
    return SHARED


@pytest.fixture(scope="module")
def iris(account: Account) -> str:
    return account.upload("iris")


def check(account: Account, endpoint: str, name: str, target: str) -> None:
    """Calls a model with its smoke test and compares the answer."""
    answer = account.invoke(endpoint, target, request_of(name))
    assert answer["InvokedProductionVariant"] == VARIANT
    assert answer["ContentType"] == "application/json"
    outputs = decode(answer["Body"].read(), None)
    assert smoke.load(MODELS / name / smoke.FILE).check(outputs) is None


def check_binary(account: Account, endpoint: str, name: str, target: str) -> None:
    test = smoke.load(MODELS / name / smoke.FILE)
    body, header = encode(test.inputs())
    answer = account.invoke(endpoint, target, body, f"{CONTENT_TYPE}{header}")
    size = int(answer["ContentType"].removeprefix(CONTENT_TYPE))
    assert test.check(decode(answer["Body"].read(), size)) is None


def refusal(call: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call()
    return dict(caught.value.response)


def words(response: dict[str, Any]) -> tuple[str, int, str]:
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


@pytest.mark.parametrize("name", ["iris", "subject", "handwriting"])
def test_a_model_answers_its_smoke_test_as_json_and_as_binary_tensors(account: Account, shared: str, name: str) -> None:
    target = account.upload(name)
    check(account, shared, name, target)
    check_binary(account, shared, name, target)


def test_two_versions_of_an_ensemble_answer_side_by_side(account: Account, shared: str) -> None:
    first = account.upload("handwriting")
    second = account.upload("handwriting", "handwriting/other.tar.gz")
    check(account, shared, "handwriting", first)
    check(account, shared, "handwriting", second)


@pytest.mark.parametrize("target", ["iris/no-such.tar.gz", "../secret.tar.gz", "iris/../../secret.tar.gz"])
def test_a_target_that_is_not_below_the_prefix_is_not_fetched(account: Account, shared: str, target: str) -> None:
    account.client("s3").put_object(Bucket=BUCKET, Key="secret.tar.gz", Body=b"not for callers")
    code, status, message = words(refusal(lambda: account.invoke(shared, target, b"{}")))
    assert (code, status) == ("ValidationError", 400)
    assert message.startswith(f"Failed to download model data(bucket: models-of-tests, key: models/{target})")


def test_a_role_that_may_not_read_objects_gets_no_model(account: Account, iris: str) -> None:
    config = account.config("blind", role=account.role("blind", reads=False), instance_type=OTHER_TYPE)
    account.endpoint("blind", config)
    code, _, message = words(refusal(lambda: account.invoke("blind", iris, b"{}")))
    assert (code, message.partition("(")[0]) == ("ValidationError", "Failed to download model data")
    account.remove("blind")


def test_a_model_that_triton_cannot_load_is_a_model_error_in_tritons_words(
    account: Account, shared: str, iris: str
) -> None:
    broken = account.put(
        archive_of({"bad/config.pbtxt": b'backend: "onnxruntime"', "bad/1/model.onnx": b"?"}), "b.tar.gz"
    )
    response = refusal(lambda: account.invoke(shared, broken, request_of("iris")))
    code, status, message = words(response)
    assert (code, status, response["OriginalStatusCode"]) == ("ModelError", 424, 400)
    assert "load failed for model" in response["OriginalMessage"]
    assert "model.onnx failed" in response["OriginalMessage"]
    assert message.startswith('Received client error (400) from primary with message "')
    assert response["LogStreamArn"].endswith(f":log-group:/aws/sagemaker/Endpoints/{shared}")
    line = until(lambda: log_lines(account, shared, broken), bool)[0]
    assert "could not be loaded" in line
    check(account, shared, "iris", iris)


def test_input_that_the_model_refuses_is_a_model_error_in_its_words(account: Account, shared: str, iris: str) -> None:
    response = refusal(lambda: account.invoke(shared, iris, b'{"inputs": []}'))
    assert words(response)[:2] == ("ModelError", 424)
    assert "expected 1 inputs but got 0" in response["OriginalMessage"]


def test_calls_that_sagemaker_refuses_are_refused_in_its_words(account: Account, shared: str, iris: str) -> None:
    runtime = account.client("sagemaker-runtime")
    absent = refusal(lambda: account.invoke("absent", iris, b"{}"))
    assert words(absent) == ("ValidationError", 400, "Endpoint absent of account 123456789012 not found.")
    untargeted = words(refusal(lambda: runtime.invoke_endpoint(EndpointName=shared, Body=b"{}")))
    assert untargeted[:2] == ("ValidationError", 400)
    assert "missing a target model header" in untargeted[2]
    large = words(refusal(lambda: account.invoke(shared, iris, bytes(6_291_457))))
    assert large == ("413", 413, "HTTP content length exceeded 6291456 bytes.")
    other = {"TargetModel": iris, "TargetVariant": "other", "Body": b"{}"}
    assert words(refusal(lambda: runtime.invoke_endpoint(EndpointName=shared, **other)))[0] == "ValidationError"


def test_more_models_than_memory_holds_all_answer_and_the_evictions_show(account: Account, role: str) -> None:
    # Two models and the fixed overhead of each fit.
    account.limit(memory={SMALL_TYPE: 140 * MIB})
    targets = {name: account.upload(name) for name in ("iris", "wine", "diabetes")}
    account.endpoint("small", account.config("small", role=role, instance_type=SMALL_TYPE))
    callers = [
        threading.Thread(target=lambda name=name: check(account, "small", name, targets[name])) for name in targets
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    check(account, "small", "iris", targets["iris"])
    served = account.models("small")
    assert {entry["target"] for entry in served} == set(targets.values())
    assert sum(entry["loaded"] for entry in served) == 2
    assert all(entry["bytes"] > 0 and bool(entry["since"]) == entry["loaded"] for entry in served)
    evicted = account.ask("/-/evictions?endpoint=small")
    assert {each["place"] for each in evicted} == {"memory"}
    assert {each["target"] for each in evicted} <= set(targets.values())
    until(lambda: log_lines(account, "small", "removed from memory"), bool)
    account.remove("small")
    account.limit()


def test_a_model_larger_than_memory_is_refused_with_507(account: Account, role: str, iris: str) -> None:
    account.limit(memory={SMALL_TYPE: 10 * MIB})
    account.endpoint("tiny", account.config("tiny", role=role, instance_type=SMALL_TYPE))
    response = refusal(lambda: account.invoke("tiny", iris, request_of("iris")))
    assert (response["Error"]["Code"], response["OriginalStatusCode"]) == ("ModelError", 507)
    account.remove("tiny")
    account.limit()


def test_calls_are_measured_under_sagemakers_names(account: Account, shared: str, iris: str) -> None:
    check(account, shared, "iris", iris)
    refusal(lambda: account.invoke(shared, iris, b'{"inputs": []}'))
    assert until(lambda: metric(account, shared, "Invocations"), lambda found: found >= 2)
    assert metric(account, shared, "InvocationModelErrors") >= 1
    assert metric(account, shared, "Invocation4XXErrors") >= 1
    assert metric(account, shared, "Invocation5XXErrors") == 0
    assert metric(account, shared, "ModelLatency") > 0
    for name in ("ModelDownloadingTime", "ModelLoadingTime", "ModelLoadingWaitTime"):
        assert metric(account, shared, name) > 0, name
    for name in ("LoadedModelCount", "GPUUtilization", "GPUMemoryUtilization", "DiskUtilization"):
        assert until(lambda name=name: metric(account, shared, name, "/aws/sagemaker/Endpoints"), bool), name


def test_an_update_to_another_type_loses_no_call(account: Account, role: str, shared: str, iris: str) -> None:
    before = {entry["instance"] for entry in account.models(shared)}
    config = account.config("second", role=role, instance_type=OTHER_TYPE)
    caller = Caller(account, shared, iris)
    caller.start()
    account.control.update_endpoint(EndpointName=shared, EndpointConfigName=config)
    assert (
        "Cannot update in-progress endpoint"
        in words(refusal(lambda: account.control.delete_endpoint(EndpointName=shared)))[2]
    )
    found = account.settled(shared)
    caller.stop()
    assert caller.errors == []
    assert caller.answers > 0
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", config)
    assert "FailureReason" not in found
    assert before.isdisjoint(entry["instance"] for entry in account.models(shared))


def test_an_update_without_capacity_goes_back_to_the_old_configuration(
    account: Account, role: str, shared: str, iris: str
) -> None:
    before = account.describe(shared)["EndpointConfigName"]
    account.limit(capacity={SMALL_TYPE: 0})
    config = account.config("nowhere", role=role, instance_type=SMALL_TYPE)
    account.control.update_endpoint(EndpointName=shared, EndpointConfigName=config)
    found = account.settled(shared)
    account.limit()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", before)
    assert "InsufficientInstanceCapacity" in found["FailureReason"]
    check(account, shared, "iris", iris)


def test_an_alarm_takes_an_update_back_without_losing_a_call(
    account: Account, role: str, shared: str, iris: str
) -> None:
    before = account.describe(shared)["EndpointConfigName"]
    alarm(account, "errors", "OK")
    config = account.config("alarming", role=role, instance_type=SMALL_TYPE)
    caller = Caller(account, shared, iris)
    caller.start()
    deployment = watching("errors", seconds=3600)
    account.control.update_endpoint(EndpointName=shared, EndpointConfigName=config, DeploymentConfig=deployment)
    await_baking(account, shared)
    alarm(account, "errors", "ALARM")
    found = account.settled(shared)
    caller.stop()
    assert caller.errors == []
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", before)
    assert "errors" in found["FailureReason"]
    assert found["LastDeploymentConfig"] == deployment


def test_a_first_endpoint_that_fails_stays_with_its_reason_until_it_is_deleted(account: Account, role: str) -> None:
    missing = "763104351884.dkr.ecr.us-east-1.amazonaws.com/no-such-repository:26.05-py3"
    config = account.config("missing", role=role, instance_type=TYPE, image=missing)
    account.control.create_endpoint(EndpointName="doomed", EndpointConfigName=config, Tags=[{"Key": "a", "Value": "b"}])
    found = account.settled("doomed")
    assert found["EndpointStatus"] == "Failed"
    assert "no-such-repository" in found["FailureReason"]
    again = words(refusal(lambda: account.control.create_endpoint(EndpointName="doomed", EndpointConfigName=config)))
    assert again[2].startswith("Cannot create already existing endpoint")
    assert account.control.list_tags(ResourceArn=found["EndpointArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    account.remove("doomed")
    refusal(lambda: account.control.list_tags(ResourceArn=found["EndpointArn"]))


def test_an_alarm_that_does_not_exist_fails_a_first_endpoint(account: Account, first_config: str) -> None:
    account.control.create_endpoint(
        EndpointName="unwatched", EndpointConfigName=first_config, DeploymentConfig=watching("no-such-alarm", seconds=0)
    )
    found = account.settled("unwatched")
    assert found["EndpointStatus"] == "Failed"
    assert "no-such-alarm" in found["FailureReason"]
    account.remove("unwatched")


def test_a_quota_refuses_at_once_and_counts_both_fleets_of_an_update(account: Account, role: str, shared: str) -> None:
    account.limit(quota={OTHER_TYPE: 1, TYPE: 0})
    (name,) = [
        quota["QuotaName"]
        for page in account.client("service-quotas")
        .get_paginator("list_service_quotas")
        .paginate(ServiceCode="sagemaker", PaginationConfig={"PageSize": 5})
        for quota in page["Quotas"]
        if quota["Value"] == 1
    ]
    assert name == f"{OTHER_TYPE} for endpoint usage"
    same_type = account.config("same-type", role=role, instance_type=OTHER_TYPE)
    update = refusal(lambda: account.control.update_endpoint(EndpointName=shared, EndpointConfigName=same_type))
    assert words(update)[0] == "ResourceLimitExceeded"
    assert "is 1 Instances, with current utilization of 1 Instances and a request delta of 1" in words(update)[2]
    create = refusal(lambda: account.control.create_endpoint(EndpointName="more", EndpointConfigName="first"))
    assert words(create)[0] == "ResourceLimitExceeded"
    account.limit()


def test_capacity_can_be_changed_and_is_retained_by_an_update_that_asks_for_it(
    account: Account, role: str, iris: str
) -> None:
    account.endpoint("scaled", account.config("scaled", role=role, instance_type=TYPE))
    wanted = [{"VariantName": VARIANT, "DesiredInstanceCount": 2}]
    account.control.update_endpoint_weights_and_capacities(EndpointName="scaled", DesiredWeightsAndCapacities=wanted)
    (variant,) = account.settled("scaled")["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (2, 2)
    config = account.config("scaled-on", role=role, instance_type=OTHER_TYPE)
    account.control.update_endpoint(EndpointName="scaled", EndpointConfigName=config, RetainAllVariantProperties=True)
    (variant,) = account.settled("scaled")["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 2
    account.remove("scaled")


def test_another_instance_type_is_refused_for_a_variant_that_scales(account: Account, role: str, shared: str) -> None:
    scaled, before = account.scaling(shared), account.describe(shared)["EndpointConfigName"]
    other = account.config("scaled-other", role=role, instance_type=SMALL_TYPE)
    update = refusal(lambda: account.control.update_endpoint(EndpointName=shared, EndpointConfigName=other))
    assert words(update)[0] == "ValidationException"
    assert f'The variant(s) "{VARIANT}" must be deregistered' in words(update)[2]
    assert account.describe(shared)["EndpointStatus"] == "InService"
    account.client("application-autoscaling").deregister_scalable_target(**scaled)
    for config in (other, before):
        account.control.update_endpoint(EndpointName=shared, EndpointConfigName=config)
        assert account.settled(shared)["EndpointConfigName"] == config


def test_kill_9_in_the_middle_of_an_update_is_made_good_by_a_restart(
    account: Account, role: str, shared: str, iris: str
) -> None:
    alarm(account, "errors", "OK")
    config = account.config("third", role=role, instance_type=TYPE)
    account.control.update_endpoint(
        EndpointName=shared, EndpointConfigName=config, DeploymentConfig=watching("errors", seconds=100)
    )
    account.control.create_endpoint(EndpointName="late", EndpointConfigName=config)
    await_baking(account, shared)
    killed = account.processes()
    account.restart()
    check(account, shared, "iris", iris)
    found = account.settled(shared)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", config)
    assert account.settled("late")["EndpointStatus"] == "InService"
    check(account, shared, "iris", iris)
    assert not set(killed) & set(account.processes())
    account.remove("late")


def test_a_triton_that_dies_is_started_again_without_an_error_to_callers(
    account: Account, shared: str, iris: str
) -> None:
    check(account, shared, "iris", iris)
    account.kill_triton()
    check(account, shared, "iris", iris)


def test_sigterm_leaves_no_process_and_no_shared_memory(account: Account, shared: str, iris: str) -> None:
    check(account, shared, "iris", iris)
    prefix = account.models(shared)[0]["instance"].rsplit("-", 2)[0]
    memory = Path("/dev/shm")
    assert len(account.processes()) > 1
    assert list(memory.glob(f"{prefix}*"))
    account.stop()
    assert account.processes() == []
    assert list(memory.glob(f"{prefix}*")) == []
    account.start()
    check(account, shared, "iris", iris)
