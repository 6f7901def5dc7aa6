from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pulumi_gcp as gcp
import pytest
import yaml
from pulumi.output import Unknown

from cohost import catalog, tokens
from cohost.provider.vertex import probes
from tests.unit.mocks import ROOT, Recording, Registered
from tests.unit.mocks_gcp import AGENT, IMAGE, PROJECT, REGION, STORAGE_AGENT, run_main

BUCKET = "gcp:storage/bucket:Bucket"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
SERVICE = "gcp:projects/service:Service"
ACCOUNT = "gcp:serviceaccount/account:Account"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
KEY_MEMBER = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
REPOSITORY_MEMBER = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"

KEY = f"projects/keys/locations/{REGION}/keyRings/ring/cryptoKeys/key"
# pulumi_gcp imports its own deprecated functions.
pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")

STABLE = "1b" * 32
PSC = {"kind": "psc", "allowedProjects": ["other-project"], "address": "http://10.128.0.5"}


@pytest.fixture(scope="module")
def default() -> Recording:
    return run_main()


def test_the_default_stack_is_these_resources(default: Recording) -> None:
    assert sorted(f"{resource.type} {resource.name}" for resource in default.custom) == sorted(
        [
            *(f"{SERVICE} {api}" for api in ("aiplatform", "artifactregistry", "iam", "storage")),
            f"{BUCKET} cohost-dev-models",
            f"{tokens.ARTIFACT_SET} models",
            "gcp:projects/serviceIdentity:ServiceIdentity vertex",
            f"{BUCKET_MEMBER} vertex-reads",
            f"{ACCOUNT} serving",
            f"{PROJECT_MEMBER} serving-logs",
            f"{tokens.VERTEX_MODEL_SET} shared",
            f"{tokens.VERTEX_MODEL} shared",
            f"{ENDPOINT} shared",
            f"{tokens.VERTEX_ENDPOINT_DRAIN} shared",
            f"{tokens.VERTEX_DEPLOYED_MODEL} shared-{default.outputs['release'][:12]}",
            f"{tokens.VERTEX_ACTIVE_RELEASE} shared",
            *(f"{ROLE} {name}" for name in ("caller", "caller-releases")),
            *(f"{ROLE} deployer-{part}" for part in ("activate", "endpoint", "store")),
        ]
    )


def test_a_first_preview_declares_what_an_up_does_and_knows_each_model_and_the_endpoint(default: Recording) -> None:
    preview = run_main(preview=True)
    assert set(preview.resources) == set(default.resources)
    for type_ in (tokens.ARTIFACT_SET, tokens.VERTEX_MODEL_SET, tokens.VERTEX_ACTIVE_RELEASE):
        assert preview.one(type_).inputs["models"] == default.one(type_).inputs["models"]
    assert isinstance(preview.one(tokens.ARTIFACT_SET).inputs["store"], Unknown)
    assert isinstance(preview.one(tokens.VERTEX_DEPLOYED_MODEL).inputs["model"], Unknown)
    assert preview.outputs["endpoint"] == default.outputs["endpoint"]
    assert preview.outputs["release"] == default.outputs["release"]


def test_the_outputs_are_what_clients_and_administrators_need(default: Recording) -> None:
    number = default.one(ENDPOINT).inputs["name"]
    assert default.outputs == {
        "platform": "gcp",
        "region": REGION,
        "endpoint": f"projects/{PROJECT}/locations/{REGION}/endpoints/{number}",
        "store": "gs://cohost-dev-models-1a2b3c4",
        "release": default.one(tokens.VERTEX_ACTIVE_RELEASE).inputs["release"],
        "callerRoles": [f"projects/{PROJECT}/roles/cohost_dev_{name}" for name in ("caller", "caller_releases")],
        "deployerRoles": [
            f"projects/{PROJECT}/roles/cohost_dev_deployer_{part}" for part in ("endpoint", "store", "activate")
        ],
    }


def test_the_bucket_is_private_versioned_and_never_forgets_a_live_object(default: Recording) -> None:
    inputs = default.one(BUCKET).inputs
    assert inputs["uniformBucketLevelAccess"] is True
    assert inputs["publicAccessPrevention"] == "enforced"
    assert inputs["versioning"] == {"enabled": True}
    assert inputs["softDeletePolicy"]["retentionDurationSeconds"] > 0
    assert inputs["location"] == REGION.upper()
    assert "encryption" not in inputs
    deleting = [rule for rule in inputs["lifecycleRules"] if rule["action"]["type"] == "Delete"]
    assert [rule["condition"]["withState"] for rule in deleting] == ["ARCHIVED"] * len(deleting)
    assert [rule["condition"]["matchesPrefixes"] for rule in deleting] == [["releases/"], ["repositories/"]]


def test_every_api_is_on_before_anything_else_and_stays_on(default: Recording) -> None:
    services = default.of(SERVICE)
    assert all(service.inputs["disableOnDestroy"] is False for service in services)
    on = {service.urn for service in services}
    for resource in default.custom:
        if resource.type != SERVICE:
            assert on <= default.after(resource), resource.urn


def test_vertex_ai_may_read_the_bucket_before_a_model_is_made_and_until_the_last_is_gone(default: Recording) -> None:
    grant = default.one(BUCKET_MEMBER)
    assert grant.inputs["role"] == "roles/storage.objectViewer"
    assert grant.inputs["member"] == AGENT
    for type_ in (tokens.VERTEX_MODEL, tokens.VERTEX_MODEL_SET, tokens.VERTEX_DEPLOYED_MODEL):
        assert {grant.urn, default.one(tokens.ARTIFACT_SET).urn} <= default.after(default.one(type_))


def test_the_containers_run_as_an_account_that_may_only_write_logs(default: Recording) -> None:
    account, grant = default.one(ACCOUNT), default.one(PROJECT_MEMBER)
    assert grant.inputs["role"] == "roles/logging.logWriter"
    deployed = default.one(tokens.VERTEX_DEPLOYED_MODEL)
    assert deployed.inputs["serviceAccount"] == f"cohost-dev-serving@{PROJECT}.iam.gserviceaccount.com"
    assert {account.urn, grant.urn} <= default.after(deployed)


def test_the_model_is_the_releases_repository_with_strict_start(default: Recording) -> None:
    model, release = default.one(tokens.VERTEX_MODEL).inputs, default.outputs["release"]
    assert model["artifactUri"] == f"{default.outputs['store']}/repositories/{release}"
    assert model["modelId"] == default.one(tokens.VERTEX_MODEL_SET).inputs["prefix"] == "cohost-dev"
    assert model["aliases"] == [f"release-{release[:32]}"]
    assert model["image"] == IMAGE
    assert model["args"][:4] == [
        *("--vertex-ai-default-model=cohost-canary", "--exit-on-error=true", "--strict-readiness=true"),
        "--model-control-mode=none",
    ]
    assert not [name for name in model["env"] if name.startswith("AIP_")]


def test_nothing_restarts_a_server_that_is_still_loading_within_its_time(default: Recording) -> None:
    model = default.one(tokens.VERTEX_MODEL).inputs
    startup = model["startupProbe"]
    assert list(probes.probe("startupProbe", startup)) == []
    assert startup["httpGet"] == {"path": model["healthRoute"], "port": model["ports"][0]}
    assert startup["periodSeconds"] * startup["failureThreshold"] >= model["deploymentTimeoutS"]


def test_each_model_is_registered_with_its_owner_and_framework(default: Recording) -> None:
    entries = catalog.load(ROOT / "model_artifacts/catalog.yaml").models
    assert default.one(tokens.VERTEX_MODEL_SET).inputs["labels"] == {
        entry.name: {"owner": entry.owner, "framework": entry.tags["framework"]} for entry in entries
    }


def test_the_endpoint_has_a_number_of_its_own_and_no_traffic_split(default: Recording) -> None:
    endpoint = default.one(ENDPOINT)
    assert endpoint.inputs["name"].isdigit()
    assert len(endpoint.inputs["name"]) == 10
    assert endpoint.inputs["name"][0] != "0"
    assert endpoint.inputs["location"] == endpoint.inputs["region"] == REGION
    assert not {"trafficSplit", "dedicatedEndpointEnabled", "privateServiceConnectConfig", "network"} & set(
        endpoint.inputs
    )
    assert endpoint.options["deleteBeforeReplace"] is False
    assert run_main(stack="other").one(ENDPOINT).inputs["name"] != endpoint.inputs["name"]
    assert run_main({"endpoint": {"name": "42"}}).one(ENDPOINT).inputs["name"] == "42"


def test_an_endpoint_that_has_to_be_another_one_has_another_number(default: Recording) -> None:
    here = default.one(ENDPOINT).inputs["name"]
    others = [{"endpoint": {"kind": "dedicated"}}, {"encryption": {"kmsKey": KEY}}]
    others += [{"endpoint": {**PSC, "allowedProjects": allowed}} for allowed in (["other-project"], ["my-project"])]
    names = {run_main(settings).one(ENDPOINT).inputs["name"] for settings in others}
    assert len(names - {here}) == len(others)
    moved = {"endpoint": {**PSC, "address": "http://10.0.0.6", "allowedProjects": ["my-project"]}}
    assert run_main(moved).one(ENDPOINT).inputs["name"] in names
    assert run_main({"endpoint": {"accessLogs": True}, "labels": {"a": "b"}}).one(ENDPOINT).inputs["name"] == here


def test_the_kinds_of_endpoint() -> None:
    dedicated = run_main({"endpoint": {"kind": "dedicated"}})
    assert dedicated.one(ENDPOINT).inputs["dedicatedEndpointEnabled"] is True
    number = dedicated.one(ENDPOINT).inputs["name"]
    assert dedicated.outputs["dns"] == f"{number}.{REGION}-123456789012.prediction.vertexai.goog"
    assert "address" not in dedicated.one(tokens.VERTEX_ACTIVE_RELEASE).inputs
    psc = run_main({"endpoint": PSC})
    assert psc.one(tokens.VERTEX_ACTIVE_RELEASE).inputs["address"] == psc.outputs["address"] == PSC["address"]
    assert psc.one(ENDPOINT).inputs["privateServiceConnectConfig"] == {
        "enablePrivateServiceConnect": True,
        "projectAllowlists": ["other-project"],
    }


def test_on_destroy_what_is_deployed_goes_first_then_strays_then_models_and_endpoint(default: Recording) -> None:
    release, deployed, drain, endpoint, model, models = (
        default.one(type_)
        for type_ in (
            tokens.VERTEX_ACTIVE_RELEASE,
            tokens.VERTEX_DEPLOYED_MODEL,
            tokens.VERTEX_ENDPOINT_DRAIN,
            ENDPOINT,
            tokens.VERTEX_MODEL,
            tokens.VERTEX_MODEL_SET,
        )
    )
    assert deployed.urn in default.after(release)
    assert drain.urn in default.after(deployed)
    assert {endpoint.urn, model.urn, models.urn} <= default.after(drain)


def test_what_runs_is_what_the_fleet_says() -> None:
    machine = {
        **{"type": "n1-standard-8", "accelerator": "NVIDIA_TESLA_T4", "acceleratorCount": 2, "spot": True},
        **{"minReplicas": 2, "maxReplicas": 4, "gpuPercent": 70},
    }
    settings = {"machine": machine, "endpoint": {"accessLogs": True, "containerLogs": False}}
    inputs = run_main(settings).one(tokens.VERTEX_DEPLOYED_MODEL).inputs
    assert {name: inputs[name] for name in ("machineType", "acceleratorType", "acceleratorCount", "spot")} == {
        "machineType": "n1-standard-8",
        "acceleratorType": "NVIDIA_TESLA_T4",
        "acceleratorCount": 2,
        "spot": True,
    }
    assert (inputs["minReplicas"], inputs["maxReplicas"]) == (2, 4)
    metric = "aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle"
    assert inputs["autoscalingTargets"] == {metric: 70}
    assert (inputs["disableContainerLogging"], inputs["enableAccessLogging"]) == (True, True)


def test_a_new_release_is_deployed_beside_the_old_one_or_after_it_as_update_says(default: Recording) -> None:
    surge = default.one(tokens.VERTEX_DEPLOYED_MODEL)
    assert surge.name == f"shared-{default.outputs['release'][:12]}"
    assert (surge.inputs["update"], surge.options["deleteBeforeReplace"]) == ("surge", False)
    replace = run_main({"update": "replace"}).one(tokens.VERTEX_DEPLOYED_MODEL)
    assert replace.name == "shared"
    assert (replace.inputs["update"], replace.options["deleteBeforeReplace"]) == ("replace", False), (
        "the plugin undeploys the old one, and can bring it back"
    )


def test_a_canary_keeps_the_stable_release_as_it_was_deployed() -> None:
    stack = run_main({"canary": {"weight": 10, "stable": STABLE}})
    stable = stack.one(tokens.VERTEX_DEPLOYED_MODEL, f"shared-{STABLE[:12]}")
    fresh = stack.one(tokens.VERTEX_DEPLOYED_MODEL, f"shared-{stack.outputs['release'][:12]}")
    assert stable.options["ignoreChanges"] == ["model"]
    assert stable.inputs["model"].endswith(f"/models/cohost-dev@release-{STABLE[:32]}")
    assert "ignoreChanges" not in fresh.options
    assert fresh.inputs["model"].endswith("@1")
    release = stack.one(tokens.VERTEX_ACTIVE_RELEASE)
    assert release.inputs["canary"] == {
        "weight": 10,
        "stableDeployedModel": "1234567890",
        "stableRelease": STABLE,
    }
    assert {stable.urn, fresh.urn} <= stack.after(release)


def test_a_stable_release_that_is_the_new_one_is_no_canary(default: Recording) -> None:
    stack = run_main({"canary": {"weight": 10, "stable": default.outputs["release"]}})
    assert len(stack.of(tokens.VERTEX_DEPLOYED_MODEL)) == 1
    assert "canary" not in stack.one(tokens.VERTEX_ACTIVE_RELEASE).inputs


def test_the_release_is_looked_at_as_the_settings_say(default: Recording) -> None:
    inputs = default.one(tokens.VERTEX_ACTIVE_RELEASE).inputs
    assert (inputs["gpu"], inputs["probePercent"], "canary" in inputs) == (True, 5, False)
    other = run_main({"verify": {"gpu": False, "probePercent": 1}}).one(tokens.VERTEX_ACTIVE_RELEASE).inputs
    assert (other["gpu"], other["probePercent"]) == (False, 1)


def test_a_given_key_encrypts_everything_and_both_of_googles_agents_may_use_it_before() -> None:
    stack = run_main({"encryption": {"kmsKey": KEY}})
    assert stack.one(BUCKET).inputs["encryption"] == {"defaultKmsKeyName": KEY}
    assert stack.one(ENDPOINT).inputs["encryptionSpec"] == {"kmsKeyName": KEY}
    assert stack.one(tokens.VERTEX_MODEL).inputs["kmsKey"] == KEY
    storage, vertex = (stack.one(KEY_MEMBER, name) for name in ("models-key", "vertex-decrypts"))
    assert storage.inputs["member"] == f"serviceAccount:{STORAGE_AGENT}"
    assert vertex.inputs["member"] == AGENT
    assert storage.urn in stack.after(stack.one(BUCKET))
    for type_ in (ENDPOINT, tokens.VERTEX_MODEL):
        assert vertex.urn in stack.after(stack.one(type_))
    assert "cloudkms" in {service.name for service in stack.of(SERVICE)}


def test_an_image_of_another_project_may_be_pulled_by_vertex_ai() -> None:
    stack = run_main({"image": IMAGE.replace(PROJECT, "images")})
    inputs = stack.one(REPOSITORY_MEMBER).inputs
    assert (inputs["project"], inputs["location"], inputs["repository"]) == ("images", REGION, "serving")
    assert stack.one(REPOSITORY_MEMBER).urn in stack.after(stack.one(tokens.VERTEX_MODEL))


def test_every_resource_that_can_carry_labels_carries_the_owner_and_the_users() -> None:
    stack = run_main({"labels": {"team": "ml"}})
    labelled = [resource for resource in stack.custom if _takes_labels(resource)]
    assert {resource.type for resource in labelled} == {BUCKET, ENDPOINT, tokens.VERTEX_MODEL}
    for resource in labelled:
        wanted = {"team": "ml", "cohost-stack": "shared-endpoint_dev"}
        assert wanted.items() <= resource.inputs["labels"].items(), resource.urn


def _takes_labels(resource: Registered) -> bool:
    if not resource.type.startswith("gcp:"):
        return resource.type == tokens.VERTEX_MODEL
    _, module, name = resource.type.split(":")
    made = getattr(getattr(gcp, module.partition("/")[0]), name)
    return "labels" in inspect.signature(made._internal_init).parameters


def test_production_protects_what_callers_would_miss_and_nothing_else_is_protected(default: Recording) -> None:
    assert [resource.type for resource in default.custom if resource.request.protect] == []
    guarded = run_main({"production": "true"})
    assert {resource.type for resource in guarded.custom if resource.request.protect} == {
        *(BUCKET, ENDPOINT),
        *(tokens.ARTIFACT_SET, tokens.VERTEX_ACTIVE_RELEASE),
    }


def test_fixed_names_tell_the_stack_and_fit_where_they_are_used() -> None:
    long = run_main(stack="Team_A.an-uncommonly-long-name-of-a-stack")
    account = long.one(ACCOUNT).inputs["accountId"]
    # IAM reference: accountId has 6 to 30 characters, roleId 3 to 64; a bucket's name 63, of which Pulumi adds 8.
    assert len(account) <= 30
    assert account.startswith("cohost-team-a-an-uncomm-")
    assert account != run_main(stack="Team_A.an-uncommonly-long-name-of-another").one(ACCOUNT).inputs["accountId"]
    assert all(len(role.inputs["roleId"]) <= 64 and "-" not in role.inputs["roleId"] for role in long.of(ROLE))
    assert len(long.one(BUCKET).name) + 8 <= 63


def test_no_credential_of_the_environment_or_the_configuration_reaches_the_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("GOOGLE_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN"):
        monkeypatch.setenv(name, "a-sentinel")
    stack = run_main()
    assert "a-sentinel" not in str([resource.request for resource in stack.resources.values()])
    assert "a-sentinel" not in str(stack.outputs)


def test_bad_settings_and_a_bad_catalog_are_reported_together_before_anything_is_registered(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text("models:\n  - {name: absent, path: absent, owner: a-team, tags: {}}\n")
    bad: dict[str, Any] = {
        "catalog": str(tmp_path / "catalog.yaml"),
        "machine": {"type": "e2-medium"},
        "machin": {},
    }
    tried = Recording()
    with pytest.raises(pulumi.RunError) as raised:
        run_main(bad, into=tried)
    lines = str(raised.value).splitlines()
    assert [line for line in lines if line.startswith("Pulumi.dev.yaml: shared-endpoint:machin: ")]
    assert [line for line in lines if line.startswith("Pulumi.dev.yaml: shared-endpoint:machine.type: ")]
    assert [line for line in lines if "absent" in line]
    assert tried.custom == []


def test_the_stack_of_the_checkout_is_deployed_as_it_stands() -> None:
    values = yaml.safe_load((ROOT / "Pulumi.gcp.yaml").read_text())["config"]
    config = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    stack = run_main(more=config, stack="gcp")
    names = {model.name for model in catalog.load(ROOT / "model_artifacts/catalog.yaml").models}
    assert set(stack.one(tokens.ARTIFACT_SET).inputs["models"]) == names
    assert stack.one(tokens.VERTEX_DEPLOYED_MODEL).inputs["machineType"] == "g2-standard-8"
    assert stack.one(ENDPOINT).inputs["location"] == values["gcp:region"]


def test_only_the_cloud_of_the_stack_is_imported() -> None:
    code = (
        "import sys; from tests.unit.mocks_gcp import run_main; run_main();"
        "print([name for name in ('pulumi_aws', 'boto3', 'google.cloud.aiplatform', 'google.cloud.aiplatform_v1',"
        " 'google.cloud.storage') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
