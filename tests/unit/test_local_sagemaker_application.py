"""The emulator's application without a cloud behind it: which request is for what, and who is refused how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser

from cohost import fleet
from cohost.local.http import Request, Response
from cohost.local.sagemaker import api
from cohost.local.sagemaker.application import Application
from cohost.local.sagemaker.cloud import Cloud
from cohost.local.sagemaker.control import Control
from cohost.local.sagemaker.endpoints import Endpoints
from cohost.local.sagemaker.limits import INSTANCE_TYPES, Limits, quota_code
from cohost.local.sagemaker.quotas import Quotas
from cohost.local.sagemaker.runtime import Runtime
from cohost.local.sagemaker.state import State
from cohost.local.sagemaker.traffic import Traffic

SCOPE = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/eu-west-1/{service}/aws4_request, Signature=0"


@pytest.fixture
def application(tmp_path: Path) -> Application:
    state, cloud, traffic = State(tmp_path / "state.json"), Cloud("http://127.0.0.1:1", tmp_path), Traffic()
    limits, control = Limits(tmp_path / "limits.json"), Control(state, cloud)
    return Application(
        cloud=cloud,
        control=control,
        endpoints=Endpoints(state, control, cloud, limits, new_mark=lambda: "mark", begin=lambda arn: None),
        quotas=Quotas(limits),
        runtime=Runtime(state, traffic),
        traffic=traffic,
    )


def request(operation: str = "", content: object = None, *, service: str = "sagemaker", **more: Any) -> Request:
    target = {"x-amz-target": operation} if operation else {}
    headers = {"authorization": SCOPE.format(service=service), **target}
    return Request(
        **{"method": "POST", "path": "/", "headers": headers, "body": json.dumps(content or {}).encode(), **more}
    )


def refused(response: Response) -> tuple[int, str, str]:
    content = json.loads(response.body)
    code = content.get("__type") or response.headers["x-amzn-ErrorType"]
    return response.status, code, content.get("message") or content["Message"]


def quotas(application: Application, operation: str, **content: Any) -> dict[str, Any]:
    target = f"ServiceQuotasV20190624.{operation}"
    response = application(request(target, {"ServiceCode": "sagemaker", **content}, service="servicequotas"))
    assert response.status == 200, response.body
    return json.loads(response.body)


def test_its_health_needs_no_signature(application: Application) -> None:
    assert application(Request("GET", "/-/health")).status == 200
    assert application(Request("GET", "/-/unknown")).status == 404


@pytest.mark.parametrize("headers", [{}, {"x-amz-target": "SageMaker.ListModels"}, {"authorization": "Bearer x"}])
def test_what_is_not_signed_is_refused(application: Application, headers: dict[str, str]) -> None:
    response = application(Request("POST", "/endpoints/x/invocations", headers=headers))
    assert refused(response)[:2] == (403, "MissingAuthenticationToken")


@pytest.mark.parametrize(
    ("asked", "status", "code", "words"),
    [
        (request("SageMaker.CreateTrainingJob"), 400, "ValidationException", "CreateTrainingJob is not supported here"),
        (request("SageMaker.MakeCoffee"), 400, "UnknownOperationException", "has no operation MakeCoffee"),
        (request("DynamoDB.GetItem"), 400, "ValidationException", "not supported here"),
        (request("SageMaker.ListModels", service="s3"), 400, "ValidationException", "not supported here"),
        (request("SageMaker.ListModels", service="servicequotas"), 400, "ValidationException", "not supported here"),
        (request(path="/endpoints/x/invocations", service="s3"), 400, "ValidationException", "not supported here"),
        (request(path="/endpoints/x/async-invocations"), 404, "UnknownOperationException", "not supported here"),
        (request(path="/endpoints/x/invocations", method="GET"), 404, "UnknownOperationException", "not supported"),
        (request("SageMaker.ListModels", body=b"{"), 400, "SerializationException", "is not JSON"),
        (request("SageMaker.ListModels", body=b"[]"), 400, "SerializationException", "not a JSON object"),
    ],
)
def test_what_it_does_not_do_is_refused_by_name(
    application: Application, asked: Request, status: int, code: str, words: str
) -> None:
    found = refused(application(asked))
    assert found[:2] == (status, code)
    assert words in found[2]


def test_a_request_is_held_to_the_clouds_own_api_model(application: Application) -> None:
    for bad, words in [
        ({"EndpointName": "e", "EndpointConfigName": "c", "Colour": "red"}, 'Unknown parameter in input: "Colour"'),
        ({"EndpointName": "e", "EndpointConfigName": 1}, "Invalid type for parameter EndpointConfigName"),
        ({"EndpointName": "e"}, 'Missing required parameter in input: "EndpointConfigName"'),
        ({"EndpointName": "_", "EndpointConfigName": "c"}, "1 validation error detected: Value '_' at 'endpointName'"),
        ({"EndpointName": "_", "EndpointConfigName": "-"}, "2 validation errors detected: "),
    ]:
        status, code, message = refused(application(request("SageMaker.CreateEndpoint", bad)))
        assert (status, code) == (400, "ValidationException")
        assert message.startswith(words)


def test_what_does_not_exist_is_said_in_the_words_that_clients_look_for(application: Application) -> None:
    message = refused(application(request("SageMaker.DescribeEndpoint", {"EndpointName": "X"})))[2]
    assert message == 'Could not find endpoint "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/x".'


def test_an_error_of_the_runtime_is_one_that_botocore_understands(application: Application) -> None:
    headers = {"authorization": SCOPE.format(service="sagemaker"), "x-amzn-sagemaker-target-model": "m"}
    response = application(request(path="/endpoints/absent/invocations", headers=headers))
    shape = api.operation("sagemaker-runtime", "InvokeEndpoint").output_shape
    assert shape is not None
    parsed = create_parser("rest-json").parse(
        {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}, shape
    )
    assert parsed["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint absent of account 123456789012 not found.",
    }


def test_a_body_that_is_too_large_is_refused_as_the_cloud_does(application: Application) -> None:
    response = application(request(path="/endpoints/x/invocations", body=None))
    assert response.status == 413
    assert json.loads(response.body) == {"Message": "HTTP content length exceeded 6291456 bytes."}


def test_quotas_come_in_pages_that_leave_out_none_and_repeat_none(application: Application) -> None:
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = quotas(application, "ListServiceQuotas", MaxResults=5, **token)
        assert len(page["Quotas"]) <= 5
        names += [quota["QuotaName"] for quota in page["Quotas"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert names == [f"{kind} for endpoint usage" for kind in INSTANCE_TYPES]


def test_a_quota_is_the_accounts_and_its_default_the_clouds(application: Application, tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text('{"quota": {"ml.g5.xlarge": 7}}')
    code = {"QuotaCode": quota_code("ml.g5.xlarge")}
    assert quotas(application, "GetServiceQuota", **code)["Quota"]["Value"] == 7
    assert quotas(application, "GetAWSDefaultServiceQuota", **code)["Quota"]["Value"] == 4
    target = "ServiceQuotasV20190624.GetServiceQuota"
    for wrong in ({"ServiceCode": "ec2", **code}, {"ServiceCode": "sagemaker", "QuotaCode": "L-00000000"}):
        response = application(request(target, wrong, service="servicequotas"))
        assert refused(response)[:2] == (400, "NoSuchResourceException")


def test_every_type_that_a_stack_may_use_is_known_here_with_the_same_sizes() -> None:
    for name in fleet.instance_types():
        known = fleet.instance_type(name)
        assert known is not None
        assert INSTANCE_TYPES[name].gpu_memory == known.gpu_memory_mib * 2**20
        assert INSTANCE_TYPES[name].disk == known.disk_gb * 10**9


def test_ecr_tells_which_images_of_a_repository_are_there(application: Application) -> None:
    def ask(repository: str) -> Response:
        wanted = [{"imageTag": "26.05-py3"}, {"imageTag": "latest"}, {"imageDigest": f"sha256:{'0' * 64}"}]
        content = {"registryId": "763104351884", "repositoryName": repository, "imageIds": wanted}
        return application(request("AmazonEC2ContainerRegistry_V20150921.BatchGetImage", content, service="ecr"))

    answer = json.loads(ask("sagemaker-tritonserver").body)
    assert [each["imageId"] for each in answer["images"]] == [
        {"imageTag": "26.05-py3"},
        {"imageDigest": f"sha256:{'0' * 64}"},
    ]
    assert [(each["imageId"], each["failureCode"]) for each in answer["failures"]] == [
        ({"imageTag": "latest"}, "ImageNotFound")
    ]
    assert refused(ask("sagemaker-other"))[1] == "RepositoryNotFoundException"
