"""The pack as the engine runs it: a process that answers over gRPC."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from cohost import tokens
from rules import ALL, types
from rules.rule import Resource
from rules.values import UNKNOWN
from tests.stacks import recorded, rule, set_to

MAIN = Path(__file__).parents[1] / "__main__.py"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "team"}


@pytest.fixture(scope="module")
def pack() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    process = subprocess.Popen([sys.executable, "-u", str(MAIN)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def configured(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    pack.Configure(_configuration({}))


def _configuration(settings: Mapping[str, Mapping[str, Any]]) -> analyzer_pb2.ConfigureAnalyzerRequest:
    """As the engine configures a pack: every policy, with its defaults filled in."""
    request = analyzer_pb2.ConfigureAnalyzerRequest()
    for each in ALL:
        found = request.policyConfig[each.name]
        found.enforcementLevel = analyzer_pb2.EnforcementLevel.Value(each.level.upper())
        defaults = {name: schema["default"] for name, schema in each.schema.items()}
        found.properties.update({**defaults, **settings.get(each.name, {})})
    return request


def _properties(resource: Resource) -> struct_pb2.Struct:
    return json_format.ParseDict(_wire(resource.props), struct_pb2.Struct())


def _wire(value: Any) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_STRING_VALUE
    if isinstance(value, Mapping):
        return {name: _wire(item) for name, item in value.items()}
    return [_wire(item) for item in value] if isinstance(value, list) else value


def _request(resource: Resource) -> analyzer_pb2.AnalyzeRequest:
    options = analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect)
    if resource.delete_before_replace is not None:
        options.deleteBeforeReplaceDefined = True
        options.deleteBeforeReplace = resource.delete_before_replace
    return analyzer_pb2.AnalyzeRequest(
        type=resource.type,
        urn=resource.urn,
        name=resource.name,
        properties=_properties(resource),
        options=options,
    )


def _stack_request(resources: tuple[Resource, ...]) -> analyzer_pb2.AnalyzeStackRequest:
    request = analyzer_pb2.AnalyzeStackRequest()
    for resource in resources:
        found = request.resources.add(
            type=resource.type, urn=resource.urn, name=resource.name, properties=_properties(resource)
        )
        for name, urns in resource.links.items():
            found.propertyDependencies[name].urns.extend(urns)
    return request


def _one(name: str, type_: str) -> Resource:
    (found,) = [each for each in recorded(name).resources if each.type == type_]
    return found


def test_the_pack_tells_every_rule_its_level_and_its_settings(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    info = pack.GetAnalyzerInfo(empty_pb2.Empty())
    assert [policy.name for policy in info.policies] == [each.name for each in ALL]
    for policy, each in zip(info.policies, ALL, strict=True):
        assert policy.description == each.description
        assert policy.remediation_steps == each.remedy
        assert analyzer_pb2.EnforcementLevel.Name(policy.enforcementLevel) == each.level.upper()
        assert set(policy.configSchema.properties) == set(each.schema)


@pytest.mark.parametrize("name", ["aws", "aws-preview", "gcp", "gcp-preview"])
def test_the_projects_own_stacks_break_no_rule(pack: analyzer_pb2_grpc.AnalyzerStub, name: str) -> None:
    resources = recorded(name).resources
    pack.Configure(_configuration({}))
    found = [
        (diagnostic.policyName, diagnostic.message)
        for resource in resources
        for diagnostic in pack.Analyze(_request(resource)).diagnostics
    ]
    assert {policy for policy, _ in found} == {"owner-tags"}
    shown = pack.AnalyzeStack(_stack_request(resources)).diagnostics
    assert [diagnostic.policyName for diagnostic in shown] == ["estimated-cost"]
    assert "a month" in shown[0].message


def test_a_violation_says_the_rule_what_is_wrong_and_what_to_do(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    change = set_to(types.AWS_BUCKET_PUBLIC_ACCESS_BLOCK, "blockPublicAcls", value=False)
    (block,) = [each for each in change(recorded("aws")).resources if each.type == types.AWS_BUCKET_PUBLIC_ACCESS_BLOCK]
    (diagnostic,) = pack.Analyze(_request(block)).diagnostics
    private = rule("store-private")
    assert diagnostic.message == f"{private.description}\nblockPublicAcls is false, not true\n{private.remedy}"
    assert diagnostic.enforcementLevel == analyzer_pb2.MANDATORY


def test_the_settings_given_to_the_engine_reach_the_rule(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    deployed = _one("gcp", tokens.VERTEX_DEPLOYED_MODEL)
    assert not pack.Analyze(_request(deployed)).diagnostics
    pack.Configure(_configuration({"machine-allowed": {"machineTypes": ["n1-standard-4"]}}))
    (diagnostic,) = pack.Analyze(_request(deployed)).diagnostics
    assert "machineType is g2-standard-8; allowed are n1-standard-4" in diagnostic.message


def test_tags_are_added_beside_secret_and_unknown_ones(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    request = _request(_one("aws", types.AWS_KEY))
    tags = {"team": SECRET, "release": UNKNOWN_STRING_VALUE}
    request.properties.update({"tags": tags})
    (remediation,) = pack.Remediate(request).remediations
    added = {"owner": "unassigned", "cost-centre": "unassigned"}
    properties = json_format.MessageToDict(remediation.properties)
    assert properties == {**json_format.MessageToDict(request.properties), "tags": {**tags, **added}}


def test_tags_that_are_not_known_yet_are_left_alone(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    request = _request(_one("aws", types.AWS_KEY))
    request.properties.update({"tags": UNKNOWN_STRING_VALUE})
    assert not pack.Remediate(request).remediations
    assert not pack.Analyze(request).diagnostics
