"""The comment on a pull request, from recorded and hand-made previews."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from markdown_it import MarkdownIt

from cohost.cli.main import main
from cohost.engine import PolicyResult
from cohost.engine.values import UNKNOWN
from cohost.report import fleet, models
from cohost.report.comment import LIMIT, MARKER, render
from cohost.report.cost import of_preview
from cohost.report.preview import Preview
from cohost.tokens import ARTIFACT_SET, SAGEMAKER_ACTIVE_RELEASE, VERTEX_DEPLOYED_MODEL
from tests.unit.report_previews import RECORDED, a_resource, recorded

HOSTILE = "x` | <img src=y onerror=z> <!-- @everyone #1 [a](http://e.vil) **b** ```\n# head\n"
BUCKET = "aws:s3/bucket:Bucket"


def test_the_comment_begins_with_the_marker_it_is_found_by() -> None:
    assert render([recorded("stream-aws")]).startswith(f"{MARKER}\n")


def test_models_are_named_with_the_first_twelve_characters_of_their_digests() -> None:
    text = render([recorded("stream-aws")])
    assert re.search(r"\| changed \| `iris` \| `[0-9a-f]{12}` \| `[0-9a-f]{12}` \|", text)
    assert re.search(r"\| added \| `wine` \| — \| `[0-9a-f]{12}` \|", text)
    assert "`digits`" not in text


def test_the_models_are_those_that_are_served_and_a_removed_one_is_told() -> None:
    stored = a_resource(ARTIFACT_SET, before={"models": {}}, after={"models": {"stored": "a" * 64}})
    served = a_resource(
        SAGEMAKER_ACTIVE_RELEASE,
        before={"models": {"gone": "a" * 64, "kept": "b" * 64}},
        after={"models": {"kept": "b" * 64, "new": UNKNOWN}},
    )
    found = models.changes(Preview("aws", (stored, served)))
    assert [(item.name, item.op, item.before, item.after) for item in found] == [
        ("gone", "removed", "a" * 64, ""),
        ("new", "added", "", ""),
    ]
    assert models.changes(Preview("aws", (replace(served, after={"models": UNKNOWN}),))) == ()


@pytest.mark.parametrize(
    ("stack", "machines"),
    [
        ("aws", "`1 x ml.g5.xlarge` → `1 x ml.g5.2xlarge`"),
        ("gcp", "`1 x g2-standard-8 with 1 x NVIDIA_L4` → `1 x g2-standard-12 with 1 x NVIDIA_L4`"),
    ],
)
def test_other_machines_and_their_cost_are_told(stack: str, machines: str) -> None:
    preview = recorded(f"stream-{stack}")
    text = render([preview])
    assert f"**Machines:** {machines}" in text
    assert re.search(r"\*\*Cost:\*\* \$[\d,.]+( ~)? → \$[\d,.]+( ~)? a month \(\*\*\+\$[\d,.]+\*\*\)", text)


def test_without_unchanged_resources_no_cost_is_guessed() -> None:
    assert of_preview(replace(recorded("stream-aws"), complete=False)).short == "not known"
    assert of_preview(replace(recorded("stream-aws"), error="it failed")).short == "not known"


def test_what_a_preview_does_not_know_yet_has_no_price_and_breaks_nothing() -> None:
    fleet_unknown = a_resource(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        "create",
        after={"productionVariants": [{"instanceType": UNKNOWN, "initialInstanceCount": 1}]},
    )
    text = render([Preview("aws", (fleet_unknown,))])
    assert "**Machines:** none → `1 x ?`" in text
    assert "not priced" in text


@pytest.mark.parametrize(("op", "word"), [("replace", "Replaced"), ("delete", "Deleted")])
def test_a_loss_of_what_holds_data_or_costs_is_said_loudly(op: str, word: str) -> None:
    text = render([Preview("aws", (a_resource(BUCKET, op, name="models", before={}),))])
    assert f"> [!CAUTION]\n> **{word}:** `aws:s3:Bucket models`: holds every artifact." in text
    harmless = a_resource("aws:cloudwatch/metricAlarm:MetricAlarm", op, before={})
    assert "CAUTION" not in render([Preview("aws", (harmless,))])


def test_a_deployed_model_that_another_follows_is_no_loss() -> None:
    old = a_resource(VERTEX_DEPLOYED_MODEL, "delete", name="old", before={})
    new = a_resource(VERTEX_DEPLOYED_MODEL, "create", name="new", after={})
    assert [loss.kind for loss in fleet.losses(Preview("gcp", (new, old)))] == ["roll over"]
    assert [loss.kind for loss in fleet.losses(Preview("gcp", (old,)))] == ["delete"]
    assert "CAUTION" not in render([recorded("stream-gcp")])


def test_policies_stand_by_level_with_what_breaks_them_and_their_remedies() -> None:
    urns = [f"urn:pulumi:aws::shared-endpoint::cohost:aws:ArtifactStore${BUCKET}::{name}" for name in ("a", "b")]
    root = "urn:pulumi:aws::shared-endpoint::pulumi:pulumi:Stack::shared-endpoint-aws"
    found = (
        PolicyResult("alarms-there", "advisory", "No alarm rolls back.", root),
        *(PolicyResult("bucket-encrypted", "mandatory", "It is not encrypted.\nGive it a key.", urn) for urn in urns),
        PolicyResult("owner-tags", "remediate", "changed tags", urns[0]),
    )
    text = render([Preview("aws", policies=found)])
    assert text.index("bucket-encrypted") < text.index("alarms-there") < text.index("owner-tags")
    named = "❌ **mandatory** `bucket-encrypted`: `aws:s3:Bucket a`, `aws:s3:Bucket b`"
    assert f"{named}\n\n```text\nIt is not encrypted.\nGive it a key.\n```" in text
    assert "⚠️ **advisory** `alarms-there`\n" in text
    assert "| **2 mandatory**, 1 remediate, 1 advisory |" in text


def test_the_cost_is_told_once() -> None:
    urn = "urn:pulumi:aws::shared-endpoint::pulumi:pulumi:Stack::shared-endpoint-aws"
    text = render([Preview("aws", policies=(PolicyResult("estimated-cost", "advisory", "$1,000 a month", urn),))])
    assert "$1,000" not in text
    assert "| all kept |" in text


def test_a_kept_pack_and_none_at_all_read_differently() -> None:
    assert "| all kept |" in render([Preview("aws", policies=())])
    assert "| not checked |" in render([Preview("aws", policies=None)])


def test_a_failed_preview_is_told_with_its_cause() -> None:
    text = render([Preview("aws", error="AccessDenied: s3:GetObject"), recorded("stream-gcp")])
    assert "| `aws` | — | **failed** |" in text
    assert "**The preview failed.**" in text
    assert "```text\nAccessDenied: s3:GetObject\n```" in text
    assert "### `gcp` on GCP" in text


def test_nothing_to_do_is_said() -> None:
    text = render([Preview("aws", (a_resource(BUCKET, before={}, after={}),))])
    assert "| `aws` | AWS | no change | no change |" in text
    assert "No resource changes; 1 stay." in text


def test_names_and_messages_of_others_add_no_markup() -> None:
    assert shape(render([named(HOSTILE)])) == shape(render([named("name")]))


def named(text: str) -> Preview:
    """A preview in which everything that others can choose says the same."""
    return Preview(
        text,
        (
            a_resource(BUCKET, "replace", name=text, diff=(text,), before={}, after={}),
            a_resource(SAGEMAKER_ACTIVE_RELEASE, "create", after={"models": {text: "a" * 64}}),
        ),
        policies=(PolicyResult(text, "mandatory", text, text),),
        warnings=(text,),
        error=text,
    )


def shape(text: str) -> list[str]:
    """The kinds of everything in a rendered comment, in order, with the text that is markup of ours."""
    found: list[str] = []
    for token in MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(text):
        for leaf in token.children or [token]:
            found.append(f"{leaf.type} {leaf.content if leaf.type.startswith('html') else ''}")
    return found


def test_no_input_of_a_resource_is_shown() -> None:
    resource = a_resource(BUCKET, "update", diff=("tags",), before={"tags": "hunter1"}, after={"tags": "hunter2"})
    assert "hunter" not in render([Preview("aws", (resource,))])


def test_a_comment_fits_github_s_limit_and_says_that_it_was_cut() -> None:
    many = tuple(
        a_resource(BUCKET, "update", name=f"bucket-{number}", diff=tuple(f"tags.t{n}" for n in range(40)), after={})
        for number in range(1500)
    )
    found = tuple(PolicyResult(f"rule-{number}", "mandatory", "long " * 500, "") for number in range(500))
    preview = Preview("aws", many, policies=found, error="line\n" * 20_000)
    text = render([preview, replace(preview, stack="second")])
    assert len(text) <= LIMIT < 65_536
    assert "Cut to fit" in text
    assert "1500 resources change" in text
    assert text.count("```") % 2 == 0
    assert text.count("<details>") == text.count("</details>")
    assert "Cut to fit" not in render([recorded("stream-aws")])
    tiny = render([preview] * 9, limit=1200)
    assert len(tiny) <= 1200
    assert "Cut to fit" in tiny


def test_the_command_prints_the_comment_of_all_stacks(capsys: pytest.CaptureFixture[str]) -> None:
    given = [f"--preview={stack}={RECORDED / f'stream-{stack}.json'}" for stack in ("aws", "gcp")]
    assert main(["report", "pr", *given]) == 0
    text = capsys.readouterr().out
    assert text == render([recorded("stream-aws"), recorded("stream-gcp")])
    assert main(["report", "pr", "--json", *given]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"marker": MARKER, "comment": text}
    schema = resources.files("cohost").joinpath("schemas/report.schema.json").read_text()
    jsonschema.validate(document, json.loads(schema))


def test_every_wrong_file_is_named_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]")
    arguments = ["--preview=aws", "--preview=a=absent.json", f"--preview=b={wrong}", f"--preview=b={wrong}"]
    assert main(["report", "pr", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    for words in ("'aws' is not STACK=FILE", "absent.json: cannot be read", "wrong.json: is not", "b is given twice"):
        assert words in captured.err
