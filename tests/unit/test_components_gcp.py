from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pulumi.errors import InputPropertiesError

from cohost import tokens
from cohost.gcp_settings import Access, Canary, Encryption, Endpoint, GcpSettings, Machine, Verify
from components.gcp import (
    Apis,
    ApisArgs,
    ArtifactStore,
    ArtifactStoreArgs,
    CallerRole,
    CallerRoleArgs,
    DeployerRole,
    DeployerRoleArgs,
    ServiceIdentity,
    ServiceIdentityArgs,
    ServingAccount,
    ServingAccountArgs,
    SharedEndpoint,
    SharedEndpointArgs,
    Stack,
)
from tests.unit.mocks import Recording
from tests.unit.mocks_gcp import IMAGE, PROJECT, REGION, run

pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")

KEY = "projects/keys/locations/us-central1/keyRings/ring/cryptoKeys/key"
ELSEWHERE = IMAGE.replace(REGION, "us-central1")
EVERYONE = Access(members=("allUsers",))


def stack(**changes: Any) -> Stack:
    values = {"platform": "gcp", "project": PROJECT, "region": REGION, "image": IMAGE, **changes}
    return Stack.current(GcpSettings.model_validate(values))


def store(here: Stack, apis: Apis) -> ArtifactStore:
    return ArtifactStore("store", ArtifactStoreArgs(stack=here, apis=apis))


def endpoint(here: Stack, apis: Apis, models: ArtifactStore, **changes: Any) -> SharedEndpoint:
    digests = {"digits": "0" * 64}
    args: dict[str, Any] = {
        "stack": here,
        "store": models,
        "artifacts": models.publish("catalog.yaml", digests),
        "identity": ServiceIdentity("identity", ServiceIdentityArgs(stack=here, apis=apis, reads=models, image=IMAGE)),
        "account": ServingAccount("account", ServingAccountArgs(stack=here, apis=apis, used_by=["user:a@b.c"])),
        "image": IMAGE,
        "digests": digests,
        "labels": {"digits": {"owner": "vision"}},
        **changes,
    }
    return SharedEndpoint("endpoint", SharedEndpointArgs(**args))


def faults(program: Callable[[], object]) -> tuple[Mapping[str, str], Recording]:
    """Property paths and reasons of the refusal that a program ends with, and what it has registered before."""
    tried = Recording()
    with pytest.raises(InputPropertiesError) as raised:
        run(program, into=tried)
    errors = raised.value.errors or []
    return {error["property_path"]: error["reason"] for error in errors}, tried


def test_a_bad_store_is_refused_whole_before_anything_of_it_is_registered() -> None:
    def program() -> None:
        args = ArtifactStoreArgs(
            stack=stack(production=True),
            apis=Apis("apis", ApisArgs()),
            encryption=Encryption(kms_key=KEY),
            force_destroy=True,
        )
        ArtifactStore("store", args)

    found, tried = faults(program)
    assert set(found) == {"encryption.kmsKey", "forceDestroy"}
    assert tried.of(tokens.GCP_ARTIFACT_STORE) == []


def test_an_identity_for_an_image_or_a_key_of_another_region_is_refused() -> None:
    def program() -> None:
        here, apis = stack(), Apis("apis", ApisArgs())
        args = ServiceIdentityArgs(
            stack=here, apis=apis, reads=store(here, apis), image=ELSEWHERE, encryption=Encryption(kms_key=KEY)
        )
        ServiceIdentity("identity", args)

    found, tried = faults(program)
    assert set(found) == {"image", "encryption.kmsKey"}
    assert tried.of(tokens.GCP_SERVICE_IDENTITY) == []


def test_a_bad_endpoint_is_refused_whole_before_anything_of_it_is_registered() -> None:
    def program() -> None:
        here, apis = stack(), Apis("apis", ApisArgs())
        endpoint(
            here,
            apis,
            store(here, apis),
            image=ELSEWHERE,
            machine=Machine(type="e2-medium", min_replicas=3, max_replicas=2, cpu_percent=50),
            endpoint=Endpoint(kind="psc"),
            encryption=Encryption(kms_key=KEY),
            update="replace",
            canary=Canary(weight=1, stable="0" * 64),
        )

    found, tried = faults(program)
    assert set(found) == {
        *("image", "machine.type", "machine.maxReplicas", "machine.cpuPercent"),
        *("endpoint.allowedProjects", "endpoint.address", "encryption.kmsKey", "canary"),
    }
    assert tried.of(tokens.GCP_SHARED_ENDPOINT) == []


@pytest.mark.parametrize("role", [tokens.GCP_CALLER_ROLE, tokens.GCP_DEPLOYER_ROLE])
def test_a_role_for_everyone_is_refused(role: str) -> None:
    def program() -> None:
        here, apis = stack(), Apis("apis", ApisArgs())
        models = store(here, apis)
        if role == tokens.GCP_DEPLOYER_ROLE:
            DeployerRole("role", DeployerRoleArgs(stack=here, apis=apis, store=models, access=EVERYONE))
        else:
            shared = endpoint(here, apis, models)
            CallerRole("role", CallerRoleArgs(stack=here, apis=apis, store=models, endpoint=shared, access=EVERYONE))

    found, tried = faults(program)
    assert set(found) == {"access.members[0]"}
    assert tried.of(role) == []


def test_a_refusal_says_every_fault_in_its_message_too() -> None:
    def program() -> None:
        args = ArtifactStoreArgs(
            stack=stack(production=True),
            apis=Apis("apis", ApisArgs()),
            encryption=Encryption(kms_key=KEY),
            force_destroy=True,
        )
        ArtifactStore("store", args)

    with pytest.raises(InputPropertiesError, match=r"^store: encryption.kmsKey: is a key in us-central1.*forceDestroy"):
        run(program)


def test_every_resource_of_a_component_is_its_child() -> None:
    def program() -> None:
        here, apis = stack(), Apis("apis", ApisArgs())
        models = store(here, apis)
        shared = endpoint(here, apis, models)
        shared.activate("catalog.yaml", Verify())
        access = Access(members=("user:a@b.c",))
        CallerRole("caller", CallerRoleArgs(stack=here, apis=apis, store=models, endpoint=shared, access=access))
        DeployerRole("deployer", DeployerRoleArgs(stack=here, apis=apis, store=models, access=access))

    found = run(program)
    components = {resource.name for resource in found.resources.values() if not resource.custom} - {
        "shared-endpoint-dev"
    }
    assert components == {"apis", "store", "identity", "account", "endpoint", "caller", "deployer"}
    assert {resource.parent for resource in found.custom} <= components
    assert {resource.parent for resource in found.custom} == components


@pytest.mark.parametrize(
    ("name", "limit", "separator", "expected"),
    [
        ("serving", 30, "-", "cohost-dev-serving"),
        ("caller", 64, "_", "cohost_dev_caller"),
    ],
)
def test_a_fixed_name_is_the_stacks_prefix_and_what_it_is(name: str, limit: int, separator: str, expected: str) -> None:
    made: list[str] = []
    run(lambda: made.append(stack().fixed(name, limit=limit, separator=separator)))
    assert made == [expected]


def test_a_fixed_name_too_long_ends_in_what_tells_it_from_others() -> None:
    made: list[str] = []
    run(lambda: made.extend(stack().fixed(name, limit=20) for name in ("a" * 40, "a" * 41)))
    assert len(set(made)) == 2
    assert all(len(name) == 20 for name in made)


def test_an_owners_label_holds_only_what_google_takes() -> None:
    made: list[str] = []
    run(lambda: made.append(stack().labels["cohost-stack"]), stack="Team.A")
    assert made == ["shared-endpoint_team-a"]
