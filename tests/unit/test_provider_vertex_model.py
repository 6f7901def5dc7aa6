"""Model of Vertex AI: what it asks of Google, and what it leaves behind when something fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.api_core import exceptions

from cohost.errors import CohostError, DeploymentError
from cohost.provider.context import Context, OperationCancelled
from cohost.provider.resource import Change, PartialFailure
from cohost.provider.values import UNKNOWN
from cohost.provider.vertex import models
from cohost.provider.vertex.model import Model
from tests.unit.fake_models import PARENT, PROJECT, REGION, FakeModels, full
from tests.unit.provider_context import Operation

IMAGE = f"{REGION}-docker.pkg.dev/acme/serving/tritonserver@sha256:{'1' * 64}"
MODEL = Model()


@pytest.fixture
def google() -> FakeModels:
    return FakeModels()


@pytest.fixture
def context(google: FakeModels) -> Context:
    return replace(Operation().context(), gcp=google)


def inputs(**changes: Any) -> dict[str, Any]:
    """Numbers are floats, as the wire has them."""
    found = {
        "project": PROJECT,
        "region": REGION,
        "modelId": "shared",
        "displayName": "Shared",
        "image": IMAGE,
        "args": ["--strict-readiness=true"],
        "env": {"LOG": "1"},
        "predictRoute": "/v2/predict",
        "healthRoute": "/v2/health/ready",
        "ports": [8080.0],
        "sharedMemoryMb": 256.0,
        "deploymentTimeoutS": 1800.0,
        "artifactUri": "gs://store/repositories/r1",
        "labels": {"team": "vision"},
        "aliases": ["live"],
    } | changes
    return {name: value for name, value in found.items() if value is not None}


def versions_of(google: FakeModels, model_id: str = "shared") -> list[str]:
    return list(google.kept[model_id].versions)


def problems(resource: Any, context: Context, news: dict[str, Any], olds: dict[str, Any] | None = None) -> set[str]:
    return {problem.key for problem in resource.check(context, olds, news)}


def test_a_model_is_uploaded_as_declared(google: FakeModels, context: Context) -> None:
    outputs = MODEL.create(context, inputs(serviceAccount="builder@acme.iam.gserviceaccount.com"))
    assert (outputs["name"], outputs["versionId"]) == (full("shared"), "1")
    assert outputs["versionName"] == f"{full('shared')}@1"
    (request,) = [request for method, request in google.calls if method == "upload_model"]
    assert (request.parent, request.model_id, request.parent_model) == (PARENT, "shared", "")
    assert request.service_account == "builder@acme.iam.gserviceaccount.com"
    container = request.model.container_spec
    assert (container.image_uri, list(container.args)) == (IMAGE, ["--strict-readiness=true"])
    assert [(each.name, each.value) for each in container.env] == [("LOG", "1")]
    assert [port.container_port for port in container.ports] == [8080]
    assert container.deployment_timeout.total_seconds() == 1800
    assert container.shared_memory_size_mb == 256
    assert request.model.labels["team"] == "vision"
    assert set(google.kept["shared"].versions["1"].version_aliases) == {"default", "live"}


@pytest.mark.parametrize(
    "change",
    [
        {"image": f"{IMAGE[:-1]}2"},
        {"args": []},
        {"env": {}},
        {"artifactUri": "gs://store/repositories/r2"},
        {"startupProbe": {"tcpSocket": {"port": 8080.0}}},
    ],
)
def test_another_content_is_another_version_and_the_old_one_goes(
    google: FakeModels, context: Context, change: dict[str, Any]
) -> None:
    before, after = MODEL.create(context, inputs()), inputs(**change)
    assert MODEL.preview(context, before, after)["versionName"] is UNKNOWN
    outputs = MODEL.update(context, before, after)
    assert (outputs["versionId"], versions_of(google)) == ("2", ["2"])
    assert set(google.kept["shared"].versions["2"].version_aliases) == {"default", "live"}


def test_probes_are_uploaded_told_and_compared_by_their_members(google: FakeModels, context: Context) -> None:
    get = {"httpGet": {"path": "/health", "port": 8080.0}}
    given = inputs(startupProbe={**get, "failureThreshold": 360.0}, healthProbe=get, livenessProbe=get)
    outputs = MODEL.create(context, given)
    container = google.kept["shared"].versions["1"].container_spec
    assert container.startup_probe.failure_threshold == 360
    assert container.health_probe.http_get.path == container.liveness_probe.http_get.path == "/health"
    for known in (outputs, None):
        state = MODEL.read(context, full("shared"), known)
        assert state is not None
        assert state.inputs == given
    after = {**given, "startupProbe": {**get, "failureThreshold": 60.0}}
    del after["livenessProbe"]
    assert set(MODEL.diff(context, outputs, after)) == {'startupProbe["failureThreshold"]', "livenessProbe"}
    assert MODEL.update(context, outputs, after)["versionId"] == "2"


def test_labels_aliases_and_display_name_change_in_place(google: FakeModels, context: Context) -> None:
    before = MODEL.create(context, inputs())
    after = inputs(displayName="Other", labels={"stage": "prod"}, aliases=["stable"])
    assert MODEL.preview(context, before, after)["versionId"] == "1"
    assert MODEL.update(context, before, after)["versionId"] == "1"
    assert google.count("upload_model") == 1
    state = MODEL.read(context, full("shared"), before)
    assert state is not None
    assert {name: state.inputs[name] for name in ("displayName", "labels", "aliases")} == {
        "displayName": "Other",
        "labels": {"stage": "prod"},
        "aliases": ["stable"],
    }


def test_a_version_in_use_is_left_and_goes_with_a_later_run(google: FakeModels, context: Context) -> None:
    first = MODEL.create(context, inputs())
    google.deploy("shared", "1")
    second = MODEL.update(context, first, inputs(args=["--a"]))
    assert versions_of(google) == ["1", "2"]
    google.kept["shared"].versions["1"].deployed_models = []
    MODEL.update(context, second, inputs(args=["--b"]))
    assert versions_of(google) == ["3"]


def test_a_version_that_somebody_gave_an_alias_of_theirs_stays(google: FakeModels, context: Context) -> None:
    first = MODEL.create(context, inputs())
    google.merge_version_aliases(name=f"{full('shared')}@1", version_aliases=["audited"])
    MODEL.update(context, first, inputs(args=["--a"]))
    assert versions_of(google) == ["1", "2"]


def test_every_old_version_goes_once_nothing_is_deployed_from_it_however_long_that_took(
    google: FakeModels, context: Context
) -> None:
    outputs = None
    for number in (1, 2, 3):
        given = inputs(args=[f"--{number}"], aliases=["live", f"release-{number}"])
        outputs = MODEL.update(context, outputs, given) if outputs else MODEL.create(context, given)
        google.deploy("shared", str(number))
    assert versions_of(google) == ["1", "2", "3"]
    for number in (1, 2, 3):
        google.kept["shared"].versions[str(number)].deployed_models = []
    MODEL.update(context, outputs or {}, inputs(args=["--4"], aliases=["live", "release-4"]))
    assert versions_of(google) == ["4"]


def test_what_a_killed_create_uploaded_goes_when_its_content_is_not_wanted_any_more(
    google: FakeModels, context: Context
) -> None:
    MODEL.create(context, inputs(args=["--killed"], aliases=["release-1"]))
    MODEL.create(context, inputs(args=["--other"], aliases=["release-2"]))
    assert versions_of(google) == ["2"]


def test_an_old_version_goes_also_when_the_labels_of_the_new_one_could_not_be_changed(
    google: FakeModels, context: Context
) -> None:
    first = MODEL.create(context, inputs(aliases=["release-1"]))
    google.deploy("shared", "1")
    second = inputs(args=["--a"], aliases=["release-2"], displayName="Other")
    google.refuse = lambda method, request: exceptions.Forbidden("no") if method == "update_model" else None
    with pytest.raises(PartialFailure) as caught:
        MODEL.update(context, first, second)
    google.refuse = lambda method, request: None
    google.kept["shared"].versions["1"].deployed_models = []
    MODEL.update(context, caught.value.outputs, second)
    assert versions_of(google) == ["2"]


def test_versions_that_somebody_made_before_the_model_was_adopted_stay(google: FakeModels, context: Context) -> None:
    for number in (1, 2):
        MODEL.create(context, inputs(args=[f"--{number}"], aliases=[f"theirs-{number}"]))
        google.deploy("shared", str(number))
    for version in google.kept["shared"].versions.values():
        version.labels = {}
    state = MODEL.read(context, full("shared"), None)
    assert state is not None
    third = MODEL.update(context, state.outputs, inputs(args=["--3"], aliases=["release-3"]))
    for number in (1, 2):
        google.kept["shared"].versions[str(number)].deployed_models = []
    MODEL.update(context, third, inputs(args=["--4"], aliases=["release-4"]))
    assert versions_of(google) == ["1", "4"]


def test_a_content_of_before_gets_no_second_version(google: FakeModels, context: Context) -> None:
    first = MODEL.create(context, inputs())
    google.deploy("shared", "1")
    second = MODEL.update(context, first, inputs(args=["--a"]))
    assert MODEL.update(context, second, inputs())["versionId"] == "1"
    assert versions_of(google) == ["1"]
    assert "default" in google.kept["shared"].versions["1"].version_aliases


def test_what_a_killed_create_uploaded_is_found_again(google: FakeModels, context: Context) -> None:
    MODEL.create(context, inputs())
    assert MODEL.create(context, inputs())["versionId"] == "1"
    assert MODEL.create(context, inputs(args=["--other"]))["versionId"] == "2"
    assert google.count("upload_model") == 2


def test_an_upload_that_still_runs_is_waited_for(google: FakeModels, context: Context) -> None:
    killed = Operation()

    def hold() -> bool:
        killed.cancelled = True
        return True

    google.held = hold
    with pytest.raises(OperationCancelled, match="cancelled while uploading the model shared"):
        MODEL.create(replace(killed.context(), gcp=google), inputs())
    assert google.kept == {}
    google.held = lambda: False
    assert MODEL.create(context, inputs())["versionId"] == "1"
    assert google.count("upload_model") == 1


def test_an_upload_that_a_killed_create_had_just_asked_for_is_found_when_ours_meets_it(
    google: FakeModels, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    MODEL.create(context, inputs())
    real, too_early = models.versions, [[]]
    monkeypatch.setattr(models, "versions", lambda *given: too_early.pop() if too_early else real(*given))
    outputs = MODEL.create(context, inputs())
    assert (outputs["versionId"], versions_of(google)) == ("1", ["1"])
    assert not too_early


def test_a_model_of_somebody_else_is_not_taken(google: FakeModels, context: Context) -> None:
    MODEL.create(context, inputs())
    google.kept["shared"].versions["1"].labels = {}
    with pytest.raises(DeploymentError, match=f"which this stack has not made: choose another .* {full('shared')}"):
        MODEL.create(context, inputs())


def test_a_failed_upload_leaves_nothing_and_says_googles_words(google: FakeModels, context: Context) -> None:
    google.fail = lambda method, request: {"code": 9, "message": "The container image was not found."}
    with pytest.raises(CohostError, match=r"uploading the model shared: FAILED_PRECONDITION: .*Artifact Registry"):
        MODEL.create(context, inputs())
    assert google.kept == {}


def test_a_bucket_that_was_granted_a_moment_ago_is_tried_again(google: FakeModels, context: Context) -> None:
    agent = "service-1@gcp-sa-aiplatform.iam.gserviceaccount.com does not have storage.objects.get access"
    errors = iter([{"code": 7, "message": agent}])
    google.fail = lambda method, request: next(errors, None)
    assert MODEL.create(context, inputs())["versionId"] == "1"
    assert google.count("upload_model") == 2


def test_labels_that_could_not_be_changed_are_changed_by_the_next_run(google: FakeModels, context: Context) -> None:
    before, after = MODEL.create(context, inputs()), inputs(labels={"stage": "prod"})
    google.refuse = lambda method, request: exceptions.Forbidden("no") if method == "update_model" else None
    with pytest.raises(PartialFailure) as caught:
        MODEL.update(context, before, after)
    assert caught.value.outputs["labels"] == {"team": "vision"}
    google.refuse = lambda method, request: None
    assert set(MODEL.diff(context, caught.value.outputs, after)) == {'labels["team"]', 'labels["stage"]'}
    MODEL.update(context, caught.value.outputs, after)
    assert google.kept["shared"].versions["1"].labels["stage"] == "prod"


def test_the_state_after_a_refresh_is_what_was_declared(google: FakeModels, context: Context) -> None:
    for given in (inputs(), inputs(ports=[], sharedMemoryMb=None, deploymentTimeoutS=None, predictRoute=None)):
        outputs = MODEL.create(context, given)
        state = MODEL.read(context, full("shared"), outputs)
        assert state is not None
        assert (state.inputs, state.outputs) == (given, outputs)
        google.kept.clear()


def test_a_container_that_google_does_not_tell_is_as_it_was(google: FakeModels, context: Context) -> None:
    outputs = MODEL.create(context, inputs())
    google.tells_containers = False
    state = MODEL.read(context, full("shared"), outputs)
    assert state is not None
    assert state.inputs == inputs()


@pytest.mark.parametrize("version", ["", "@1"])
def test_an_adopted_model_shows_no_difference(google: FakeModels, context: Context, version: str) -> None:
    MODEL.create(context, inputs())
    del google.kept["shared"].versions["1"].labels["cohost-owner"]
    del google.kept["shared"].versions["1"].labels["cohost-content"]
    state = MODEL.read(context, full("shared") + version, None)
    assert state is not None
    assert state.id == full("shared")
    assert not MODEL.diff(context, state.outputs, inputs())
    assert MODEL.update(context, state.outputs, inputs(args=[]))["versionId"] == "2"


def test_a_version_deleted_by_hand_is_a_difference_and_comes_back(google: FakeModels, context: Context) -> None:
    first = MODEL.create(context, inputs())
    google.deploy("shared", "1")
    second = MODEL.update(context, first, inputs(args=["--a"]))
    google.merge_version_aliases(name=f"{full('shared')}@1", version_aliases=["default"])
    del google.kept["shared"].versions["2"]
    state = MODEL.read(context, full("shared"), second)
    assert state is not None
    assert "args" in MODEL.diff(context, state.outputs, inputs(args=["--a"]))
    assert MODEL.update(context, state.outputs, inputs(args=["--a"]))["versionId"] == "3"
    google.kept.clear()
    assert MODEL.read(context, full("shared"), second) is None


def test_a_model_in_use_is_not_deleted_and_the_user_of_it_is_named(google: FakeModels, context: Context) -> None:
    outputs = MODEL.create(context, inputs())
    user = google.deploy("shared", "1")
    with pytest.raises(DeploymentError, match=f"while something is deployed from it: {user}: undeploy that first"):
        MODEL.delete(context, outputs)
    google.kept["shared"].versions["1"].deployed_models = []
    MODEL.delete(context, outputs)
    MODEL.delete(context, outputs)
    assert google.kept == {}


def test_what_cannot_change_replaces(context: Context) -> None:
    outputs = {**inputs(), "versionId": "1"}
    for name, value in (("project", "other"), ("region", "us-central1"), ("modelId", "other"), ("kmsKey", "k")):
        assert MODEL.diff(context, outputs, inputs(**{name: value})) == {name: Change.REPLACE}


def test_all_bad_inputs_are_told_at_once(context: Context) -> None:
    assert problems(MODEL, context, inputs()) == set()
    bad = inputs(
        region="Europe",
        modelId="9lives",
        image="nvcr.io/nvidia/tritonserver:24.10",
        env={"AIP_MODE": "x"},
        predictRoute="predict",
        ports=[0.0, 8080.0],
        deploymentTimeoutS=7201.0,
        startupProbe={"httpGet": {"path": "health", "port": 8080.0}},
        artifactUri="s3://store/x",
        labels={"Team": "x", "team": "A", "cohost-owner": "me"},
        aliases=["default", "1st", "ok-1", "ok-1"],
        unheard="x",
    )
    assert problems(MODEL, context, bad) == {
        *("region", "modelId", "image", 'env["AIP_MODE"]', "predictRoute", "ports[0]", "deploymentTimeoutS"),
        'startupProbe["httpGet"]["path"]',
        *("artifactUri", 'labels["Team"]', 'labels["team"]', 'labels["cohost-owner"]'),
        *("aliases[0]", "aliases[1]", "aliases[3]", "unheard"),
    }


def test_an_image_of_another_region_and_a_key_for_the_same_model_are_refused_in_the_preview(context: Context) -> None:
    assert problems(MODEL, context, inputs(image="us-docker.pkg.dev/acme/serving/triton:1")) == {"image"}
    assert problems(MODEL, context, inputs(image="us-docker.pkg.dev/vertex-ai/prediction/tf2-gpu:1")) == set()
    key = f"{PARENT}/keyRings/ring/cryptoKeys/key"
    assert problems(MODEL, context, inputs(kmsKey=key), inputs()) == {"kmsKey"}
    assert problems(MODEL, context, inputs(kmsKey=key, modelId="other"), inputs()) == set()
    assert problems(MODEL, context, inputs(kmsKey=UNKNOWN), inputs(kmsKey=key)) == set()
