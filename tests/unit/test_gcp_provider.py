"""Lives of resources by the emulated gcp provider, on the emulators of Cloud Storage and Vertex AI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from cohost.local.bridge import states
from cohost.provider.protocol import provider_pb2, provider_pb2_grpc
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.local.provider_calls import Calls, Failed, Recorded
from tests.unit.google_key import service_account
from tests.unit.mocks_gcp import PROJECT, REGION

ACCOUNT = "gcp:serviceaccount/account:Account"
BUCKET = "gcp:storage/bucket:Bucket"
BUCKET_GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
ENDPOINT_GRANT = "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember"
IDENTITY = "gcp:projects/serviceIdentity:ServiceIdentity"
PROJECT_GRANT = "gcp:projects/iAMMember:IAMMember"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
SERVICE = "gcp:projects/service:Service"

ANN = "user:ann@example.com"
SETTINGS: Mapping[str, Any] = {
    "location": REGION.upper(),
    "uniformBucketLevelAccess": True,
    "publicAccessPrevention": "enforced",
    "versioning": {"enabled": True},
    "softDeletePolicy": {"retentionDurationSeconds": 604800},
    "lifecycleRules": [
        {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7}},
        {
            "action": {"type": "Delete"},
            "condition": {"daysSinceNoncurrentTime": 90, "matchesPrefixes": ["releases/"], "withState": "ARCHIVED"},
        },
    ],
    "labels": {"team": "ml"},
}
SHARED: Mapping[str, Any] = {
    "name": "1234567890",
    "displayName": "shared",
    "location": REGION,
    "region": REGION,
    "labels": {"team": "ml"},
}


@dataclass(frozen=True)
class Provider(Calls):
    """The provider in front of both emulators."""

    storage: str
    vertex: str

    def ask(self, url: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> Any:
        """Asks an emulator itself."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": "Bearer any", "Content-Type": "application/json"}
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def gone(self, known: Recorded) -> bool:
        return self.refresh(known) is None


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("gcp")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE_", "CLOUDSDK_"))}
    environment |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    processes: list[subprocess.Popen[str]] = []

    def start(module: str, *arguments: str) -> str:
        command = [sys.executable, "-m", f"cohost.local.{module}", *arguments]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline()

    def serve(module: str, *arguments: str) -> str:
        line = start(module, "--state", str(folder / module), "--port", "0", *arguments)
        return f"http://127.0.0.1:{json.loads(line)['port']}"

    try:
        storage = serve("gcs")
        vertex = serve("vertex", "--storage-url", storage)
        key = folder / "key.json"
        key.write_text(json.dumps(service_account(f"{vertex}/token")))
        environment |= {
            "STORAGE_EMULATOR_HOST": storage,
            VERTEX_ENDPOINT_OVERRIDE: f"{vertex}/",
            "COHOST_LOCAL_GCP_STATE": str(folder),
            "GOOGLE_APPLICATION_CREDENTIALS": str(key),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GOOGLE_CLOUD_REGION": REGION,
        }
        with grpc.insecure_channel(f"127.0.0.1:{int(start('gcp_provider'))}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            stub.Configure(provider_pb2.ConfigureRequest())
            yield Provider(stub, storage, vertex)
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=60)


GRANT = {"role": "roles/viewer", "member": ANN}
# Type, inputs, the id it gets, and another input that changes in place.
LIVES: Mapping[str, tuple[Mapping[str, Any], str, Mapping[str, Any] | None]] = {
    SERVICE: (
        {"service": "iam.googleapis.com", "disableOnDestroy": True},
        f"{PROJECT}/iam.googleapis.com",
        {"disableDependentServices": True},
    ),
    ACCOUNT: (
        {"accountId": "serving", "displayName": "a"},
        f"projects/{PROJECT}/serviceAccounts/serving@{PROJECT}.iam.gserviceaccount.com",
        {"displayName": "b"},
    ),
    ROLE: (
        {"roleId": "caller", "title": "t", "permissions": ["a.b.c"]},
        f"projects/{PROJECT}/roles/caller",
        {"permissions": ["a.b.c", "a.b.d"]},
    ),
    PROJECT_GRANT: ({"project": PROJECT, **GRANT}, f"{PROJECT}/roles/viewer/{ANN}", None),
    "gcp:serviceaccount/iAMMember:IAMMember": (
        {"serviceAccountId": "projects/p/serviceAccounts/a@b", **GRANT},
        f"projects/p/serviceAccounts/a@b/roles/viewer/{ANN}",
        None,
    ),
    BUCKET_GRANT: (
        {"bucket": "models", **GRANT, "condition": {"title": "releases", "expression": "true"}},
        f"b/models/roles/viewer/{ANN}/releases",
        None,
    ),
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": (
        {"cryptoKeyId": "projects/p/locations/l/keyRings/r/cryptoKeys/k", **GRANT},
        f"projects/p/locations/l/keyRings/r/cryptoKeys/k/roles/viewer/{ANN}",
        None,
    ),
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": (
        {"project": "images", "location": REGION, "repository": "serving", **GRANT},
        f"projects/images/locations/{REGION}/repositories/serving/roles/viewer/{ANN}",
        None,
    ),
    ENDPOINT_GRANT: (
        {"endpoint": "42", **GRANT},
        f"projects/{PROJECT}/locations/{REGION}/endpoints/42/roles/viewer/{ANN}",
        None,
    ),
    BUCKET: ({"name": "a-bucket", **SETTINGS}, "a-bucket", {"labels": {"team": "other"}}),
    ENDPOINT: (SHARED, f"projects/{PROJECT}/locations/{REGION}/endpoints/1234567890", {"displayName": "other"}),
}


@pytest.mark.parametrize("token", LIVES)
def test_a_resource_is_made_read_changed_and_deleted_with_nothing_to_do_between(provider: Provider, token: str) -> None:
    inputs, identity, change = LIVES[token]
    made = provider.create(token, inputs)
    assert made.id == identity
    assert provider.changes(made, inputs) == {}
    read = provider.refresh(made)
    assert read is not None
    assert (read.state, states.given(read.inputs)) == (made.state, states.given(made.inputs))
    if change is not None:
        assert set(provider.changes(made, {**inputs, **change}).values()) <= {"ADD", "UPDATE"}
        made = provider.update(made, {**inputs, **change})
        assert provider.changes(made, {**inputs, **change}) == {}
        read = provider.refresh(made)
        assert read is not None
        assert read.state == made.state or token == ENDPOINT
    provider.delete(made)
    assert provider.gone(made)
    provider.delete(made)


@pytest.mark.parametrize("token", [ACCOUNT, ROLE, BUCKET, ENDPOINT])
def test_a_preview_makes_nothing(provider: Provider, token: str) -> None:
    inputs, identity, _ = LIVES[token]
    planned = provider.create(token, inputs, preview=True)
    assert planned.id == ""
    assert provider.imported(f"urn:pulumi:s::p::{token}::thing", identity) is None


@pytest.mark.parametrize("token", [ACCOUNT, ROLE, BUCKET, ENDPOINT])
def test_what_is_imported_by_its_id_is_what_was_made(provider: Provider, token: str) -> None:
    inputs, identity, _ = LIVES[token]
    made = provider.create(token, inputs)
    found = provider.imported(made.urn, identity)
    assert found is not None
    assert found.id == made.id
    named = set(inputs) - {"labels", "region"}
    assert {name: found.inputs[name] for name in named} == {name: made.inputs[name] for name in named}
    provider.delete(made)


def test_a_service_agent_is_the_projects_own_and_stays(provider: Provider) -> None:
    made = provider.create(IDENTITY, {"service": "aiplatform.googleapis.com"})
    assert made.state["member"].endswith("@gcp-sa-aiplatform.iam.gserviceaccount.com")
    provider.delete(made)
    again = provider.refresh(made)
    assert again is not None
    assert again.state == made.state


def test_an_api_stays_on_unless_it_is_to_go(provider: Provider) -> None:
    made = provider.create(SERVICE, {"service": "storage.googleapis.com", "disableOnDestroy": False})
    provider.delete(made)
    assert not provider.gone(made)


def test_an_account_of_a_name_that_is_taken_is_refused(provider: Provider) -> None:
    made = provider.create(ACCOUNT, {"accountId": "taken"})
    with pytest.raises(Failed, match="already exists within project"):
        provider.create(ACCOUNT, {"accountId": "taken"})
    provider.delete(made)


def test_a_bucket_gets_the_settings_that_were_asked_for_and_no_label_of_others_is_ours(provider: Provider) -> None:
    made = provider.create(BUCKET, SETTINGS)
    assert made.id.startswith("thing-")
    assert made.state["url"] == f"gs://{made.id}"
    assert made.state["effectiveLabels"] == {"team": "ml", "goog-pulumi-provisioned": "true"}
    bucket = f"{provider.storage}/storage/v1/b/{made.id}"
    told = provider.ask(bucket)
    access = told["iamConfiguration"]
    assert access["uniformBucketLevelAccess"]["enabled"] is True
    assert access["publicAccessPrevention"] == "enforced"
    assert told["lifecycle"]["rule"][1]["condition"] == {
        "daysSinceNoncurrentTime": 90,
        "matchesPrefix": ["releases/"],
        "isLive": False,
    }
    provider.ask(bucket, {"labels": {"foreign": "1"}, "versioning": {"enabled": False}}, "PATCH")
    read = provider.refresh(made)
    assert read is not None
    assert read.inputs["labels"] == {"team": "ml"}
    assert read.inputs["versioning"] == {"enabled": False}
    assert provider.changes(read, SETTINGS) == {"versioning.enabled": "UPDATE"}
    provider.delete(provider.update(read, SETTINGS))


def test_a_setting_that_the_program_drops_is_taken_away(provider: Provider) -> None:
    made = provider.create(BUCKET, SETTINGS)
    fewer = {name: value for name, value in SETTINGS.items() if name not in ("lifecycleRules", "labels")}
    assert provider.changes(made, fewer)
    changed = provider.update(made, fewer)
    told = provider.ask(f"{provider.storage}/storage/v1/b/{made.id}")
    assert "lifecycle" not in told
    assert told["labels"] == {"goog-pulumi-provisioned": "true"}
    provider.delete(changed)


def test_a_bucket_with_objects_goes_only_when_it_is_forced_and_then_with_every_version(provider: Provider) -> None:
    kept = provider.create(BUCKET, SETTINGS)
    for _ in range(2):
        upload = f"{provider.storage}/upload/storage/v1/b/{kept.id}/o?uploadType=media&name=releases/a"
        provider.ask(upload, {"a": 1}, "POST")
    with pytest.raises(Failed, match="contains objects"):
        provider.delete(kept)
    provider.delete(provider.update(kept, {**SETTINGS, "forceDestroy": True}))
    assert provider.gone(kept)


def test_an_endpoint_tells_its_address_and_is_refused_under_a_name_that_is_taken(provider: Provider) -> None:
    made = provider.create(ENDPOINT, {**SHARED, "dedicatedEndpointEnabled": True})
    assert made.state["dedicatedEndpointDns"].startswith(f"1234567890.{REGION}-")
    assert made.state["deployedModels"] == []
    assert made.state["location"] == REGION
    with pytest.raises(Failed, match="already exists"):
        provider.create(ENDPOINT, SHARED)
    provider.delete(made)


def test_an_endpoint_changed_by_hand_is_put_right(provider: Provider) -> None:
    made = provider.create(ENDPOINT, SHARED)
    provider.ask(f"{provider.vertex}/v1/{made.id}?updateMask=displayName", {"displayName": "by hand"}, method="PATCH")
    read = provider.refresh(made)
    assert read is not None
    assert read.inputs["displayName"] == "by hand"
    assert provider.changes(read, SHARED) == {"displayName": "UPDATE"}
    provider.delete(provider.update(read, SHARED))


def test_an_endpoints_import_id_of_the_wrong_form_is_refused_with_the_right_one(provider: Provider) -> None:
    with pytest.raises(Failed, match="expected projects/<project>/locations/<location>/endpoints/<name>"):
        provider.imported(f"urn:pulumi:s::p::{ENDPOINT}::thing", "1234567890")


def test_a_wrong_property_is_refused_with_what_would_be_right(provider: Provider) -> None:
    urn = f"urn:pulumi:s::p::{BUCKET}::thing"
    request = provider_pb2.CheckRequest(urn=urn)
    request.news.update({"locatoin": REGION, "autoclass": {"enabled": True}})
    failures = {failure.property: failure.reason for failure in provider.call("Check", request).failures}
    assert "did you mean location?" in failures["locatoin"]
    assert "is not supported here" in failures["autoclass"]


def test_a_type_that_is_not_served_is_refused_by_name(provider: Provider) -> None:
    with pytest.raises(Failed, match="gcp:sql/instance:Instance is not supported here"):
        provider.create("gcp:sql/instance:Instance", {})


def test_the_storage_agent_is_told(provider: Provider) -> None:
    request = provider_pb2.InvokeRequest(tok="gcp:storage/getProjectServiceAccount:getProjectServiceAccount")
    answer = getattr(provider.call("Invoke", request), "return")
    assert answer["member"].endswith("@gs-project-accounts.iam.gserviceaccount.com")
