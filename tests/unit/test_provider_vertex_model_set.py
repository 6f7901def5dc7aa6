"""ModelSet of Vertex AI: what it registers, and what it leaves behind when something fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.api_core import exceptions

from cohost.errors import DeploymentError
from cohost.provider.context import Context
from cohost.provider.resource import PartialFailure
from cohost.provider.values import UNKNOWN
from cohost.provider.vertex import model_set
from cohost.provider.vertex.model_set import ModelSet
from tests.unit.fake_models import PROJECT, REGION, FakeModels, full
from tests.unit.provider_context import Operation

IMAGE = f"{REGION}-docker.pkg.dev/acme/serving/tritonserver@sha256:{'1' * 64}"
DIGESTS = {name: digit * 64 for name, digit in (("iris", "a"), ("digits", "b"), ("wine", "c"))}
MODEL_SET = ModelSet()


@pytest.fixture
def google() -> FakeModels:
    return FakeModels()


@pytest.fixture
def context(google: FakeModels) -> Context:
    return replace(Operation().context(), gcp=google)


def versions_of(google: FakeModels, model_id: str) -> list[str]:
    return list(google.kept[model_id].versions)


def problems(context: Context, news: dict[str, Any]) -> set[str]:
    return {problem.key for problem in MODEL_SET.check(context, None, news)}


def foreign(google: FakeModels, model_id: str) -> None:
    """A model that is none of the set's."""
    model = {"display_name": model_id, "artifact_uri": "gs://elsewhere/model"}
    started = google.upload_model(request={"parent": "", "model_id": model_id, "model": model})
    google.get(started.operation.name)


def the_set(**changes: Any) -> dict[str, Any]:
    return {
        "project": PROJECT,
        "region": REGION,
        "store": "gs://store/team",
        "prefix": "dev",
        "image": IMAGE,
        "models": DIGESTS,
        "labels": {"iris": {"owner": "Vision Team", "framework": "onnxruntime"}, "digits": {}},
    } | changes


def test_each_model_is_registered_with_its_digest_and_owner(google: FakeModels, context: Context) -> None:
    outputs = MODEL_SET.create(context, the_set())
    assert outputs["versions"] == {"iris": "dev-iris@1", "digits": "dev-digits@1", "wine": "dev-wine@1"}
    iris = google.get_model(name=full("dev-iris"))
    assert (iris.display_name, iris.artifact_uri) == ("iris", f"gs://store/team/models/iris/{'a' * 64}")
    users = {name: value for name, value in iris.labels.items() if not name.startswith("cohost-")}
    assert users == {"owner": "vision-team", "framework": "onnxruntime", "digest": "a" * 32}


def test_only_a_changed_model_gets_a_version_and_a_removed_one_goes(google: FakeModels, context: Context) -> None:
    before = MODEL_SET.create(context, the_set())
    after = the_set(models={"iris": "d" * 64, "digits": DIGESTS["digits"]})
    assert set(MODEL_SET.diff(context, before, after)) == {'models["iris"]', 'models["wine"]'}
    assert MODEL_SET.preview(context, before, after)["versions"] == {"iris": UNKNOWN, "digits": "dev-digits@1"}
    google.calls.clear()
    outputs = MODEL_SET.update(context, before, after)
    assert outputs["versions"] == {"iris": "dev-iris@2", "digits": "dev-digits@1"}
    assert google.count("upload_model") == 1
    assert set(google.kept) == {"dev-iris", "dev-digits"}
    assert versions_of(google, "dev-iris") == ["1", "2"], "the history of a model stays"


def test_another_owner_is_a_label_and_no_version(google: FakeModels, context: Context) -> None:
    before = MODEL_SET.create(context, the_set())
    after = the_set(labels={"iris": {"owner": "audio", "framework": "onnxruntime"}, "digits": {}})
    assert set(MODEL_SET.diff(context, before, after)) == {'labels["iris"]'}
    MODEL_SET.update(context, before, after)
    assert google.get_model(name=full("dev-iris")).labels["owner"] == "audio"
    assert google.count("upload_model") == 3


def test_what_is_done_stays_done_when_another_model_fails(google: FakeModels, context: Context) -> None:
    def refuse(method: str, request: Any) -> Exception | None:
        failing = method == "upload_model" and request.model.display_name == "wine"
        return exceptions.Forbidden("Permission 'aiplatform.models.upload' denied") if failing else None

    google.refuse = refuse
    with pytest.raises(PartialFailure, match=r"1 of 3 models .*\nwine: uploading the model dev-wine: PERM") as caught:
        MODEL_SET.create(context, the_set())
    outputs = caught.value.outputs
    assert set(outputs["models"]) == set(outputs["versions"]) == {"iris", "digits"}
    assert set(MODEL_SET.diff(context, outputs, the_set())) == {'models["wine"]'}
    google.refuse = lambda method, request: None
    assert MODEL_SET.update(context, outputs, the_set())["versions"]["wine"] == "dev-wine@1"
    assert google.count("upload_model") == 4


def test_a_used_up_quota_is_named_and_begins_no_more(google: FakeModels, context: Context) -> None:
    many = {f"m{number}": "a" * 64 for number in range(100)}

    def refuse(method: str, request: Any) -> Exception | None:
        return (
            exceptions.ResourceExhausted("Quota aiplatform_quota_models is used up")
            if method == "upload_model"
            else None
        )

    google.refuse = refuse
    with pytest.raises(DeploymentError, match=r"(?s)100 of 100 models.*quota \"aiplatform_quota_models\" at https"):
        MODEL_SET.create(context, the_set(models=many, labels={}))
    assert google.count("upload_model") < 50


def test_another_image_is_true_only_when_every_model_has_it(google: FakeModels, context: Context) -> None:
    before, after = MODEL_SET.create(context, the_set()), the_set(image=f"{IMAGE[:-1]}2")

    def refuse(method: str, request: Any) -> Exception | None:
        failing = method == "upload_model" and request.model.display_name == "wine"
        return exceptions.Forbidden("no") if failing else None

    google.refuse = refuse
    with pytest.raises(PartialFailure) as caught:
        MODEL_SET.update(context, before, after)
    assert set(MODEL_SET.diff(context, caught.value.outputs, after)) == {"image"}
    google.refuse = lambda method, request: None
    outputs = MODEL_SET.update(context, caught.value.outputs, after)
    assert set(outputs["versions"].values()) == {"dev-iris@2", "dev-digits@2", "dev-wine@2"}
    assert versions_of(google, "dev-iris") == ["1", "2"]


def test_a_refresh_shows_what_is_missing_and_nothing_else(google: FakeModels, context: Context) -> None:
    outputs = MODEL_SET.create(context, the_set())
    state = MODEL_SET.read(context, "id", outputs)
    assert state is not None
    assert (state.inputs, state.outputs) == (the_set(), outputs)
    del google.kept["dev-wine"]
    state = MODEL_SET.read(context, "id", outputs)
    assert state is not None
    assert set(MODEL_SET.diff(context, state.outputs, the_set())) == {'models["wine"]'}
    google.kept.clear()
    assert MODEL_SET.read(context, "id", outputs) is None


def test_a_set_is_adopted_by_its_prefix(google: FakeModels, context: Context) -> None:
    MODEL_SET.create(context, the_set())
    foreign(google, "dev-other")
    state = MODEL_SET.read(context, full("dev"), None)
    assert state is not None
    labels = {"iris": {"owner": "vision-team", "framework": "onnxruntime"}}
    assert not MODEL_SET.diff(context, state.outputs, the_set(labels=labels))
    assert MODEL_SET.read(context, full("none"), None) is None


def test_a_deleted_set_leaves_other_models(google: FakeModels, context: Context) -> None:
    outputs = MODEL_SET.create(context, the_set())
    foreign(google, "shared")
    MODEL_SET.delete(context, outputs)
    assert set(google.kept) == {"shared"}


@pytest.mark.parametrize("name", ["iris", "my_model", "UPPER", "a" * 200, "__", "v1.2"])
def test_an_id_is_valid_and_names_that_differ_have_ids_that_differ(name: str) -> None:
    ids = [model_set.model_id("dev", each) for each in (name, name.replace("_", "-"), name.lower(), name + "b")]
    assert all(len(each) <= 63 and set(each) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for each in ids)
    assert len(set(ids)) == len({name, name.replace("_", "-"), name.lower(), name + "b"})


def test_bad_inputs_of_a_set_are_told_at_once(context: Context) -> None:
    assert problems(context, the_set()) == set()
    bad = the_set(prefix="Dev", models={"iris": "x"}, labels={"iris": {"team": "x"}}, store="gs://store/")
    assert problems(context, bad) == {"prefix", 'models["iris"]', 'labels["iris"]', "store"}
