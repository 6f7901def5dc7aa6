"""Vertex AI on this machine, as Google's own clients see it, with real Triton behind it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import types
from tritonclient.http import InferenceServerClient, InferInput

from tests.local.vertex_fixture import BUCKET, PARENT, PROJECT, REGION, Project, request_of, running, until

REDIRECT = "X-Vertex-Ai-Triton-Redirect"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with running(tmp_path_factory.mktemp("project")) as made:
        yield made


@pytest.fixture(scope="module")
def release(project: Project) -> str:
    """The name of a model that holds two models of the catalog."""
    return project.upload(project.put("repositories/one", "iris", "digits"), model_id="release").model


@pytest.fixture(scope="module")
def serving(project: Project, release: str) -> str:
    """The name of an endpoint where it is deployed twice, all traffic on the first."""
    endpoint = project.endpoint("100")
    project.deploy(endpoint, release, "11", {"0": 100})
    project.deploy(endpoint, f"{release}@default", "12")
    return endpoint


@pytest.fixture(autouse=True)
def no_limits(project: Project) -> None:
    project.limit(quota={"NVIDIA_L4": 16})


def split_of(project: Project, endpoint: str, split: dict[str, int]) -> None:
    changed = types.Endpoint(name=endpoint, traffic_split=split)
    project.endpoints.update_endpoint({"endpoint": changed, "update_mask": {"paths": ["traffic_split"]}})


def answering(project: Project, endpoint: str, calls: int) -> Counter[str]:
    replies = [project.infer(endpoint, "iris") for _ in range(calls)]
    assert {reply.status for reply in replies} == {200}
    return Counter(reply.headers["X-Vertex-AI-Deployed-Model-Id"] for reply in replies)


def test_a_header_picks_the_model_on_one_endpoint(project: Project, serving: str) -> None:
    for model in ("iris", "digits"):
        reply = project.infer(serving, model)
        assert reply.status == 200, reply.data
        assert json.loads(reply.data)["model_name"] == model
        assert reply.headers["X-Vertex-AI-Endpoint-Id"] == "100"
    without = project.call("POST", f"{serving}:rawPredict", request_of("iris"))
    assert json.loads(without.data)["model_name"] == "iris", "the default model answers where no header names one"


def test_what_the_container_refuses_comes_with_its_status_and_words(project: Project, serving: str) -> None:
    reply = project.infer(serving, "missing", b"{}")
    assert reply.status == 404
    assert "unknown model: 'missing'" in json.loads(reply.data)["error"]["message"]
    assert reply.headers["X-Vertex-AI-Deployed-Model-Id"], "who refused it"
    predict = project.call("POST", f"{serving}:predict", {"instances": [1]})
    assert "Unable to parse 'inputs'" in json.loads(predict.data)["error"]["message"], "Triton takes rawPredict alone"


def test_traffic_goes_by_the_split_and_a_deployed_model_without_a_share_is_never_reached(
    project: Project, serving: str
) -> None:
    assert answering(project, serving, 20) == {"11": 20}
    split_of(project, serving, {"11": 50, "12": 50})
    assert set(answering(project, serving, 60)) == {"11", "12"}
    split_of(project, serving, {"11": 100})


def test_a_split_must_add_up_to_100_over_what_is_deployed(project: Project, serving: str) -> None:
    for split in ({"11": 60, "12": 30}, {"11": 50, "99": 50}, {"11": 120, "12": -20}):
        with pytest.raises(exceptions.BadRequest, match="traffic"):
            split_of(project, serving, split)
    assert project.endpoints.get_endpoint(name=serving).traffic_split == {"11": 100}


def test_project_ids_are_taken_and_project_numbers_answered(project: Project, serving: str) -> None:
    assert PROJECT not in serving
    by_id = project.endpoints.get_endpoint(name=f"{PARENT}/endpoints/100")
    assert by_id.name == serving
    assert [each.model_version_id for each in by_id.deployed_models] == ["1", "1"]


def test_the_emulator_tells_which_models_are_loaded(project: Project, serving: str) -> None:
    found = project.ask(f"/-/models?endpoint={serving}")
    assert {(each["instance"], each["target"]) for each in found} == {
        (instance, model) for instance in ("11", "12") for model in ("iris", "digits")
    }
    assert all(each["loaded"] and each["bytes"] > 0 for each in found)


def test_metrics_tell_that_the_gpu_is_used_unless_a_test_wants_otherwise(project: Project, serving: str) -> None:
    headers = {REDIRECT: "metrics", "Authorization": "Bearer any"}
    used = project.call("POST", f"{serving}:rawPredict", b"", headers).data.decode()
    assert 'nv_gpu_memory_used_bytes{gpu_uuid="GPU-00000000"} 536870912.0' in used
    project.limit(gpu_memory=0)
    unused = project.call("POST", f"{serving}:rawPredict", b"", headers).data.decode()
    assert 'nv_gpu_memory_used_bytes{gpu_uuid="GPU-00000000"} 0.0' in unused


def test_what_is_deployed_can_be_neither_deleted_nor_deployed_again(
    project: Project, serving: str, release: str
) -> None:
    with pytest.raises(exceptions.BadRequest, match="is deployed as DeployedModel 11"):
        project.models.delete_model(name=release)
    with pytest.raises(exceptions.BadRequest, match="has deployed models"):
        project.endpoints.delete_endpoint(name=serving)
    with pytest.raises(exceptions.BadRequest, match="has 100 % of the traffic"):
        project.endpoints.undeploy_model(endpoint=serving, deployed_model_id="11")
    with pytest.raises(exceptions.Conflict, match="already exists"):
        project.deploying(serving, release, "11")


def test_a_larger_body_than_the_endpoint_takes_is_refused(project: Project, serving: str, release: str) -> None:
    reply = project.infer(serving, "iris", bytes(3 * 2**19 + 1))
    assert (reply.status, json.loads(reply.data)["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "exceeds the limit: 1572864 bytes" in json.loads(reply.data)["error"]["message"]
    dedicated = project.endpoint("200", dedicated_endpoint_enabled=True)
    assert project.endpoints.get_endpoint(name=dedicated).dedicated_endpoint_dns.startswith(f"200.{REGION}-")
    assert "traffic_split" in project.infer(dedicated, "iris", bytes(3 * 2**19 + 1)).data.decode()
    assert "10485760 bytes" in project.infer(dedicated, "iris", bytes(10 * 2**20 + 1)).data.decode()
    project.remove(dedicated)


def test_artifacts_are_frozen_when_a_model_is_uploaded(project: Project) -> None:
    uri = project.put("repositories/frozen", "iris")
    model = project.upload(uri).model
    for blob in project.blobs.list_blobs(BUCKET, prefix="repositories/frozen"):
        blob.delete()
    endpoint = project.endpoint("300")
    project.deploy(endpoint, model, "31", {"0": 100})
    assert project.infer(endpoint, "iris").status == 200
    project.remove(endpoint)
    with pytest.raises(exceptions.GoogleAPICallError, match="There are no files under"):
        project.upload(uri)


def test_a_deployment_tells_its_stage_and_waits_where_a_test_holds_it(project: Project, release: str) -> None:
    endpoint = project.endpoint("400")
    project.limit(hold="ADDING_NODES_TO_CLUSTER")
    operation = project.deploying(endpoint, release, "41", {"0": 100})
    name = operation.operation.name

    def stage() -> str:
        return json.loads(project.call("GET", name).data)["metadata"].get("deploymentStage", "")

    until(stage, lambda found: found == "ADDING_NODES_TO_CLUSTER")
    assert not project.endpoints.get_endpoint(name=endpoint).deployed_models
    with pytest.raises(exceptions.BadRequest, match="There are other operations running"):
        project.endpoints.delete_endpoint(name=endpoint)
    running_ones = json.loads(project.call("GET", f"{endpoint}/operations?filter=done=false").data)["operations"]
    assert [each["name"] for each in running_ones] == [name]
    project.limit()
    operation.result(timeout=120)
    billed = [each for each in project.ask("/-/deployments") if each["endpoint"] == endpoint]
    assert [(each["id"], each["gpus"], each["ended"]) for each in billed] == [("41", 1, None)]
    project.remove(endpoint)
    assert next(each for each in project.ask("/-/deployments") if each["endpoint"] == endpoint)["ended"]


def test_a_cancelled_deployment_ends_and_leaves_nothing(project: Project, release: str) -> None:
    endpoint = project.endpoint("450")
    project.limit(hold="CREATING_SERVING_CLUSTER")
    operation = project.deploying(endpoint, release, "45")
    assert project.call("POST", f"{operation.operation.name}:cancel", {}).status == 200
    with pytest.raises(exceptions.Cancelled):
        operation.result(timeout=60)
    assert [each for each in project.ask("/-/deployments") if each["endpoint"] == endpoint] == []
    project.remove(endpoint)


def test_a_model_that_triton_cannot_load_fails_the_deployment_with_its_words(project: Project) -> None:
    uri = project.put("repositories/broken", "iris", **{"sour__config.pbtxt": b'backend: "onnxruntime"'})
    endpoint = project.endpoint("500")
    with pytest.raises(exceptions.FailedPrecondition, match=r"(?s)Model server exited unexpectedly.*sour"):
        project.deploy(endpoint, project.upload(uri).model, "51")
    found = project.endpoints.get_endpoint(name=endpoint)
    assert not found.deployed_models
    assert next(each for each in project.ask("/-/deployments") if each["endpoint"] == endpoint)["ended"]
    project.remove(endpoint)


def test_models_that_the_memory_of_the_gpus_does_not_hold_fail_the_deployment(project: Project, release: str) -> None:
    endpoint = project.endpoint("520")
    project.limit(memory={"NVIDIA_L4": 100 * 2**20})
    words = r"exited unexpectedly.*failed to load '\w+'.*allocate memory"
    with pytest.raises(exceptions.FailedPrecondition, match=words):
        project.deploy(endpoint, release, "52")
    project.limit(memory={"NVIDIA_L4": 2 * 2**30})
    project.deploy(endpoint, release, "53")
    project.undeploy(endpoint, "53")
    project.remove(endpoint)


def test_a_server_that_is_up_but_not_ready_fails_the_deployment_after_its_timeout(project: Project) -> None:
    uri = project.put("repositories/unready", "iris", **{"sour__config.pbtxt": b'backend: "onnxruntime"'})
    container = {
        "image_uri": f"{REGION}-docker.pkg.dev/{PROJECT}/serving/tritonserver",
        "args": ["--vertex-ai-default-model=iris", "--exit-on-error=false"],
        "deployment_timeout": "6s",
    }
    endpoint = project.endpoint("550")
    model = project.upload(uri, model={"container_spec": container}).model
    with pytest.raises(exceptions.FailedPrecondition, match="never became ready"):
        project.deploy(endpoint, model, "55")
    project.remove(endpoint)


def test_a_startup_probe_must_succeed_before_the_deployment_does(project: Project) -> None:
    uri = project.put("repositories/probed", "iris")
    endpoint = project.endpoint("560")
    for path, identity in (("/never", "56"), ("/health", "57")):
        container = {
            "image_uri": f"{REGION}-docker.pkg.dev/{PROJECT}/serving/tritonserver",
            "args": ["--vertex-ai-default-model=iris"],
            "predict_route": "/predict",
            "health_route": "/health",
            "startup_probe": {"http_get": {"path": path, "port": 8080}, "period_seconds": 1, "failure_threshold": 6},
            "health_probe": {"http_get": {"path": "/health", "port": 8080}},
        }
        model = project.upload(uri, model={"container_spec": container}).model
        if path == "/never":
            with pytest.raises(exceptions.FailedPrecondition, match=r"never became ready.*startup probe, GET /never"):
                project.deploy(endpoint, model, identity)
        else:
            project.deploy(endpoint, model, identity, {"0": 100})
            assert project.infer(endpoint, "iris").status == 200
    project.remove(endpoint)


def test_a_quota_that_does_not_cover_the_gpus_is_named(project: Project, release: str) -> None:
    endpoint = project.endpoint("600")
    project.limit(quota={"NVIDIA_L4": 0})
    with pytest.raises(exceptions.TooManyRequests, match="custom_model_serving_nvidia_l4_gpus"):
        project.deploying(endpoint, release, "61")
    project.remove(endpoint)


def test_replicas_and_logging_change_in_place_and_nothing_else_does(project: Project, serving: str) -> None:
    deployed = {"id": "12", "dedicated_resources": {"min_replica_count": 1, "max_replica_count": 2}}
    paths = ["dedicated_resources.min_replica_count", "dedicated_resources.max_replica_count"]
    mutate = project.endpoints.mutate_deployed_model
    operation: Any = mutate({"endpoint": serving, "deployed_model": deployed, "update_mask": {"paths": paths}})
    assert operation.result(timeout=60).deployed_model.dedicated_resources.max_replica_count == 2
    kept = next(each for each in project.endpoints.get_endpoint(name=serving).deployed_models if each.id == "12")
    assert kept.dedicated_resources.machine_spec.machine_type == "g2-standard-8"
    for mask in (["enable_access_logging"], ["dedicated_resources.machine_spec.machine_type"]):
        with pytest.raises(exceptions.BadRequest, match="cannot be mutated"):
            mutate({"endpoint": serving, "deployed_model": deployed, "update_mask": {"paths": mask}})


def test_one_deployed_model_makes_room_for_another_without_a_failed_call(project: Project, release: str) -> None:
    endpoint = project.endpoint("700")
    project.deploy(endpoint, release, "71", {"0": 100})
    over, statuses = threading.Event(), Counter[int]()

    def call() -> None:
        while not over.is_set():
            statuses[project.infer(endpoint, "iris").status] += 1

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    project.deploy(endpoint, release, "72", {"71": 90, "0": 10})
    project.undeploy(endpoint, "71", {"72": 100})
    over.set()
    caller.join()
    assert set(statuses) == {200}, statuses
    assert answering(project, endpoint, 5) == {"72": 5}
    project.remove(endpoint)


def test_a_killed_server_comes_back_and_so_does_everything_after_a_kill_of_the_emulator(
    project: Project, serving: str, release: str
) -> None:
    project.kill_triton()
    assert until(lambda: project.infer(serving, "iris").status, lambda status: status == 200)
    endpoint = project.endpoint("800")
    project.limit(hold="ADDING_NODES_TO_CLUSTER")
    name = project.deploying(endpoint, release, "81", {"0": 100}).operation.name
    until(lambda: project.call("GET", name).data, lambda found: b"ADDING_NODES" in found)
    project.restart()
    project.limit()
    assert project.infer(serving, "iris").status == 200
    done = until(lambda: json.loads(project.call("GET", name).data), lambda found: found.get("done"))
    assert done["response"]["deployedModel"]["id"] == "81"
    assert len([each for each in project.ask("/-/deployments") if each["endpoint"] == endpoint]) == 1
    project.remove(endpoint)


def test_sigterm_ends_every_model_server(project: Project, serving: str) -> None:
    assert project.infer(serving, "digits").status == 200
    project.stop()
    assert project.processes() == []
    project.start()
    assert project.infer(serving, "digits").status == 200


def test_a_call_without_a_token_is_refused_and_any_assertion_is_worth_one(project: Project, serving: str) -> None:
    refused = project.call("GET", serving, headers={})
    assert (refused.status, json.loads(refused.data)["error"]["status"]) == (401, "UNAUTHENTICATED")
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "any"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = project.pool.request("POST", f"{project.vertex.url}/token", body=urlencode(grant), headers=form)
    token = json.loads(reply.data)["access_token"]
    assert project.call("GET", serving, headers={"Authorization": f"Bearer {token}"}).status == 200


def test_binary_tensors_go_through_as_they_are(project: Project, serving: str) -> None:
    test = json.loads(request_of("iris"))
    tensor = test["inputs"][0]
    array = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
    sent = InferInput(tensor["name"], list(array.shape), "FP32").set_data_from_numpy(array)
    body, head = InferenceServerClient.generate_request_body([sent])
    kind = f"application/vnd.vertex-ai-triton.binary+json;json-header-size={head}"
    headers = {REDIRECT: "v2/models/iris/infer", "Content-Type": kind, "Authorization": "Bearer any"}
    reply = project.call("POST", f"{serving}:rawPredict", body, headers)
    assert reply.status == 200, reply.data
    size = int(reply.headers["Inference-Header-Content-Length"])
    outputs = json.loads(reply.data[:size])["outputs"]
    assert len(reply.data) - size == sum(each["parameters"]["binary_data_size"] for each in outputs)
