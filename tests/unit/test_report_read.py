"""What `cohost report pr` reads: recorded outputs of both commands, and what is none."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cohost.errors import InputError
from cohost.report.preview import Preview
from cohost.report.read import read
from tests.unit.report_previews import recorded, text

SECRET_MARK = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "AAABAI"}


def told(preview: Preview) -> set[tuple[Any, ...]]:
    """What a preview tells of its resources, whatever order the command had them in."""
    return {
        (item.urn, item.type, item.op, tuple(sorted(item.diff)), _text(item.before), _text(item.after))
        for item in preview.resources
    }


def _text(inputs: Any) -> str:
    """As JSON, without the end of a generated name, which is another at every preview."""
    return re.sub(r"(?<=-)[0-9a-f]{7}\b", "*", json.dumps(inputs, sort_keys=True))


@pytest.mark.parametrize("stack", ["aws", "gcp"])
def test_digest_events_and_local_answer_of_one_change_are_one_preview(stack: str) -> None:
    digest, stream, answer = (recorded(f"{kind}-{stack}") for kind in ("digest", "stream", "answer"))
    assert told(digest) == told(stream) == told(answer)
    assert len(digest.resources) > 25
    assert digest.cloud == stream.cloud == answer.cloud == stack.upper()
    assert [preview.error for preview in (digest, stream, answer)] == ["", "", ""]
    assert (digest.local, stream.local, answer.local) == (False, False, True)
    assert set(digest.warnings) == set(stream.warnings) == set(answer.warnings)
    assert any("all of them run, and cost" in item or "both fleets run, and cost" in item for item in digest.warnings)


def test_the_change_of_the_recorded_pull_request_is_what_was_made() -> None:
    changed = {(item.title, item.op, item.diff) for item in recorded("stream-aws").changes}
    assert changed == {
        ("cohost:index:ArtifactSet models", "update", ('models["iris"]', 'models["wine"]')),
        (
            "aws:sagemaker:EndpointConfiguration cohost-aws-shared",
            "replace",
            ("productionVariants[0].instanceType",),
        ),
        ("cohost:sagemaker:EndpointName shared", "update", ("endpointConfig", "instanceType")),
        ("aws:sagemaker:Endpoint cohost-aws-shared", "update", ("endpointConfigName",)),
        (
            "cohost:sagemaker:ActiveRelease shared",
            "update",
            ("endpointConfig", 'models["iris"]', 'models["wine"]', "release"),
        ),
    }


def test_a_digest_without_its_unchanged_resources_is_known_to_be_incomplete() -> None:
    digest = json.loads(text("digest-aws"))
    digest["steps"] = [step for step in digest["steps"] if step["op"] != "same"]
    assert recorded("digest-aws").complete
    assert not read("aws", "f", json.dumps(digest)).complete


@pytest.mark.parametrize("kind", ["digest", "stream"])
def test_a_secret_is_never_kept(kind: str) -> None:
    secret = json.dumps(SECRET_MARK)
    one = read("aws", "f", text(f"{kind}-aws").replace('"ml.g5.2xlarge"', secret))
    kept = json.dumps([[item.before, item.after] for item in one.resources])
    assert "[secret]" in kept
    assert "AAABAI" not in kept


def test_a_stream_tells_of_policies_and_a_digest_does_not() -> None:
    event = {
        "sequence": 90,
        "policyEvent": {
            "resourceUrn": "urn:pulumi:aws::shared-endpoint::aws:s3/bucket:Bucket::models",
            "message": "<{%reset%}>Buckets are encrypted.\nUse a key.<{%reset%}>\n",
            "policyName": "bucket-encrypted",
            "policyPackName": "cohost",
            "enforcementLevel": "mandatory",
        },
    }
    lines = text("stream-aws").splitlines()
    preview = read("aws", "f", "\n".join([*lines[:-2], json.dumps(event), *lines[-2:]]))
    assert preview.policies is not None
    (found,) = preview.policies
    assert (found.policy, found.level, found.urn) == (
        "bucket-encrypted",
        "mandatory",
        event["policyEvent"]["resourceUrn"],
    )
    assert "Use a key." in found.message
    assert recorded("stream-aws").policies is None
    assert recorded("digest-aws").policies is None


def test_an_answer_with_a_policy_pack_and_nothing_found_is_told_from_one_without() -> None:
    answer = json.loads(text("answer-aws"))
    assert recorded("answer-aws").policies is None
    assert read("aws", "f", json.dumps({**answer, "policy_pack": "policies"})).policies == ()


def test_a_failed_preview_says_why() -> None:
    refused = {"error": "Pulumi.aws.yaml: variant: is missing", "problems": []}
    assert read("aws", "f", json.dumps(refused)).error == refused["error"]
    broken = {"diagnostics": [{"message": "error: no such role\n", "severity": "error", "urn": ""}], "steps": []}
    assert read("aws", "f", json.dumps(broken)).error == "no such role"
    assert read("aws", "f", json.dumps({"steps": []})).error == "the preview ended before it was done"
    cut = text("stream-aws").splitlines()[:5]
    assert read("aws", "f", "\n".join([*cut, "error: the lock is held"])).error == "the lock is held"


@pytest.mark.parametrize(
    "content",
    ["", "no JSON at all", "[]", "{}", '{"operation": "up", "changes": []}', '{"steps": [{"op": "same"}]}', '{"a": 1'],
)
def test_what_is_no_preview_is_refused_with_the_file_s_name(content: str) -> None:
    with pytest.raises(InputError) as caught:
        read("aws", "previews/aws.json", content)
    assert {problem.file for problem in caught.value.problems} == {"previews/aws.json"}
