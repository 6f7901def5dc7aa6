"""What the emulated gcp provider makes of inputs and states, without any cloud."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cohost import folder_lock
from cohost.errors import CohostError
from cohost.local.bridge import checks, differences, properties, states
from cohost.local.bridge.checks import Naming
from cohost.local.gcp_provider import configuration
from cohost.local.gcp_provider.ledger import Ledger
from cohost.local.gcp_provider.properties import TOKENS
from cohost.local.gcp_provider.registry import RESOURCES
from cohost.local.gcp_provider.resource import Resource
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.unit.mocks_gcp import REGION, run_main
from tests.unit.test_gcp_provider import ACCOUNT, ANN, BUCKET, ENDPOINT, PROJECT_GRANT, ROLE, SERVICE, SETTINGS, SHARED


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_property_names_are_those_of_the_installed_package() -> None:
    described = {
        token: {"inputs": properties.inputs(token), "outputs": sorted(properties.outputs(token))} for token in TOKENS
    }
    assert described == properties.generate(TOKENS)


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.token)
def test_a_type_names_only_properties_that_exist(resource: Resource) -> None:
    known = properties.inputs(resource.token)
    assert resource.supported | resource.computed | resource.places <= set(known)
    for path in resource.replaces | resource.replaces_by_presence | resource.sets | set(resource.defaults):
        inside: Any = known
        for name in path.split("."):
            assert name in inside, path
            inside = inside[name]
    if "labels" in resource.supported:
        assert set(resource.label_copies) <= properties.outputs(resource.token)


def test_every_type_of_the_list_is_served_and_every_type_of_the_stack_is_on_it() -> None:
    assert set(RESOURCES) == set(TOKENS)
    access = {"members": [ANN]}
    key = f"projects/p/locations/{REGION}/keyRings/r/cryptoKeys/k"
    image = f"{REGION}-docker.pkg.dev/images/serving/triton@sha256:{'0' * 64}"
    whole = run_main({"caller": access, "deployer": access, "encryption": {"kmsKey": key}, "image": image})
    assert {resource.type for resource in whole.custom if resource.type.startswith("gcp:")} == set(TOKENS)


def compare(token: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> differences.Difference:
    """What follows when the inputs of a resource as created go from old to new."""
    resource, known, naming = RESOURCES[token], properties.inputs(token), Naming(f"urn:pulumi:s::p::{token}::thing")
    before, wrong = checks.check(resource, known, {}, old, naming, {})
    after, also_wrong = checks.check(resource, known, before, new, naming, {})
    assert wrong == also_wrong == []
    return differences.compare(resource, states.given(before), before, after)


@pytest.mark.parametrize(
    ("token", "old", "changes", "replaced"),
    [
        (BUCKET, SETTINGS, {"location": "US-CENTRAL1"}, True),
        (BUCKET, SETTINGS, {"versioning": {"enabled": False}}, False),
        (BUCKET, SETTINGS, {"lifecycleRules": SETTINGS["lifecycleRules"][:1]}, False),
        (ENDPOINT, SHARED, {"name": "42"}, True),
        (ENDPOINT, SHARED, {"displayName": "other"}, False),
        (ENDPOINT, SHARED, {"encryptionSpec": {"kmsKeyName": "k"}}, True),
        (ENDPOINT, SHARED, {"dedicatedEndpointEnabled": True}, False),
        (ENDPOINT, SHARED, {"privateServiceConnectConfig": {"enablePrivateServiceConnect": True}}, True),
        (ACCOUNT, {"accountId": "serving"}, {"accountId": "other"}, True),
        (ACCOUNT, {"accountId": "serving"}, {"displayName": "other"}, False),
        (ROLE, {"roleId": "r", "title": "t", "permissions": ["a"]}, {"permissions": ["a", "b"]}, False),
        (ROLE, {"roleId": "r", "title": "t", "permissions": ["a"]}, {"roleId": "s"}, True),
        (PROJECT_GRANT, {"project": "p", "role": "r", "member": ANN}, {"member": "user:b@c.d"}, True),
        (PROJECT_GRANT, {"project": "p", "role": "r", "member": ANN}, {"project": "q"}, True),
        (SERVICE, {"service": "iam.googleapis.com", "disableOnDestroy": False}, {"disableOnDestroy": True}, False),
    ],
)
def test_what_replaces_a_resource_and_what_changes_in_place(
    token: str, old: Mapping[str, Any], changes: Mapping[str, Any], replaced: bool
) -> None:
    found = compare(token, old, {**old, **changes})
    assert found.changes
    assert bool(found.replaces) == replaced


def test_the_order_of_permissions_is_nothing() -> None:
    role = {"roleId": "r", "title": "t", "permissions": ["a", "b"]}
    assert not compare(ROLE, role, {**role, "permissions": ["b", "a"]}).changes


def test_changed_labels_change_the_providers_copies_too() -> None:
    found = compare(BUCKET, SETTINGS, {**SETTINGS, "labels": {"team": "other"}})
    assert set(found.changes) == {"labels.team", "effectiveLabels.team", "pulumiLabels.team"}


LOCAL = {
    "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1",
    VERTEX_ENDPOINT_OVERRIDE: "http://127.0.0.1:2/",
    "COHOST_LOCAL_GCP_STATE": "state",
    "GOOGLE_CLOUD_PROJECT": "from-the-environment",
    "GOOGLE_CLOUD_REGION": REGION,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"STORAGE_EMULATOR_HOST": ""}, "STORAGE_EMULATOR_HOST is not set"),
        ({"STORAGE_EMULATOR_HOST": "https://storage.googleapis.com"}, "STORAGE_EMULATOR_HOST=https://storage"),
        ({VERTEX_ENDPOINT_OVERRIDE: ""}, "OVERRIDES_AIPLATFORM is not set"),
        ({"COHOST_LOCAL_GCP_STATE": ""}, "COHOST_LOCAL_GCP_STATE is not set"),
        ({"GOOGLE_CLOUD_PROJECT": ""}, "gcp:project"),
        ({"GOOGLE_CLOUD_REGION": ""}, "gcp:region"),
    ],
)
def test_nothing_but_this_machine_is_ever_asked(changes: Mapping[str, str], said: str) -> None:
    with pytest.raises(CohostError, match=said):
        configuration.session({}, {**LOCAL, **changes}, threading.Event())


def test_the_configuration_is_read_with_and_without_its_namespace() -> None:
    given = {"gcp:config:project": "mine", "gcp:config:defaultLabels": '{"a": "1"}'}
    session = configuration.session(given, LOCAL, threading.Event())
    assert (session.project, session.region, session.default_labels) == ("mine", REGION, {"a": "1"})
    session = configuration.session({"region": "us-east4"}, LOCAL, threading.Event())
    assert (session.project, session.region) == ("from-the-environment", "us-east4")


def test_the_ledger_is_read_by_the_next_process(tmp_path: Path) -> None:
    Ledger(tmp_path).put("kind", "id", {"a": 1})
    assert Ledger(tmp_path).get("kind", "id") == {"a": 1}
    Ledger(tmp_path).remove("kind", "id")
    assert Ledger(tmp_path).get("kind", "id") is None
    Ledger(tmp_path).remove("kind", "id")


def test_the_ledger_does_not_wait_for_an_emulator_that_holds_the_folder(tmp_path: Path) -> None:
    with folder_lock.held(tmp_path) as held:
        assert held
        Ledger(tmp_path).put("kind", "id", {})
