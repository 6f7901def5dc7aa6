"""The `cohost` command as a script sees it: one JSON document on standard output, schemas, exit codes."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest

from tests.local.project import Done, Project

SCHEMAS = resources.files("cohost").joinpath("schemas")


def holds(done: Done, schema: str, *, code: int = 0) -> Any:
    """The document of a command that ended as expected and keeps its schema."""
    assert done.code == code, done.err
    document = json.loads(done.out)
    jsonschema.validate(document, json.loads(SCHEMAS.joinpath(f"{schema}.schema.json").read_text()))
    return document


def test_every_command_prints_one_document_that_keeps_its_schema(small_project: Project) -> None:
    ask = small_project.cohost
    catalog = holds(ask("validate", "--json"), "validate")
    assert catalog["models"] == ["digits", "iris"]
    onnx = str(small_project.root / "model_artifacts/iris/1/model.onnx")
    holds(ask("add", onnx, "--name", "flowers", "--owner", "botany-team", "--json"), "add")
    holds(ask("cost", "aws", "--rate", "2", "--json"), "cost")
    holds(ask("plan", "aws", "--rate", "2", "--instance", "ml.g5.xlarge", "--json"), "plan")
    holds(ask("local", "preview", "aws", "--json"), "operation")
    up = holds(ask("local", "up", "aws", "--json"), "operation")
    assert up["summary"]["create"] > 0
    assert up["outputs"]["platform"] == "aws"
    assert holds(ask("local", "output", "aws", "--json"), "output") == up["outputs"]
    assert {entry["name"] for entry in holds(ask("local", "status", "--json"), "status")["emulators"]} == {
        "aws",
        "sagemaker",
        "gcs",
        "vertex",
    }
    assert "AWS_ENDPOINT_URL" in holds(ask("local", "env", "aws", "--json"), "env")
    served = holds(ask("local", "models", "aws", "--json"), "models")
    assert [entry["model"] for entry in served] == ["digits", "flowers", "iris"]
    answer = holds(ask("local", "invoke", "aws", "flowers", "--json"), "invoke")
    assert answer["parameters"]["smoke_test"] == "passed"
    test = json.loads((small_project.root / "model_artifacts/digits/smoke.json").read_text())
    given = ask("local", "invoke", "aws", "digits", "--input", "-", "--json", stdin=json.dumps(test["request"]))
    labels = next(item for item in holds(given, "invoke")["outputs"] if item["name"] == "label")
    assert labels["data"] == test["truth"]
    folder = str(small_project.root / "model_artifacts/digits")
    pushed = holds(ask("local", "push", folder, "--stack", "aws", "--json"), "push")
    assert (pushed["artifact"], pushed["uploaded"]) == (served[0]["artifact"], False)
    holds(ask("local", "limit", "--quota", "ml.g5.xlarge=4", "--json"), "limit")
    holds(ask("local", "refresh", "aws", "--json"), "operation")
    holds(ask("local", "destroy", "aws", "--json"), "operation")
    holds(ask("local", "stop", "--json"), "stop")
    assert holds(ask("local", "output", "aws", "--json"), "error", code=1)["error"].endswith("`cohost local up aws`")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("local", "up", "nowhere"), "stacks of this project: aws, elsewhere"),
        (("local", "up", "elsewhere"), "the local clouds are"),
        (("local", "up", "aws", "--parallel", "0"), "--parallel"),
        (("local", "preview", "aws", "--policy-pack", "absent"), "holds no PulumiPolicy.yaml"),
        (("local", "up", "aws", "--policy-pack-config", "rules.json"), "name that with --policy-pack"),
        (("cost", "aws", "--rate", "0"), "--rate"),
        (("plan", "aws", "--rate", "1", "--traffic", "normal"), "zipf:1.1"),
        (("local", "limit", "--memory", "much"), "TYPE=VALUE"),
        (("local", "limit", "--disk", "NVIDIA_L4=1GB"), "the local GCP knows --quota and --memory alone"),
        (("validate", "--catalog", "absent.yaml"), "absent.yaml"),
        (("add", "absent.onnx", "--name", "x"), "absent.onnx"),
    ],
)
def test_bad_input_ends_with_exit_code_2_and_names_what_is_wrong(
    small_project: Project, arguments: tuple[str, ...], words: str
) -> None:
    (small_project.root / "Pulumi.elsewhere.yaml").write_text("config:\n  shared-endpoint:platform: elsewhere\n")
    document = holds(small_project.cohost(*arguments, "--json"), "error", code=2)
    assert any(words in f"{item['file']}: {item['key']}: {item['message']}" for item in document["problems"])
    plain = small_project.cohost(*arguments)
    assert plain.code == 2
    assert plain.out == ""
    assert words in plain.err


def test_a_mistyped_command_ends_with_exit_code_2_and_the_usage(small_project: Project) -> None:
    done = small_project.cohost("lokal")
    assert done.code == 2
    assert "usage: cohost" in done.err


def test_a_bad_request_is_said_in_one_line_each(small_project: Project) -> None:
    broken = json.dumps({"inputs": [{"name": "a"}, {"name": "b", "datatype": "FP32", "shape": [2], "data": [1]}]})
    small_project.operate("up")
    done = small_project.cohost("local", "invoke", "aws", "digits", "--input", "-", stdin=broken)
    assert done.code == 2
    assert [line.split(":")[2].strip() for line in done.err.splitlines()] == ["inputs[0]", "inputs[1]"]
    unknown = small_project.cohost("local", "invoke", "aws", "digit")
    assert unknown.code in (1, 2)
    assert "digit" in unknown.err
    assert "Traceback" not in unknown.err


def test_a_reader_who_has_seen_enough_ends_nothing_and_gets_no_traceback(small_project: Project) -> None:
    up = small_project.start("local", "up", "aws")
    assert up.stdout is not None
    assert up.stderr is not None
    up.stdout.readline()
    up.stdout.close()
    errors = up.stderr.read()
    assert (up.wait(), errors) == (141, "")
    up.stderr.close()
    assert small_project.operate("preview")["summary"]["same"] > 30
