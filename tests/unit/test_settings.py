from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel

from cohost import fleet, settings, tokens
from cohost.aws_settings import AwsSettings
from cohost.errors import InputError
from tests.documents import ROOT
from tests.unit.setting_keys import keys, leaves

ARN = "arn:aws:{}:eu-west-1:123456789012:{}"
KEY = ARN.format("kms", "key/0a-1b")
TOPIC = ARN.format("sns", "alerts")
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/triton@sha256:0a"
AMI = "al2023-ami-sagemaker-inference-gpu-4-1"


def configuration(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as the engine hands them over: every one a text, maps and lists as JSON."""
    whole = {"platform": "aws", "aws:region": "eu-west-1", **values}
    return {
        key if ":" in key else f"{tokens.PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in whole.items()
        if value is not None
    }


def parse(**values: Any) -> AwsSettings:
    found = settings.parse(configuration(values), stack="dev")
    assert isinstance(found, AwsSettings)
    return found


def problems(values: Mapping[str, Any]) -> dict[str, str]:
    found = settings.check(configuration(values), stack="dev")
    assert {problem.file for problem in found} <= {"Pulumi.dev.yaml"}
    assert len({problem.key for problem in found}) == len(found), "one line a key"
    return {problem.key: problem.message for problem in found}


def test_platform_and_region_are_enough() -> None:
    found = parse()
    assert found.endpoint_name == "shared-endpoint-dev"
    assert found.variant.instance_type == fleet.default_instance_type()
    assert found.image_uri == "763104351884.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-tritonserver:26.05-py3"
    assert found.ami == AMI
    assert found.vpc is None


# Every key with a value other than its default, as it stands in a file.
GOOD: Mapping[str, Any] = {
    "catalog": "other/catalog.yaml",
    "endpointName": "models",
    "variant": {
        **{"name": "blue", "instanceType": "ml.g4dn.xlarge", "minInstances": 2, "maxInstances": 4},
        "invocationsPerInstance": 90.5,
    },
    "image": {"version": "25.09-py3", "account": "210987654321"},
    "inferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-3-1",
    "encryption": {"kmsKeyArn": KEY},
    "network": {"subnetIds": ["subnet-0a", "subnet-0b"], "securityGroupIds": ["sg-0a"], "isolation": True},
    "rollback": {"enabled": False, "errorRate": 0.5, "bakeSeconds": 0},
    "alarms": {
        **{"enabled": False, "errorRate": 0.1, "latencyMs": 20.5, "cacheHitRatio": 0.9, "unloads": 5},
        "notify": [TOPIC],
    },
    "caller": {"targetModels": ["digits/*"]},
    "verify": {"gpu": False},
    "training": {
        **{"enabled": True, "model": "iris", "floor": 0.5, "instanceType": "ml.m5.xlarge"},
        "image": "210987654321.dkr.ecr.eu-west-1.amazonaws.com/training:1",
    },
    "production": "true",
    "logRetentionDays": "365",
    "tags": {"team": "ml", "cost-center": "7"},
}


def test_every_key_arrives_as_it_was_given() -> None:
    found = parse(**GOOD).model_dump(by_alias=True)
    given_again = {**GOOD, "production": True, "logRetentionDays": 365}
    for path, value in leaves(given_again):
        arrived: Any = found
        for part in path.split("."):
            arrived = arrived[part]
        assert (list(arrived) if isinstance(arrived, tuple) else arrived) == value, path
    assert parse(forceDestroy="true").force_destroy is True
    assert parse(image={"uri": IMAGE}, inferenceAmiVersion=AMI).image_uri == IMAGE


def test_the_good_values_leave_out_no_key() -> None:
    elsewhere = {"platform", "region", "forceDestroy", "image.uri"}
    assert {path for path, _ in keys(AwsSettings)} - elsewhere == {
        path if not path.startswith("tags.") else "tags" for path, _ in leaves(GOOD)
    }


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ({"platform": None}, "platform", 'this release knows "aws"'),
        ({"platform": "azure"}, "platform", "is not a platform"),
        ({"aws:region": None}, "aws:region", "pulumi config set aws:region"),
        ({"aws:region": "Ireland"}, "aws:region", "is not a region"),
        ({"aws:region": "eu-wset-1"}, "image.account", "did you mean the region eu-west-1?"),
        ({"aws:region": "cn-north-1"}, "image.account", "give it, or image.uri"),
        ({"region": "eu-west-1"}, "region", "the region is aws:region"),
        ({"catalog": ""}, "catalog", "is not a file's path"),
        ({"catalog": "a\0b"}, "catalog", "is not a file's path"),
        ({"endpointName": "Models"}, "endpointName", "lower-case letters"),
        ({"endpointName": "m" * 49}, "endpointName", "48 at most"),
        ({"variant": "ml.g5.xlarge"}, "variant", "must be a map of settings, not"),
        ({"variant": ["x"]}, "variant", "must be a map of settings, not"),
        ({"variant": {"name": "a_b"}}, "variant.name", "is not a name"),
        ({"variant": {"instanceType": "ml.p3.2xlarge"}}, "variant.instanceType", "Volta"),
        ({"variant": {"instanceType": "ml.g5.xlarg"}}, "variant.instanceType", "did you mean ml.g5.xlarge?"),
        ({"variant": {"minInstances": 0}}, "variant.minInstances", "greater than or equal to 1, not 0"),
        ({"variant": {"minInstances": 3, "maxInstances": 2}}, "variant.maxInstances", "fewer than minInstances"),
        ({"variant": {"maxInstances": 101}}, "variant.maxInstances", "less than or equal to 100"),
        ({"variant": {"maxInstances": 2}}, "variant.invocationsPerInstance", "is missing"),
        ({"variant": {"invocationsPerInstance": 0}}, "variant.invocationsPerInstance", "greater than 0"),
        ({"variant": {"instance_type": "ml.g5.xlarge"}}, "variant.instance_type", "did you mean instanceType?"),
        ({"variant": {"size": 1}}, "variant.size", "these are: instanceType, "),
        ({"image": {"version": "1.0"}}, "image.version", "is not known (26.05-py3"),
        ({"image": {"account": "123"}}, "image.account", "12 digits"),
        ({"image": {"uri": "triton:1"}, "inferenceAmiVersion": AMI}, "image.uri", "with a tag or digest"),
        ({"image": {"uri": "docker.io/triton:1"}, "inferenceAmiVersion": AMI}, "image.uri", "Amazon ECR"),
        (
            {"image": {"uri": IMAGE.replace("eu-west-1", "us-east-1")}, "inferenceAmiVersion": AMI},
            *("image.uri", "us-east-1"),
        ),
        ({"image": {"uri": IMAGE}}, "inferenceAmiVersion", "image.uri needs it"),
        (
            {"image": {"uri": IMAGE, "version": "26.05-py3"}, "inferenceAmiVersion": AMI},
            *("image.version", "remove one of them"),
        ),
        ({"inferenceAmiVersion": "ami-0a"}, "inferenceAmiVersion", AMI),
        ({"encryption": {"kmsKeyArn": ARN.format("kms", "alias/a")}}, "encryption.kmsKeyArn", "not of an alias"),
        (
            {"encryption": {"kmsKeyArn": KEY.replace("eu-west-1", "us-east-1")}},
            *("encryption.kmsKeyArn", "needs one there"),
        ),
        ({"network": {"subnetIds": ["subnet-0a"], "securityGroupIds": ["sg-0a"]}}, "network.subnetIds", "two or more"),
        ({"network": {"subnetIds": ["subnet-0a", "subnet-0b"]}}, "network.securityGroupIds", "is missing"),
        ({"network": {"securityGroupIds": ["sg-0a"]}}, "network.subnetIds", "is missing"),
        ({"network": {"subnetIds": "subnet-0a"}}, "network.subnetIds", "must be a list"),
        ({"network": {"isolation": "perhaps"}}, "network.isolation", "must be true or false"),
        ({"rollback": {"errorRate": 1}}, "rollback.errorRate", "less than 1"),
        ({"rollback": {"bakeSeconds": 1801}}, "rollback.bakeSeconds", "1800"),
        ({"alarms": {"latencyMs": 0}}, "alarms.latencyMs", "greater than 0"),
        ({"alarms": {"latencyMs": float("inf")}}, "alarms.latencyMs", "finite"),
        ({"alarms": {"unloads": "few"}}, "alarms.unloads", 'not "few"'),
        ({"alarms": {"notify": ["alerts"]}}, "alarms.notify[0]", "ARN of an SNS topic"),
        ({"alarms": {"notify": [TOPIC.replace("eu-", "us-")]}}, "alarms.notify[0]", "need one there"),
        ({"alarms": {"notify": [TOPIC] * 6}}, "alarms.notify", "5 at most"),
        ({"caller": {"targetModels": ["a b"]}}, "caller.targetModels[0]", "printable characters"),
        ({"caller": {"targetModels": ["m" * 1000] * 6}}, "caller.targetModels", "common prefix"),
        ({"caller": {"targetModels": ["m"] * 2000}}, "caller.targetModels", "common prefix"),
        ({"verify": {"gpus": True}}, "verify.gpus", "did you mean gpu?"),
        ({"production": "on and off"}, "production", "must be true or false"),
        ({"production": "true", "forceDestroy": "true"}, "forceDestroy", "one of them must be false"),
        ({"logRetentionDays": "31"}, "logRetentionDays", "is not one of CloudWatch's"),
        ({"tags": {"aws:x": "y"}}, "tags.aws:x", "not yours to use"),
        ({"tags": {"Cohost:stack": "y"}}, "tags.Cohost:stack", "not yours to use"),
        ({"tags": {"a": "<b>"}}, "tags.a", "characters that AWS refuses"),
        ({"tags": {"a": 1}}, "tags.a", "not 1"),
        ({"tags": {f"t{index}": "" for index in range(46)}}, "tags", "45 are the most"),
        ({"vairant": {}}, "vairant", "did you mean variant?"),
        ({"zzz": "1"}, "zzz", "these are: alarms, "),
    ],
)
def test_what_is_wrong_with_a_key_is_said_with_what_would_be_right(
    values: Mapping[str, Any], key: str, words: str
) -> None:
    found = problems(values)
    assert list(found) == [key if key.startswith("aws:") else f"{tokens.PROJECT}:{key}"]
    assert words in next(iter(found.values()))


def test_every_problem_is_said_at_once_and_what_a_wrong_value_hides_is_not_guessed() -> None:
    found = problems(
        {
            **{"aws:region": "nowhere", "endpointName": "No", "production": "maybe", "nodel": "x"},
            "variant": {"instanceType": "ml.m5.xlarge", "minInstances": "many", "maxInstances": 3},
            "network": {"subnetIds": ["a", "subnet-0b", 3], "securityGroupIds": ["x", "y"]},
            "alarms": {"notify": ["x", "y"], "errorRate": 2},
        }
    )
    assert {key.removeprefix(f"{tokens.PROJECT}:") for key in found} == {
        *("aws:region", "endpointName", "production", "nodel"),
        *("variant.instanceType", "variant.minInstances", "variant.invocationsPerInstance"),
        *("network.subnetIds[0]", "network.subnetIds[2]", "network.securityGroupIds[0]", "network.securityGroupIds[1]"),
        *("alarms.notify[0]", "alarms.notify[1]", "alarms.errorRate"),
    }


def test_a_stacks_name_that_makes_no_endpoints_name_asks_for_one() -> None:
    (problem,) = settings.check(configuration({}), stack="Team_A")
    assert (problem.file, problem.key) == ("Pulumi.Team_A.yaml", f"{tokens.PROJECT}:endpointName")
    assert settings.check(configuration({"endpointName": "team-a"}), stack="Team_A") == []


def test_keys_of_others_are_theirs() -> None:
    assert problems({"aws:profile": "dev", "cohost:profile": "dev", "pulumi:tags": "{}"}) == {}


def test_a_long_value_is_not_repeated_whole() -> None:
    (message,) = problems({"variant": ["x" * 10_000]}).values()
    assert len(message) < 200


def test_settings_and_catalog_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        settings.prepare(configuration({"variant": {"maxInstances": 0}}), stack="dev", root=tmp_path)
    files = {problem.file for problem in raised.value.problems}
    assert "Pulumi.dev.yaml" in files
    assert len(files) == 2


def _modelkeys(model: type[BaseModel]) -> list[str]:
    return [field.alias or "" for field in model.model_fields.values()]


_TEXTS = st.text(max_size=12) | st.sampled_from(["ml.g5.xlarge", "subnet-0a", "sg-0a", TOPIC, KEY, "true", "26.05-py3"])
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS
_ANY = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3))


def _maps(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Nearly right maps for a part of the settings: its own keys, with anything in them."""
    return st.dictionaries(st.sampled_from(_modelkeys(model)) | _TEXTS, _ANY, max_size=4)


_PARTS = {
    field.alias or "": _maps(field.annotation) | _ANY
    for field in AwsSettings.model_fields.values()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
_OTHERS = {key: _ANY for key in (*_modelkeys(AwsSettings), "", "other", "a.b", "region?") if key not in _PARTS}


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    values=st.fixed_dictionaries({}, optional={**_PARTS, **_OTHERS}), raw=st.dictionaries(_TEXTS, _TEXTS, max_size=3)
)
@example(values={"network": {"subnetIds": ["a", "b"]}}, raw={})
@example(values={"tags": {"": ""}}, raw={})
@example(values={}, raw={f"{tokens.PROJECT}:variant": "[" * 100_000, f"{tokens.PROJECT}:tags": '{"a":' * 100_000})
@example(values={}, raw={f"{tokens.PROJECT}:variant": "9" * 5000, f"{tokens.PROJECT}:tags": "[" * 600 + "]" * 600})
def test_whatever_is_configured_gives_settings_or_problems(values: dict[str, Any], raw: dict[str, str]) -> None:
    config = configuration({**values, "platform": "aws"}) | raw
    found = settings.check(config, stack="dev")
    if found:
        assert all(problem.message and problem.file for problem in found)
        with pytest.raises(InputError):
            settings.parse(config, stack="dev")
    else:
        parsed = settings.parse(config, stack="dev")
        assert isinstance(parsed, AwsSettings)
        assert parsed.image_uri


def test_the_project_file_and_the_settings_have_the_same_default_catalog() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert project["config"]["catalog"]["default"] == AwsSettings.model_fields["catalog"].default
