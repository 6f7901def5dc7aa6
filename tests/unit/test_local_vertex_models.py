from __future__ import annotations

from pathlib import Path

import pytest

from cohost.local.vertex.names import project_number
from tests.unit.local_vertex import IMAGE, PARENT, PROJECT, Control, uploading


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path)


def versions(control: Control, model: str) -> dict[str, list[str]]:
    found = control.ok("GET", f"{model}:listVersions")["models"]
    return {each["versionId"]: each.get("versionAliases", []) for each in found}


def test_a_model_appears_with_its_first_version_once_the_upload_has_ended(control: Control) -> None:
    operation = control.ok("POST", f"{PARENT}/models:upload", uploading(modelId="iris"))
    assert "done" not in operation
    assert control.begun == [operation["name"]]
    assert control.refused("GET", f"{PARENT}/models/iris")[0] == "NOT_FOUND"
    control.models.finish_upload(control.state.operations[operation["name"]])
    found = control.ok("GET", f"{PARENT}/models/iris")
    assert found["name"] == f"projects/{project_number(PROJECT)}/locations/us-central1/models/iris"
    assert (found["versionId"], found["versionAliases"]) == ("1", ["default"])


def test_a_new_version_is_the_default_only_when_it_says_so(control: Control) -> None:
    model = control.upload(modelId="iris")
    control.upload(parentModel=model, versionAliases=["canary"])
    assert versions(control, model) == {"1": ["default"], "2": ["canary"]}
    control.upload(parentModel=f"{PARENT}/models/iris", versionAliases=["default", "canary"])
    assert versions(control, model) == {"1": [], "2": [], "3": ["default", "canary"]}
    assert control.ok("GET", f"{model}@canary")["name"] == f"{model}@3"


def test_aliases_are_given_and_taken_and_the_default_only_moves(control: Control) -> None:
    model = control.upload(modelId="iris")
    control.upload(parentModel=model)
    control.ok("POST", f"{model}@2:mergeVersionAliases", {"versionAliases": ["default", "golden"]})
    control.ok("POST", f"{model}@2:mergeVersionAliases", {"versionAliases": ["-golden"]})
    assert versions(control, model) == {"1": [], "2": ["default"]}
    for alias in ("-default", "2", "Golden"):
        refused = control.refused("POST", f"{model}@2:mergeVersionAliases", {"versionAliases": [alias]})
        assert refused[0] == "INVALID_ARGUMENT"


def test_labels_of_a_model_and_of_its_version_are_told_together(control: Control) -> None:
    model = control.upload(modelId="iris", labels={"digest": "1"})
    control.ok("PATCH", model, {"labels": {"team": "a"}, "description": "no"}, updateMask="labels")
    found = control.ok("GET", model)
    assert found["labels"] == {"digest": "1", "team": "a"}
    assert "description" not in found
    control.ok("PATCH", f"{model}@1", {"labels": {"digest": "2"}}, updateMask="labels")
    assert control.ok("GET", model)["labels"] == {"digest": "2", "team": "a"}


def test_a_version_is_deleted_and_the_only_one_is_not(control: Control) -> None:
    model = control.upload(modelId="iris")
    assert control.refused("DELETE", f"{model}@1:deleteVersion")[0] == "FAILED_PRECONDITION"
    control.upload(parentModel=model)
    control.ok("DELETE", f"{model}@1:deleteVersion")
    assert versions(control, model) == {"2": ["default"]}
    control.upload(parentModel=model)
    assert list(versions(control, model)) == ["2", "3"], "the number of a deleted version is not given again"
    control.ok("DELETE", model)
    assert control.refused("GET", model)[0] == "NOT_FOUND"
    assert list(control.folder.glob("artifacts/*")) == []


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"displayName": ""}, "INVALID_ARGUMENT", "display_name"),
        ({"modelId": "1-iris"}, "INVALID_ARGUMENT", "model_id"),
        ({"versionAliases": ["1"]}, "INVALID_ARGUMENT", "alias"),
        ({"labels": {"Team": "a"}}, "INVALID_ARGUMENT", "label"),
        ({"artifactUri": "s3://bucket/models"}, "INVALID_ARGUMENT", "gs://"),
        ({"containerSpec": {"imageUri": "nvcr.io/nvidia/tritonserver:26.05-py3"}}, "INVALID_ARGUMENT", "Artifact"),
        ({"containerSpec": {"imageUri": IMAGE.replace("us-central1", "us")}}, "INVALID_ARGUMENT", "us-central1"),
        ({"containerSpec": {"imageUri": IMAGE.replace("tritonserver", "x")}}, "PERMISSION_DENIED", "gcp-sa-aiplatform"),
        ({"containerSpec": {"env": [{"name": "AIP_MODE", "value": "x"}]}}, "INVALID_ARGUMENT", "AIP_MODE"),
        ({"containerSpec": {"command": ["sh"]}}, "UNIMPLEMENTED", "command"),
        ({"containerSpec": {"startupProbe": {"exec": {"command": ["true"]}}}}, "UNIMPLEMENTED", "startupProbe"),
        ({"containerSpec": {"healthProbe": {"httpGet": {"path": "/", "port": 1}}}}, "UNIMPLEMENTED", "healthProbe"),
        ({"containerSpec": {"livenessProbe": {"periodSeconds": 5}}}, "UNIMPLEMENTED", "livenessProbe"),
        ({"parentModel": f"{PARENT}/models/missing"}, "NOT_FOUND", "missing"),
        ({"colour": "red"}, "INVALID_ARGUMENT", 'no field named "colour"'),
        ({"displayName": 1}, "INVALID_ARGUMENT", "displayName"),
    ],
)
def test_what_the_service_would_not_take_is_refused(
    control: Control, change: dict[str, object], status: str, words: str
) -> None:
    refused = control.refused("POST", f"{PARENT}/models:upload", uploading(**change))
    assert refused[0] == status
    assert words in refused[1]
    assert control.state.models == {}


def test_a_name_in_use_is_not_given_again(control: Control) -> None:
    control.upload(modelId="iris")
    assert control.refused("POST", f"{PARENT}/models:upload", uploading(modelId="iris"))[0] == "ALREADY_EXISTS"


def test_an_upload_whose_artifacts_cannot_be_read_leaves_nothing(control: Control) -> None:
    operation = control.ok("POST", f"{PARENT}/models:upload", uploading(modelId="iris", artifactUri="gs://b/x"))
    with pytest.raises(Exception, match="gs://b/x"):
        control.models.finish_upload(control.state.operations[operation["name"]])
    assert control.state.models == {}
    assert list(control.folder.glob("artifacts/*/*")) == []


def test_models_are_listed_in_pages_and_by_label(control: Control) -> None:
    for number in range(3):
        control.upload(modelId=f"m{number}", labels={"number": str(number)})
    first = control.ok("GET", f"{PARENT}/models", pageSize="2")
    rest = control.ok("GET", f"{PARENT}/models", pageSize="2", pageToken=first["nextPageToken"])
    assert [each["labels"]["number"] for each in (*first["models"], *rest["models"])] == ["0", "1", "2"]
    assert "nextPageToken" not in rest
    found = control.ok("GET", f"{PARENT}/models", filter='labels.number="1" AND display_name="release"')
    assert [each["labels"]["number"] for each in found["models"]] == ["1"]
    assert control.refused("GET", f"{PARENT}/models", filter="create_time>1")[0] == "UNIMPLEMENTED"
