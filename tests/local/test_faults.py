"""What goes wrong on the way: each fault is said, the release before serves on, and the next `up` converges."""

from __future__ import annotations

import shutil

import onnx
import pytest
from onnx import helper

from cohost.client import Predictor, smoke
from tests.local.cloud import Cloud
from tests.local.project import Project
from tests.local.test_life_cycle import use

GPU = "ml.g5.xlarge"
OTHER = "ml.g5.2xlarge"


def break_model(project: Project, name: str) -> None:
    """Puts an operator into the graph that no ONNX Runtime knows: what a too new exporter does."""
    (path,) = (project.root / "model_artifacts" / name).rglob("model.onnx")
    model = onnx.load(path)
    output = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if given == output else given for given in node.output]
    model.graph.node.append(helper.make_node("FromTheFuture", ["before"], [output], domain="ai.example"))
    model.opset_import.append(helper.make_opsetid("ai.example", 1))
    path.write_bytes(model.SerializeToString())


def answers(project: Project, outputs: dict[str, str], model: str) -> bool:
    test = smoke.load(project.root / "model_artifacts" / model / smoke.FILE)
    with Predictor.from_outputs(outputs) as predictor:
        return test.check(predictor.infer(model, test.inputs())) is None


def test_a_model_that_triton_cannot_load_fails_with_tritons_words_and_the_old_release_serves_on(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = small_project.operate("up")["outputs"]
    cloud = use(small_project, monkeypatch)
    before = cloud.current()
    kept = small_project.root / "kept"
    shutil.copytree(small_project.root / "model_artifacts/iris", kept)
    break_model(small_project, "iris")
    failed = small_project.cohost("local", "up", "aws", "--json")
    assert failed.code == 1
    assert "model iris" in failed.json()["error"]
    assert "FromTheFuture" in failed.json()["error"]
    assert cloud.current() == before
    assert answers(small_project, outputs, "digits")
    shutil.rmtree(small_project.root / "model_artifacts/iris")
    shutil.copytree(kept, small_project.root / "model_artifacts/iris")
    assert answers(small_project, outputs, "iris")
    assert small_project.operate("up")["error"] is None
    small_project.operate("destroy")
    assert cloud.leftovers() == {}


def test_a_role_that_may_not_read_artifacts_fails_with_the_reason_and_converges_once_it_may(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = small_project.own_copy_of("cohost/policies_aws.py")
    good = policies.read_text()
    policies.write_text(
        good.replace('["s3:GetObject"], [f"{bucket_arn}/models/*"]', '["s3:GetObjectAcl"], [f"{bucket_arn}/models/*"]')
    )
    assert policies.read_text() != good
    failed = small_project.cohost("local", "up", "aws", "--json")
    assert failed.code == 1
    assert "Failed to download model data" in failed.json()["error"]
    cloud = use(small_project, monkeypatch)
    assert not cloud.keys("releases/")
    policies.write_text(good)
    outputs = small_project.operate("up")["outputs"]
    assert answers(small_project, outputs, "iris")
    small_project.operate("destroy")
    assert cloud.leftovers() == {}


def test_a_first_endpoint_without_quota_or_capacity_is_said_and_made_by_the_next_up(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(small_project, "--quota", f"{GPU}=0")
    refused = small_project.cohost("local", "up", "aws", "--json")
    assert refused.code == 1
    assert f"{GPU} for endpoint usage" in refused.json()["error"]
    assert "servicequotas" in refused.json()["error"]
    cloud = use(small_project, monkeypatch)
    assert "endpoint" not in cloud.leftovers()
    limit(small_project, "--quota", f"{GPU}=2", "--capacity", f"{GPU}=0")
    failed = small_project.cohost("local", "up", "aws", "--json")
    assert failed.code == 1
    assert "capacity" in failed.json()["error"].lower()
    assert cloud.endpoint()["EndpointStatus"] == "Failed"
    limit(small_project, "--capacity", f"{GPU}=2")
    outputs = small_project.operate("up")["outputs"]
    assert cloud.endpoint()["EndpointStatus"] == "InService"
    assert answers(small_project, outputs, "digits")
    small_project.operate("destroy")
    assert cloud.leftovers() == {}


def test_a_failed_first_endpoint_goes_with_destroy(small_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(small_project, "--capacity", f"{GPU}=0")
    assert small_project.cohost("local", "up", "aws").code == 1
    cloud = use(small_project, monkeypatch)
    assert cloud.endpoint()["EndpointStatus"] == "Failed"
    small_project.operate("destroy")
    assert cloud.leftovers() == {}


def test_an_endpoint_whose_deployment_was_killed_goes_with_destroy(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = small_project.start("local", "up", "aws")
    assert command.stdout
    assert any("creating aws:sagemaker:Endpoint " in line for line in command.stdout)
    command.kill()
    command.communicate()
    cloud = use(small_project, monkeypatch)
    small_project.operate("destroy")
    assert cloud.leftovers() == {}
    outputs = small_project.operate("up")["outputs"]
    assert answers(small_project, outputs, "digits")
    small_project.operate("destroy")
    assert cloud.leftovers() == {}


def test_an_update_that_sagemaker_takes_back_is_a_failure_and_done_by_the_next_up(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = small_project.operate("up")["outputs"]
    cloud = use(small_project, monkeypatch)
    before = cloud.endpoint()["EndpointConfigName"]
    limit(small_project, "--capacity", f"{OTHER}=0")
    small_project.configure({"shared-endpoint:variant": {"instanceType": OTHER}})
    failed = small_project.cohost("local", "up", "aws", "--json")
    assert failed.code == 1
    assert "SageMaker took the endpoint update back" in failed.json()["error"]
    assert cloud.endpoint()["EndpointConfigName"] == before
    assert answers(small_project, outputs, "digits")
    limit(small_project, "--capacity", f"{OTHER}=1")
    small_project.operate("up")
    assert instance_type(cloud) == OTHER
    assert set(small_project.operate("up")["summary"].items()) >= {("create", 0), ("update", 0), ("replace", 0)}
    assert small_project.operate("refresh")["changes"] == []
    small_project.operate("destroy")
    assert cloud.leftovers() == {}


def test_more_models_than_memory_holds_all_answer_and_the_eviction_shows(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(project, "--memory", f"{GPU}=300MiB")
    outputs = project.operate("up")["outputs"]
    use(project, monkeypatch)
    for _ in range(2):
        for entry in project.cohost("local", "models", "aws", "--json").json():
            assert answers(project, outputs, entry["model"])
    entries = project.cohost("local", "models", "aws", "--json").json()
    loaded = [entry["model"] for entry in entries if entry["loaded"]]
    assert 0 < len(loaded) < len(entries)
    assert all(entry["since"] for entry in entries if entry["loaded"])


def test_a_store_that_somebody_else_wrote_to_is_kept_unless_the_stack_says_otherwise(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_project.operate("up")
    cloud = use(small_project, monkeypatch)
    cloud.client("s3").put_object(Bucket=cloud.bucket(), Key="notes.txt", Body=b"mine")
    refused = small_project.cohost("local", "destroy", "aws", "--json")
    assert refused.code == 1
    assert "BucketNotEmpty" in refused.json()["error"]
    small_project.configure({"shared-endpoint:forceDestroy": True})
    small_project.operate("up")
    small_project.operate("destroy")
    assert cloud.leftovers() == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"aws:region": "mars-1"}, "aws:region"),
        ({"aws:region": "us-gov-west-1"}, "image.account"),
        ({"shared-endpoint:variant": {"instanceType": "ml.g5.12xlarge"}}, "4 GPUs"),
        ({"shared-endpoint:image": {"version": "19.01-py3"}}, "image.version"),
        ({"shared-endpoint:variants": {}}, "did you mean variant"),
    ],
)
def test_a_bad_setting_is_one_line_and_starts_nothing(
    small_project: Project, values: dict[str, object], words: str
) -> None:
    small_project.configure(values)
    refused = small_project.cohost("local", "up", "aws")
    assert refused.code == 2
    assert words in refused.err
    assert len(refused.err.splitlines()) == 1
    assert small_project.processes() == []


def test_everything_wrong_with_settings_and_catalog_is_said_at_once(small_project: Project) -> None:
    (small_project.root / "model_artifacts/iris/1/model.onnx").write_bytes(b"no model")
    shutil.rmtree(small_project.root / "model_artifacts/digits/1")
    small_project.configure({"shared-endpoint:variant": {"instanceType": "ml.t2.nano"}})
    refused = small_project.cohost("local", "up", "aws")
    assert refused.code == 2
    for words in ("iris/1/model.onnx", "digits/1", "ml.t2.nano"):
        assert words in refused.err
    assert small_project.processes() == []


def test_an_endpoint_name_that_is_somebody_elses_is_refused_before_anything_is_made(
    small_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_project.operate("up")
    cloud = use(small_project, monkeypatch)
    twin = small_project.root / "Pulumi.twin.yaml"
    shutil.copy(small_project.root / "Pulumi.aws.yaml", twin)
    small_project.configure({"shared-endpoint:endpointName": "shared-endpoint-aws"}, stack="twin")
    for operation in ("preview", "up"):
        refused = small_project.cohost("local", operation, "twin", "--json")
        assert refused.code == 1
        assert "in use" in refused.json()["error"]
        assert "shared-endpoint/aws" in refused.json()["error"]
    assert cloud.endpoint()["EndpointStatus"] == "InService"
    small_project.operate("destroy", stack="twin")
    small_project.operate("destroy")
    assert cloud.leftovers() == {}


def limit(project: Project, *arguments: str) -> None:
    done = project.cohost("local", "limit", *arguments)
    assert done.code == 0, done.err


def instance_type(cloud: Cloud) -> str:
    config = cloud.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=cloud.endpoint()["EndpointConfigName"]
    )
    return config["ProductionVariants"][0]["InstanceType"]
