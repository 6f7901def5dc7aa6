from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel

from cohost import gcp_settings, settings, smoke_fit, tokens, vertex_fleet
from cohost.catalog import load
from cohost.client import smoke
from cohost.client.tensors import encode
from cohost.errors import InputError
from cohost.gcp_settings import GcpSettings
from cohost.vertex_endpoint import DEDICATED_BYTES, SHARED_BYTES
from tests.unit.model_folders import CONFIG, write_catalog, write_model
from tests.unit.setting_keys import keys, leaves

KEY = "projects/my-project/locations/europe-west4/keyRings/ring/cryptoKeys/key"
IMAGE = f"europe-west4-docker.pkg.dev/my-project/serving/triton@sha256:{'0a' * 32}"
RELEASE = "1b" * 32
HERE = "http://10.128.0.5"
PSC = {"kind": "psc", "allowedProjects": ["my-project"], "address": HERE}
MEMBER = "serviceAccount:app@my-project.iam.gserviceaccount.com"


def configuration(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as the engine hands them over: every one a text, maps and lists as JSON."""
    whole = {"platform": "gcp", "gcp:project": "my-project", "gcp:region": "europe-west4", "image": IMAGE, **values}
    return {
        key if ":" in key else f"{tokens.PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in whole.items()
        if value is not None
    }


def parse(**values: Any) -> GcpSettings:
    found = settings.parse(configuration(values), stack="dev")
    assert isinstance(found, GcpSettings)
    return found


def problems(values: Mapping[str, Any]) -> dict[str, str]:
    found = settings.check(configuration(values), stack="dev")
    assert {problem.file for problem in found} <= {"Pulumi.dev.yaml"}
    assert len({problem.key for problem in found}) == len(found), "one line a key"
    return {problem.key: problem.message for problem in found}


def test_platform_project_region_and_image_are_enough() -> None:
    found = parse()
    assert (found.project, found.region, found.image) == ("my-project", "europe-west4", IMAGE)
    assert (found.machine.type, found.machine.accelerator, found.machine.accelerator_count) == (
        *("g2-standard-8", "NVIDIA_L4"),
        1,
    )
    assert (found.endpoint.kind, found.update, found.canary) == ("shared", "surge", None)
    assert found.machine.autoscaling_targets == {}


# Every key with a value other than its default, as it stands in a file.
GOOD: Mapping[str, Any] = {
    "catalog": "other/catalog.yaml",
    "image": IMAGE.replace("@", ":26.05@"),
    "machine": {
        **{"type": "n1-standard-8", "accelerator": "NVIDIA_TESLA_T4", "acceleratorCount": 2, "spot": True},
        **{"minReplicas": 2, "maxReplicas": 4, "gpuPercent": 70, "cpuPercent": 80, "unlisted": True},
    },
    "endpoint": {
        **{"kind": "psc", "name": "1234567890", "allowedProjects": ["other-project"]},
        **{"address": "http://10.128.0.5", "accessLogs": True, "containerLogs": False},
    },
    "encryption": {"kmsKey": KEY},
    "update": "surge",
    "canary": {"weight": 10, "stable": RELEASE},
    "verify": {"gpu": False, "probePercent": 1},
    "caller": {"members": [MEMBER, "group:team@example.com"]},
    "deployer": {"members": ["principalSet://iam.googleapis.com/projects/1/x"]},
    "production": "true",
    "labels": {"team": "ml", "empty": ""},
}


def test_every_key_arrives_as_it_was_given() -> None:
    found = parse(**GOOD).model_dump(by_alias=True)
    for path, value in leaves({**GOOD, "production": True}):
        arrived: Any = found
        for part in path.split("."):
            arrived = arrived[part]
        assert (list(arrived) if isinstance(arrived, tuple) else arrived) == value, path
    assert parse(forceDestroy="true").force_destroy is True
    assert parse(update="replace").update == "replace"


def test_the_good_values_leave_out_no_key() -> None:
    elsewhere = {"platform", "project", "region", "forceDestroy"}
    given_keys = {path if not path.startswith("labels.") else "labels" for path, _ in leaves(GOOD)}
    assert {path for path, _ in keys(GcpSettings)} - elsewhere == given_keys


def test_autoscaling_goes_by_googles_own_metrics() -> None:
    machine = parse(machine={"maxReplicas": 3, "gpuPercent": 70, "cpuPercent": 80}).machine
    assert machine.autoscaled
    assert machine.autoscaling_targets == {
        "aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle": 70,
        "aiplatform.googleapis.com/prediction/online/cpu/utilization": 80,
    }


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ({"gcp:project": None}, "gcp:project", "pulumi config set gcp:project"),
        ({"gcp:project": "12345"}, "gcp:project", "not its number"),
        ({"gcp:region": None}, "gcp:region", "pulumi config set gcp:region"),
        ({"gcp:region": "Holland"}, "gcp:region", "is not a region"),
        ({"project": "my-project"}, "project", "the project is gcp:project"),
        ({"region": "europe-west4"}, "region", "the region is gcp:region"),
        ({"aws:region": "eu-west-1", "variant": {}}, "variant", "is not a setting"),
        ({"image": None}, "image", "bootstrap/README.md shows how"),
        ({"image": IMAGE.partition("@")[0] + ":26.05"}, "image", "by its digest"),
        ({"image": "nvcr.io/nvidia/tritonserver@sha256:" + "0" * 64}, "image", "Artifact Registry"),
        ({"image": IMAGE.replace("europe-west4", "us-central1")}, "image", "only one from there: bootstrap/README.md"),
        ({"image": IMAGE.replace("europe-west4", "europe")}, "image", "an image in europe;"),
        ({"machine": {"type": "e2-standard-8"}}, "machine.type", "not known to take a GPU"),
        ({"machine": {"type": "g2-standard-9"}}, "machine.type", "did you mean g2-standard-"),
        (
            {"machine": {"accelerator": "NVIDIA_TESLA_T4"}},
            "machine.accelerator",
            "takes NVIDIA_L4, not NVIDIA_TESLA_T4",
        ),
        ({"machine": {"accelerator": "NVIDIA_TESLA_V100"}}, "machine.accelerator", "Volta"),
        ({"machine": {"accelerator": "L4"}}, "machine.accelerator", "NVIDIA_L4"),
        ({"machine": {"acceleratorCount": 2}}, "machine.acceleratorCount", "takes 1 of NVIDIA_L4, not 2"),
        ({"machine": {"minReplicas": 0}}, "machine.minReplicas", "greater than or equal to 1"),
        ({"machine": {"minReplicas": 3}}, "machine.maxReplicas", "fewer than minReplicas (3)"),
        ({"machine": {"gpuPercent": 50}}, "machine.gpuPercent", "is for autoscaling"),
        ({"machine": {"spot": "perhaps"}}, "machine.spot", "true or false"),
        ({"endpoint": {"kind": "public"}}, "endpoint.kind", "'shared', 'dedicated' or 'psc'"),
        ({"endpoint": {"name": "0123"}}, "endpoint.name", "1 to 10 digits"),
        ({"endpoint": {"kind": "psc", "address": HERE}}, "endpoint.allowedProjects", "nobody could connect"),
        ({"endpoint": {"allowedProjects": ["other-project"]}}, "endpoint.allowedProjects", "kind is shared"),
        ({"endpoint": {**PSC, "address": None}}, "endpoint.address", "you have reserved for the forwarding rule"),
        ({"endpoint": {"kind": "dedicated", "address": HERE}}, "endpoint.address", "kind is dedicated"),
        ({"endpoint": {**PSC, "address": "10.128.0.5"}}, "endpoint.address", "one is http://10.128.0.5"),
        ({"endpoint": {**PSC, "address": f"{HERE}/v1"}}, "endpoint.address", "one is http://10.128.0.5"),
        ({"endpoint": {**PSC, "address": f"{HERE}:8080"}}, "endpoint.address", "one is http://10.128.0.5"),
        ({"endpoint": {**PSC, "address": "https://10.128.0.5"}}, "endpoint.address", "*.prediction.p.vertexai.goog"),
        ({"encryption": {"kmsKey": "key"}}, "encryption.kmsKey", "is not the name of a key"),
        ({"encryption": {"kmsKey": KEY.replace("europe-west4", "global")}}, "encryption.kmsKey", "is a key in global"),
        ({"update": "rolling"}, "update", "'surge' or 'replace'"),
        ({"canary": {"weight": 100, "stable": RELEASE}}, "canary.weight", "less than or equal to 99"),
        ({"canary": {"weight": 10}}, "canary.stable", "is missing"),
        ({"canary": {"weight": 10, "stable": "v1"}}, "canary.stable", "is not a release"),
        ({"canary": {"wieght": 1, "weight": 1, "stable": RELEASE}}, "canary.wieght", "did you mean weight?"),
        ({"canary": {"weight": 1, "stable": RELEASE}, "update": "replace"}, "canary", "use update: surge"),
        ({"verify": {"probePercent": 51}}, "verify.probePercent", "less than or equal to 50"),
        ({"caller": {"members": ["ann"]}}, "caller.members[0]", "is not a member"),
        ({"caller": {"members": [MEMBER, "allUsers"]}}, "caller.members[1]", "is everyone"),
        ({"production": "true", "forceDestroy": "true"}, "forceDestroy", "one of them must be false"),
        ({"labels": {"Team": "ml"}}, "labels.Team", "is not a label"),
        ({"labels": {"team": "ML"}}, "labels.team", "is not a label"),
        ({"labels": {"cohost-stack": "x"}}, "labels.cohost-stack", "not yours to use"),
        ({"labels": {f"t{index}": "" for index in range(61)}}, "labels", "60 are the most"),
        ({"machin": {}}, "machin", "did you mean machine?"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_with_what_would_be_right(
    values: Mapping[str, Any], key: str, words: str
) -> None:
    found = problems(values)
    assert list(found) == [key if ":" in key else f"{tokens.PROJECT}:{key}"]
    assert words in next(iter(found.values()))


def test_a_region_that_is_not_known_to_have_the_gpu_is_refused_unless_it_is_insisted_on() -> None:
    here = {"gcp:region": "europe-north1", "image": IMAGE.replace("europe-west4", "europe-north1")}
    (message,) = problems(here).values()
    assert "europe-north1 is not known to have NVIDIA_L4" in message
    assert "europe-west4" in message
    assert problems({**here, "machine": {"unlisted": True}}) == {}


def test_every_problem_is_said_at_once_and_what_a_wrong_value_hides_is_not_guessed() -> None:
    found = problems(
        {
            **{"gcp:region": "nowhere", "image": "triton", "production": "maybe", "nodel": "x"},
            "machine": {"type": "e2-medium", "minReplicas": "many", "maxReplicas": 3, "acceleratorCount": 2},
            "endpoint": {"kind": "psc", "name": "x", "address": HERE},
            "caller": {"members": ["x", "allUsers"]},
        }
    )
    assert {key.removeprefix(f"{tokens.PROJECT}:") for key in found} == {
        *("gcp:region", "image", "production", "nodel", "machine.type", "machine.minReplicas"),
        *("endpoint.name", "endpoint.allowedProjects", "caller.members[0]"),
    }


def test_models_that_no_machine_of_the_fleet_holds_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "big"
    (folder / "1").mkdir(parents=True)
    with (folder / "1" / "model.onnx").open("wb") as file:
        file.truncate(vertex_fleet.memory_bytes("g2-standard-8", "NVIDIA_L4", 1) or 0)
    (folder / "config.pbtxt").write_text('backend: "onnxruntime"\n')
    (tmp_path / "catalog.yaml").write_text("models:\n  - {name: big, path: big, owner: a-team, tags: {}}\n")
    found = settings.preflight(parse(), load(tmp_path / "catalog.yaml"))
    assert [problem for problem in found if problem.key == "models" and "take a larger machine" in problem.message]


@pytest.mark.parametrize("address", [HERE, "http://endpoint", "https://7-europe-west4-1.prediction.p.vertexai.goog"])
def test_a_private_endpoint_is_given_with_where_it_answers(address: str) -> None:
    assert parse(endpoint={**PSC, "address": address}).endpoint.address == address


def floats(folder: Path, rows: int) -> Path:
    """A model whose smoke test sends so many rows of 3 numbers of 4 bytes."""
    tensor = {"datatype": "FP32", "shape": [rows, 3], "data": [0.5] * (3 * rows)}
    test = {"request": {"inputs": [{"name": "x", **tensor}]}, "expected": [{"name": "y", **tensor}]}
    config = CONFIG.replace("{name}", folder.name).replace("max_batch_size: 8", "max_batch_size: 1000000")
    return write_model(folder, config=config, smoke=json.dumps(test))


@pytest.mark.parametrize(
    ("endpoint", "most", "remedy"),
    [
        ({}, SHARED_BYTES, "use fewer rows, or set endpoint.kind: dedicated"),
        ({"kind": "dedicated"}, DEDICATED_BYTES, "use fewer rows"),
        (PSC, DEDICATED_BYTES, "use fewer rows"),
    ],
)
def test_a_smoke_test_that_is_more_than_the_endpoint_takes_is_refused_before_anything_is_made(
    tmp_path: Path, endpoint: Mapping[str, Any], most: int, remedy: str
) -> None:
    floats(tmp_path / "fits", most // 12)
    floats(tmp_path / "large", most // 12 + 1)
    found = settings.preflight(parse(endpoint=endpoint), load(write_catalog(tmp_path / "c.yaml", ["fits", "large"])))
    assert [(Path(problem.file).parts[-2:], problem.key) for problem in found] == [
        (("large", "smoke.json"), "request.inputs")
    ]
    assert f"takes requests of {most:,}" in found[0].message
    assert found[0].message.endswith(remedy)


def test_what_is_more_than_any_endpoint_takes_is_not_sent_to_a_dedicated_one(tmp_path: Path) -> None:
    floats(tmp_path / "large", DEDICATED_BYTES // 12 + 1)
    (found,) = settings.preflight(parse(), load(write_catalog(tmp_path / "c.yaml", ["large"])))
    assert found.message.endswith("use fewer rows")


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("FP64", [0.5, 1.0]),
        ("FP16", [0.5, 1.0, 2.0]),
        ("INT64", [1, 2]),
        ("UINT8", [1, 2, 3]),
        ("BOOL", [True, False]),
        ("BYTES", ["", "abc", "é漢"]),
    ],
)
def test_the_size_of_a_request_is_that_of_the_tensors_that_the_client_sends(datatype: str, values: list[Any]) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": [1, len(values)], "data": [values]}
    data = json.dumps({"request": {"inputs": [tensor]}, "expected": [tensor]}).encode()
    body, header_size = encode(smoke.parse(data, "smoke.json").inputs())
    assert smoke_fit.request_bytes(data) == len(body) - header_size


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"request": 1}', b'{"request": {"inputs": [1, {"data": 2}]}}'])
def test_what_is_no_smoke_test_has_no_size(data: bytes) -> None:
    assert smoke_fit.request_bytes(data) == 0


# The data.


@pytest.mark.parametrize("name", vertex_fleet.machines())
def test_every_machine_takes_gpus_that_are_known_and_offered_somewhere(name: str) -> None:
    machine = vertex_fleet.machine(name)
    assert machine is not None
    assert machine.memory_gb > 0
    assert machine.accelerators
    for accelerator, counts in machine.accelerators.items():
        assert vertex_fleet.accelerator(accelerator) is not None
        for count in counts:
            region = vertex_fleet.regions(accelerator)[0]
            assert list(vertex_fleet.faults(name, accelerator, count, region)) == []


def test_every_gpu_is_one_of_googles_and_names_its_quota() -> None:
    from google.cloud.aiplatform_v1.types import AcceleratorType

    for name in vertex_fleet.accelerators():
        accelerator = vertex_fleet.accelerator(name)
        assert accelerator is not None
        assert name in AcceleratorType.__members__
        assert accelerator.quota.startswith("custom_model_serving_nvidia_")
        assert vertex_fleet.regions(name) == tuple(sorted(vertex_fleet.regions(name)))


def test_the_default_fleet_is_one_l4() -> None:
    assert (vertex_fleet.default_machine(), vertex_fleet.default_accelerator()) == ("g2-standard-8", "NVIDIA_L4")
    found = vertex_fleet.accelerator("NVIDIA_L4")
    assert found is not None
    assert found.quota == "custom_model_serving_nvidia_l4_gpus"


# Whatever is configured.

_TEXTS = st.text(max_size=12) | st.sampled_from(["g2-standard-8", "NVIDIA_L4", KEY, IMAGE, RELEASE, MEMBER, "true"])
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS
_ANY = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3))


def _maps(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    names = [field.alias or "" for field in model.model_fields.values()]
    return st.dictionaries(st.sampled_from(names) | _TEXTS, _ANY, max_size=4)


_PARTS = {
    name.lower(): _maps(getattr(gcp_settings, name)) | _ANY
    for name in ("Machine", "Endpoint", "Encryption", "Canary", "Verify")
}
_OTHERS = dict.fromkeys(("caller", "deployer", "image", "labels", "update", "", "other", "region?", "project?"), _ANY)


@hypothesis_settings(max_examples=200, deadline=None)
@given(values=st.fixed_dictionaries({}, optional={**_PARTS, **_OTHERS}))
@example(values={"canary": None})
@example(values={"labels": {"": ""}})
def test_whatever_is_configured_gives_settings_or_problems(values: dict[str, Any]) -> None:
    config = configuration(values)
    found = settings.check(config, stack="dev")
    if found:
        assert all(problem.message and problem.file for problem in found)
        with pytest.raises(InputError):
            settings.parse(config, stack="dev")
    else:
        assert isinstance(settings.parse(config, stack="dev"), GcpSettings)
