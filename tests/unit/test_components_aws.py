from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pulumi.errors import InputPropertiesError

from cohost import fleet, tokens
from cohost.aws_settings import AlarmSettings, AwsSettings, Encryption, Network, Rollback, Variant
from components.aws import (
    Alarm,
    Alarms,
    AlarmsArgs,
    ArtifactStore,
    ArtifactStoreArgs,
    CallerPolicy,
    CallerPolicyArgs,
    DeployerPolicy,
    DeployerPolicyArgs,
    ExecutionRole,
    ExecutionRoleArgs,
    MultiModelEndpoint,
    MultiModelEndpointArgs,
    Stack,
    operations,
    rollback,
)
from components.names import prefix
from tests.unit.mocks import REGION, Recording, record

pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")

IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/triton:1"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:alerts"


def stack(**changes: Any) -> Stack:
    values = {"platform": "aws", "region": REGION, "endpointName": "shared", **changes}
    return Stack.current(AwsSettings.model_validate(values))


def alarms(here: Stack, *wanted: Alarm, notify: tuple[str, ...] = ()) -> Alarms:
    return Alarms("alarms", AlarmsArgs(stack=here, variant_name="main", alarms=wanted, notify=notify))


def role(here: Stack, store: ArtifactStore, image: str = IMAGE) -> ExecutionRole:
    return ExecutionRole("role", ExecutionRoleArgs(stack=here, reads=store, image_uri=image, watches=()))


def endpoint(here: Stack, store: ArtifactStore, serving: ExecutionRole, **changes: Any) -> MultiModelEndpoint:
    none = AlarmsArgs(stack=here, variant_name="main", alarms=())
    args: dict[str, Any] = {"image_uri": IMAGE, "ami": fleet.amis()[0], "rollback_alarms": none, **changes}
    return MultiModelEndpoint(
        "endpoint",
        MultiModelEndpointArgs(
            stack=here,
            store=store,
            artifacts=store.publish("catalog.yaml", {"digits": "0" * 64}),
            role=serving,
            **args,
        ),
    )


def faults(program: Callable[[], object]) -> tuple[Mapping[str, str], Recording]:
    """Property paths and reasons of the refusal that a program ends with, and what it has registered before."""
    tried = Recording()
    with pytest.raises(InputPropertiesError) as raised:
        record(program, into=tried)
    errors = raised.value.errors or []
    return {error["property_path"]: error["reason"] for error in errors}, tried


def test_a_bad_store_is_refused_whole_before_anything_is_registered() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/0a"

    def program() -> None:
        args = ArtifactStoreArgs(
            stack=stack(production=True), encryption=Encryption(kms_key_arn=key), force_destroy=True
        )
        ArtifactStore("store", args)

    found, tried = faults(program)
    assert set(found) == {"encryption.kmsKeyArn", "forceDestroy"}
    assert "us-east-1" in found["encryption.kmsKeyArn"]
    assert tried.of(tokens.AWS_ARTIFACT_STORE) == tried.custom == []


def test_bad_alarms_are_refused_whole_before_anything_is_registered() -> None:
    bad = Alarm(name="a", metric="ModelLatency", statistic="Average", threshold=1, description="", enough=4, minutes=0)
    topics = (TOPIC.replace(REGION, "us-east-1"), *[TOPIC] * 5)
    found, tried = faults(lambda: alarms(stack(), *[bad] * 11, notify=topics))
    assert set(found) == {
        *("alarms", "notify", "notify[0]"),
        *(f"alarms[{index}].{name}" for index in range(11) for name in ("enough", "minutes")),
    }
    assert tried.of(tokens.AWS_ALARMS) == tried.custom == []


@pytest.mark.parametrize("image", ["triton:1", IMAGE.replace(REGION, "us-east-1"), IMAGE.removesuffix(":1")])
def test_a_role_for_an_image_that_sagemaker_cannot_pull_is_refused(image: str) -> None:
    def program() -> None:
        here = stack()
        role(here, ArtifactStore("store", ArtifactStoreArgs(stack=here)), image)

    found, tried = faults(program)
    assert set(found) == {"imageUri"}
    assert tried.of(tokens.AWS_EXECUTION_ROLE) == []


def test_a_bad_endpoint_is_refused_whole_before_anything_of_it_is_registered() -> None:
    def program() -> None:
        here = stack()
        store = ArtifactStore("store", ArtifactStoreArgs(stack=here))
        endpoint(
            here,
            store,
            role(here, store),
            variant=Variant(instance_type="ml.p3.2xlarge", min_instances=3, max_instances=2),
            network=Network(subnet_ids=("subnet-0a",)),
            ami="al2023",
            log_retention_days=31,
        )

    found, tried = faults(program)
    assert set(found) == {
        *("variant.instanceType", "variant.maxInstances", "network.subnetIds", "network.securityGroupIds"),
        *("ami", "logRetentionDays"),
    }
    assert tried.of(tokens.AWS_MULTI_MODEL_ENDPOINT) == []


def test_a_caller_policy_of_empty_or_too_many_patterns_is_refused() -> None:
    def program() -> None:
        here = stack()
        store = ArtifactStore("store", ArtifactStoreArgs(stack=here))
        CallerPolicy("caller", CallerPolicyArgs(stack=here, store=store, target_models=["digits/*", " ", "x" * 6000]))

    found, tried = faults(program)
    assert set(found) == {"targetModels", "targetModels[1]"}
    assert tried.of(tokens.AWS_CALLER_POLICY) == []


def test_a_refusal_says_every_fault_in_its_message_too() -> None:
    with pytest.raises(
        InputPropertiesError, match=r"^store: encryption.kmsKeyArn: is a key in us-east-1.*forceDestroy"
    ):
        record(
            lambda: ArtifactStore(
                "store",
                ArtifactStoreArgs(
                    stack=stack(production=True),
                    encryption=Encryption(kms_key_arn="arn:aws:kms:us-east-1:123456789012:key/0a"),
                    force_destroy=True,
                ),
            )
        )


def test_every_resource_of_a_component_is_its_child() -> None:
    def program() -> None:
        here = stack()
        store = ArtifactStore("store", ArtifactStoreArgs(stack=here))
        serving = role(here, store)
        variant = Variant(max_instances=2, invocations_per_instance=60)
        endpoint(here, store, serving, variant=variant).activate("catalog.yaml", {"digits": "0" * 64}, gpu=True)
        CallerPolicy("caller", CallerPolicyArgs(stack=here, store=store))
        DeployerPolicy("deployer", DeployerPolicyArgs(stack=here, store=store, role=serving))

    found = record(program)
    components = {resource.name for resource in found.resources.values() if not resource.custom} - {
        "shared-endpoint-dev"
    }
    assert components == {"store", "role", "rollback", "endpoint", "caller", "deployer"}
    assert {resource.parent for resource in found.custom} <= components


def test_a_switched_off_alarm_is_none() -> None:
    assert rollback(Rollback(enabled=False)) == operations(AlarmSettings(enabled=False)) == ()


def test_thresholds_are_in_the_metrics_own_units() -> None:
    by_metric = {alarm.metric: alarm for alarm in operations(AlarmSettings(latency_ms=250, cache_hit_ratio=0.9))}
    assert by_metric["ModelLatency"].threshold == 250_000, "microseconds"
    assert by_metric["ModelCacheHit"].comparison == "LessThanThreshold"
    assert by_metric["ModelCacheHit"].threshold == 0.9
    assert by_metric["ModelUnloadingTime"].statistic == "SampleCount"


def test_an_alarm_looks_at_the_variant_of_its_endpoint_and_is_quiet_while_nobody_calls() -> None:
    found = record(lambda: alarms(stack(), *operations(AlarmSettings()), notify=(TOPIC,)))
    declared = found.of("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert len(declared) == 5
    for alarm in declared:
        assert alarm.inputs["dimensions"] == {"EndpointName": "shared", "VariantName": "main"}
        assert alarm.inputs["treatMissingData"] == "notBreaching"
        assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"] == [TOPIC]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dev", "cohost-dev"),
        ("Team_A.dev", "cohost-team-a-dev"),
        ("--x--", "cohost-x"),
        ("日本", "cohost"),
        ("a" * 31 + "-b", f"cohost-{'a' * 31}"),
    ],
)
def test_names_of_a_stack_begin_with_what_a_bucket_may_be_called(name: str, expected: str) -> None:
    assert prefix(name) == expected
