"""Model and ModelSet of Vertex AI in the real plugin's process, against the emulated Vertex AI and Cloud Storage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.cloud.aiplatform_v1.types import Model as GoogleModel
from pulumi.runtime.proto import provider_pb2

from cohost import tokens
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.local.vertex_fixture import IMAGE, PARENT, PROJECT, REGION, Project, running, until
from tests.unit.google_key import service_account
from tests.unit.plugin_process import UNKNOWN, Engine, Plugin, Refused, engine, plugin, struct

STORE = "gs://models-of-tests/team"
DIGESTS = {f"model-{number}": f"{number:x}" * 64 for number in range(12)}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with running(tmp_path_factory.mktemp("account")) as made:
        for release in ("r1", "r2"):
            made.put(f"team/repositories/{release}", **{"iris__config.pbtxt": b"name: 'iris'"})
        for name, digest in DIGESTS.items():
            made.put(f"team/models/{name}/{digest}", **{f"{name}__config.pbtxt": b"name: 'x'"})
        yield made


@pytest.fixture(autouse=True)
def no_limits(account: Project) -> Iterator[None]:
    yield
    account.limit()


@pytest.fixture(scope="module")
def listening() -> Iterator[Engine]:
    with engine() as made:
        yield made


@pytest.fixture(scope="module")
def environment(account: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    key = tmp_path_factory.mktemp("key") / "key.json"
    key.write_text(json.dumps(service_account(f"{account.vertex.url}/token")))
    return {
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        VERTEX_ENDPOINT_OVERRIDE: f"{account.vertex.url}/",
        "STORAGE_EMULATOR_HOST": account.storage.url,
        "NO_PROXY": "127.0.0.1,localhost",
    }


@pytest.fixture(scope="module")
def model(environment: dict[str, str], listening: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    with started(tmp_path_factory.mktemp("project"), environment, tokens.VERTEX_MODEL, listening) as made:
        yield made


@pytest.fixture(scope="module")
def model_set(
    environment: dict[str, str], listening: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plugin]:
    with started(tmp_path_factory.mktemp("project"), environment, tokens.VERTEX_MODEL_SET, listening) as made:
        yield made


def started(folder: Path, environment: dict[str, str], token: str, listening: Engine) -> Any:
    return plugin(folder, environment, token, engine=listening.address)


def inputs(model_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "project": PROJECT,
        "region": REGION,
        "modelId": model_id,
        "displayName": "Shared",
        "image": IMAGE,
        "args": ["--vertex-ai-default-model=iris"],
        "env": {"LOG": "1"},
        "predictRoute": "/predict",
        "healthRoute": "/health",
        "ports": [8080],
        "sharedMemoryMb": 1024,
        "deploymentTimeoutS": 1800,
        "artifactUri": f"{STORE}/repositories/r1",
        "labels": {"team": "vision"},
        "aliases": ["live"],
    } | changes


def the_set(prefix: str, **changes: Any) -> dict[str, Any]:
    return {
        "project": PROJECT,
        "region": REGION,
        "store": STORE,
        "prefix": prefix,
        "image": IMAGE,
        "models": DIGESTS,
        "labels": {"model-0": {"owner": "Vision Team", "framework": "onnxruntime"}},
    } | changes


def live(account: Project, model_id: str, version: str = "") -> GoogleModel:
    return account.models.get_model(name=f"{PARENT}/models/{model_id}{version}")


def ids(account: Project, model_id: str) -> list[str]:
    return [each.version_id for each in account.models.list_model_versions(name=f"{PARENT}/models/{model_id}")]


def no_difference(made: Plugin, olds: dict[str, Any], news: dict[str, Any]) -> bool:
    answer = made.diff(olds, news)
    return answer.changes == answer.DIFF_NONE


def test_a_model_lives_from_preview_to_deletion(account: Project, model: Plugin) -> None:
    first = inputs("life")
    assert model.check(first) == {}
    assert model.create(first, preview=True)[1]["versionName"] == UNKNOWN
    id, outputs = model.create(first)
    assert id == outputs["name"] == f"{PARENT}/models/life"
    assert outputs["versionName"] == f"{PARENT}/models/life@1"
    assert no_difference(model, outputs, first)
    assert model.read(id, outputs) == (first, outputs)

    second = inputs("life", artifactUri=f"{STORE}/repositories/r2", aliases=["next"])
    assert set(model.diff(outputs, second).detailedDiff) == {"artifactUri", "aliases"}
    outputs = model.update(outputs, second)
    assert (outputs["versionId"], ids(account, "life")) == ("2", ["2"])
    assert set(live(account, "life").version_aliases) == {"default", "next"}

    third = inputs("life", artifactUri=second["artifactUri"], displayName="Other", labels={"stage": "prod"}, aliases=[])
    outputs = model.update(outputs, third)
    assert outputs["versionId"] == "2"
    assert model.read(id, outputs) == (third, outputs)
    assert set(live(account, "life").version_aliases) == {"default"}
    model.delete(outputs)
    assert model.read(id, outputs) is None
    model.delete(outputs)


def test_a_second_create_after_a_kill_finds_what_the_first_made(
    account: Project, model: Plugin, environment: dict[str, str], tmp_path: Path
) -> None:
    with plugin(tmp_path, environment, tokens.VERTEX_MODEL) as killed:
        killed.create(inputs("killed"))
        killed.process.kill()
    assert model.create(inputs("killed"))[1]["versionId"] == "1"
    assert ids(account, "killed") == ["1"]


def test_a_model_made_by_googles_own_client_is_adopted_without_a_difference(account: Project, model: Plugin) -> None:
    account.upload(f"{STORE}/repositories/r1", model_id="foreign")
    with pytest.raises(Refused, match=r"which this stack has not made: .* adopt it by `import_`"):
        model.create(inputs("foreign"))
    found = model.read(f"{PARENT}/models/foreign")
    assert found is not None
    adopted, outputs = found
    assert no_difference(model, outputs, adopted)
    assert model.check(adopted) == {}
    assert model.update(outputs, {**adopted, "env": {"LOG": "2"}})["versionId"] == "2"


def test_what_was_changed_by_hand_shows_and_comes_back(account: Project, model: Plugin) -> None:
    given = inputs("by-hand")
    id, outputs = model.create(given)
    changed: dict[str, Any] = {"name": outputs["versionName"], "labels": {"team": "other"}}
    account.models.update_model({"model": changed, "update_mask": {"paths": ["labels"]}})
    found = model.read(id, outputs)
    assert found is not None
    assert set(model.diff(found[1], given).detailedDiff) == {'labels["team"]'}
    model.update(found[1], given)
    assert live(account, "by-hand").labels["team"] == "vision"


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (
            {
                "status": "RESOURCE_EXHAUSTED",
                "message": "Quota aiplatform.googleapis.com/models_per_project is used up",
            },
            'models_per_project is used up: ask for more of the quota "models_per_project" at https',
        ),
        (
            {"status": "PERMISSION_DENIED", "message": "Permission 'aiplatform.models.upload' denied on resource"},
            "denied on resource: grant the account that deploys a role",
        ),
    ],
)
def test_a_refusal_is_one_line_with_the_remedy(
    account: Project, model: Plugin, refusal: dict[str, str], message: str
) -> None:
    account.limit(refuse={"models:upload": refusal})
    model_id = refusal["status"].lower()
    with pytest.raises(Refused) as caught:
        model.create(inputs(model_id))
    assert caught.value.message.startswith(f"uploading the model {model_id}: {refusal['status']}: ")
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.partial is None
    account.limit()
    assert model.create(inputs(model_id))[1]["versionId"] == "1"


def test_a_version_that_serves_stays_until_it_does_not_and_its_endpoint_is_named(
    account: Project, model: Plugin
) -> None:
    account.put("team/repositories/real", "iris")
    first = inputs("serving", artifactUri=f"{STORE}/repositories/real", env={})
    _, outputs = model.create(first)
    endpoint = account.endpoint("4711")
    account.deploy(endpoint, outputs["versionName"], "8", {"0": 100})
    outputs = model.update(outputs, {**first, "env": {"LOG": "1"}})
    assert ids(account, "serving") == ["1", "2"]
    with pytest.raises(Refused, match=r"deployed from it: projects/.*/endpoints/4711/deployedModels/8: undeploy"):
        model.delete(outputs)
    account.remove(endpoint)
    outputs = model.update(outputs, {**first, "env": {"LOG": "2"}})
    assert ids(account, "serving") == ["3"]
    model.delete(outputs)


def test_artifacts_that_are_not_there_fail_the_upload_and_leave_nothing(account: Project, model: Plugin) -> None:
    with pytest.raises(Refused, match="uploading the model empty: FAILED_PRECONDITION"):
        model.create(inputs("empty", artifactUri=f"{STORE}/repositories/none"))
    assert model.read(f"{PARENT}/models/empty") is None


def test_a_set_registers_each_model_and_then_only_what_changed(
    account: Project, model_set: Plugin, listening: Engine
) -> None:
    first = the_set("dev")
    assert model_set.check(first) == {}
    id, outputs = model_set.create(first)
    assert outputs["versions"] == {name: f"dev-{name}@1" for name in DIGESTS}
    assert any(line == "registering 12/12 models" for line in listening.said)
    assert model_set.read(id, outputs) == (first, outputs)
    assert live(account, "dev-model-0").labels["owner"] == "vision-team"

    changed = {**DIGESTS, "model-1": DIGESTS["model-1"]}
    account.put(f"team/models/model-1/{'f' * 64}", **{"model-1__config.pbtxt": b"name: 'y'"})
    changed["model-1"] = "f" * 64
    del changed["model-2"]
    second = the_set("dev", models=changed)
    assert set(model_set.diff(outputs, second).detailedDiff) == {'models["model-1"]', 'models["model-2"]'}
    outputs = model_set.update(outputs, second)
    assert outputs["versions"]["model-1"] == "dev-model-1@2"
    assert {version.partition("@")[2] for name, version in outputs["versions"].items() if name != "model-1"} == {"1"}
    assert live(account, "dev-model-1").labels["digest"] == "f" * 32

    found = model_set.read(f"{PARENT}/models/dev")
    assert found is not None
    assert found[0]["models"] == changed
    assert found[1]["versions"] == outputs["versions"]
    model_set.delete(outputs)
    assert model_set.read(id, outputs) is None


def test_a_set_keeps_what_is_done_when_one_of_its_models_cannot_be_read(account: Project, model_set: Plugin) -> None:
    missing = the_set("part", models={**DIGESTS, "unsent": "e" * 64})
    with pytest.raises(Refused, match="1 of 13 models are not as they shall be") as caught:
        model_set.create(missing)
    assert caught.value.partial is not None
    outputs = caught.value.partial[1]
    assert set(outputs["versions"]) == set(DIGESTS)
    assert set(model_set.diff(outputs, missing).detailedDiff) == {'models["unsent"]'}
    account.put(f"team/models/unsent/{'e' * 64}", **{"unsent__config.pbtxt": b"name: 'x'"})
    assert model_set.update(outputs, missing)["versions"]["unsent"] == "part-unsent@1"
    assert ids(account, "part-model-0") == ["1"]


def test_a_set_whose_plugin_was_killed_half_way_is_finished_with_one_version_of_each(
    account: Project, model_set: Plugin, environment: dict[str, str], tmp_path: Path
) -> None:
    given = the_set("half")
    with plugin(tmp_path, environment, tokens.VERTEX_MODEL_SET) as killed, ThreadPoolExecutor(1) as pool:
        creating = pool.submit(killed.create, given)
        until(lambda: [each.name for each in account.models.list_models(parent=PARENT) if "half-" in each.name], bool)
        killed.process.kill()
        creating.exception()  # or none: it was quicker than this test
    assert model_set.create(given)[1]["versions"] == {name: f"half-{name}@1" for name in DIGESTS}
    assert all(ids(account, f"half-{name}") == ["1"] for name in DIGESTS)


def test_an_account_to_impersonate_is_a_setting_and_a_key_is_none(model: Plugin) -> None:
    news = struct({"impersonate": "deployer@acme.iam.gserviceaccount.com", "credentials": "{}"})
    (failure,) = model.stub.CheckConfig(provider_pb2.CheckRequest(news=news)).failures
    assert failure.property == "credentials"
    assert "cohost:impersonate" in failure.reason
