"""The emulated aws provider, a process of its own, against the real emulators: every type's whole life."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from cohost.local.aws_provider.registry import RESOURCES
from cohost.local.bridge.checks import DEFAULTS
from cohost.local.bridge.wire import to_dict, to_struct
from cohost.provider.protocol import provider_pb2
from tests.local.aws_provider_lives import CONFIG, ENDPOINT, LIVES, VARIANT, Ground, endpoint, model, policy, trust
from tests.local.aws_provider_process import Provider, running
from tests.local.cloud import REGION
from tests.local.provider_calls import Failed, Recorded


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with running(tmp_path_factory.mktemp("state")) as started:
        yield started


@pytest.fixture(scope="module")
def ground(provider: Provider) -> Ground:
    key = provider.create("aws:kms/key:Key", {})
    bucket = provider.create("aws:s3/bucket:Bucket", {})
    role = provider.create("aws:iam/role:Role", {"assumeRolePolicy": trust("sagemaker.amazonaws.com")})
    allowed = {"role": role.id, "policy": policy("s3:*", "cloudwatch:*", "logs:*")}
    provider.create("aws:iam/rolePolicy:RolePolicy", allowed)
    made = provider.create("aws:sagemaker/model:Model", model(role.state["arn"], bucket.id))
    variants = {"productionVariants": [{**VARIANT, "modelName": made.id}]}
    configs = [provider.create(CONFIG, {"namePrefix": "ground-", **variants}).id for _ in range(2)]
    return Ground(key.state["arn"], bucket.id, role.id, role.state["arn"], made.id, *configs)


def test_every_type_lives_through_its_life_here() -> None:
    assert set(LIVES) == set(RESOURCES)


@pytest.mark.parametrize("token", LIVES)
def test_a_resource_is_what_it_was_asked_to_be_from_creation_to_deletion(
    provider: Provider, ground: Ground, token: str
) -> None:
    life = LIVES[token](ground)
    made = provider.create(token, life.inputs)
    assert made.id
    assert_holds(made.state, life.inputs)
    assert_settled(provider, made, life.inputs)

    changes = provider.changes(made, life.news)
    assert set(changes) == life.changed
    assert not any("REPLACE" in kind for kind in changes.values())
    changed = provider.update(made, life.news)
    assert_settled(provider, changed, life.news)

    imported = provider.imported(made.urn, life.import_id(made.id))
    assert imported is not None
    assert imported.id == made.id
    named = {**life.news, **given_name(token, imported)}
    assert set(provider.changes(imported, named)) == life.unreadable

    provider.delete(changed)
    assert life.outlives or provider.refresh(changed) is None
    provider.delete(changed)


def assert_holds(there: Any, wanted: Any) -> None:
    """What was wanted is there; the cloud may have filled in more."""
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            assert name in there
            assert_holds(there[name], value)
    elif isinstance(wanted, list):
        assert len(there) == len(wanted)
        for item, value in zip(there, wanted, strict=True):
            assert_holds(item, value)
    else:
        assert there == wanted


def assert_settled(provider: Provider, known: Recorded, inputs: dict[str, Any]) -> None:
    """Neither a preview nor a refresh finds anything to do or to say."""
    assert provider.changes(known, inputs) == {}
    refreshed = provider.refresh(known)
    assert refreshed is not None
    assert refreshed.state == known.state
    assert {**refreshed.inputs, DEFAULTS: refreshed.inputs.get(DEFAULTS, [])} == known.inputs
    assert provider.changes(refreshed, inputs) == {}


def given_name(token: str, known: Recorded) -> dict[str, Any]:
    """What a program must say of an imported resource's name, where it gives no prefix."""
    name = RESOURCES[token].name
    if name is None or known.state.get(name.prefix):
        return {}
    return {name.property: known.state[name.property]}


def test_a_first_endpoint_that_fails_is_left_behind_and_the_engine_told_nothing(
    provider: Provider, ground: Ground
) -> None:
    provider.limit({"capacity": {VARIANT["instanceType"]: 0}})
    with pytest.raises(Failed, match="unexpected state 'Failed', wanted target 'InService'") as failed:
        provider.create(ENDPOINT, endpoint("failing", ground.config))
    provider.limit({})
    sagemaker = provider.cloud.client("sagemaker")
    told = sagemaker.describe_endpoint(EndpointName="failing")
    assert failed.value.left is None
    assert told["EndpointStatus"] == "Failed"
    assert told["FailureReason"] in str(failed.value)
    with pytest.raises(Failed, match="already existing endpoint"):
        provider.create(ENDPOINT, endpoint("failing", ground.config))
    sagemaker.delete_endpoint(EndpointName="failing")


def test_an_update_that_sagemaker_takes_back_counts_as_done_and_shows_next_time(
    provider: Provider, ground: Ground
) -> None:
    made = provider.create(ENDPOINT, endpoint("rolling", ground.config))
    wanted = endpoint("rolling", ground.other_config)
    provider.limit({"capacity": {VARIANT["instanceType"]: 1}})
    updated = provider.update(made, wanted)
    provider.limit({})
    assert updated.state["endpointConfigName"] == ground.config
    assert provider.changes(updated, wanted) == {"endpointConfigName": "UPDATE"}
    assert provider.update(updated, wanted).state["endpointConfigName"] == ground.other_config
    provider.delete(updated)


def test_a_refused_update_is_recorded_as_if_it_were_done_until_the_next_read(
    provider: Provider, ground: Ground
) -> None:
    made = provider.create(ENDPOINT, endpoint("refused", ground.config))
    wanted = endpoint("refused", ground.other_config)
    provider.limit({"quota": {VARIANT["instanceType"]: 1}})
    with pytest.raises(Failed, match="ResourceLimitExceeded") as failed:
        provider.update(made, wanted)
    provider.limit({})
    left = failed.value.left
    assert left.id == made.id
    assert left.reasons
    recorded = Recorded(made.urn, left.id, to_dict(left.inputs), to_dict(left.properties))
    assert recorded.state["endpointConfigName"] == ground.other_config
    # The engine now asks for an update without a change: nothing is sent, and what is read is the old one.
    assert provider.update(recorded, wanted).state["endpointConfigName"] == ground.config
    provider.delete(made)


def test_what_was_created_but_not_completed_is_known_to_the_engine(provider: Provider) -> None:
    with pytest.raises(Failed) as failed:
        provider.create("aws:s3/bucket:Bucket", {"bucket": "half-made", "tags": {"aws:reserved": "1"}})
    left = failed.value.left
    assert left.id == "half-made"
    assert to_dict(left.properties)["arn"] == "arn:aws:s3:::half-made"
    provider.delete(Recorded("urn:pulumi:s::p::aws:s3/bucket:Bucket::thing", left.id, {}, to_dict(left.properties)))
    assert "half-made" not in [bucket["Name"] for bucket in provider.cloud.client("s3").list_buckets()["Buckets"]]


def test_a_model_waits_for_its_role_to_be_known(provider: Provider, ground: Ground) -> None:
    iam = provider.cloud.client("iam")
    late = model(ground.role_arn.replace(ground.role, "late"), ground.bucket)

    def come() -> None:
        iam.create_role(RoleName="late", AssumeRolePolicyDocument=trust("sagemaker.amazonaws.com"))
        iam.put_role_policy(RoleName="late", PolicyName="s3", PolicyDocument=policy("s3:ListBucket"))

    timer = threading.Timer(0.5, come)
    timer.start()
    made = provider.create("aws:sagemaker/model:Model", late)
    timer.join()
    provider.delete(made)


def test_a_bucket_that_holds_something_is_deleted_only_by_force(provider: Provider) -> None:
    made = provider.create("aws:s3/bucket:Bucket", {})
    s3 = provider.cloud.client("s3")
    s3.put_bucket_versioning(Bucket=made.id, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=made.id, Key="key", Body=body)
    s3.delete_object(Bucket=made.id, Key="key")
    with pytest.raises(Failed, match="BucketNotEmpty"):
        provider.delete(made)
    forced = provider.update(made, {"forceDestroy": True})
    provider.delete(forced)
    assert provider.refresh(forced) is None


def test_a_preview_creates_nothing(provider: Provider) -> None:
    planned = provider.create("aws:s3/bucket:Bucket", {"bucket": "only-planned"}, preview=True)
    assert planned.id == ""
    assert planned.state["bucket"] == "only-planned"
    assert "only-planned" not in [bucket["Name"] for bucket in provider.cloud.client("s3").list_buckets()["Buckets"]]


def test_a_resource_lives_in_the_region_it_names(provider: Provider) -> None:
    made = provider.create("aws:cloudwatch/logGroup:LogGroup", {"name": "elsewhere", "region": "eu-west-2"})
    assert made.state["region"] == "eu-west-2"
    assert ":eu-west-2:" in made.state["arn"]
    assert_settled(provider, made, {"name": "elsewhere", "region": "eu-west-2"})
    provider.delete(made)


def test_a_program_learns_who_and_where_it_is(provider: Provider) -> None:
    def invoke(function: str) -> dict[str, Any]:
        request = provider_pb2.InvokeRequest(tok=f"aws:index/{function}:{function}", args=to_struct({}))
        return to_dict(getattr(provider.call("Invoke", request), "return"))

    assert invoke("getCallerIdentity")["arn"].endswith(":user/deployer")
    assert invoke("getPartition")["partition"] == "aws"
    assert invoke("getRegion")["region"] == REGION


def test_a_type_that_is_not_served_is_refused_with_those_that_are(provider: Provider) -> None:
    with pytest.raises(Failed, match="aws:sns/topic:Topic is not supported here") as failed:
        provider.create("aws:sns/topic:Topic", {})
    assert failed.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert ENDPOINT in str(failed.value)
