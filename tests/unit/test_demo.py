from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cohost.client.smoke import SmokeTest, Tensor
from cohost.engine import Operation
from scripts import demo_calls, demo_steps, demo_story
from scripts.demo_calls import Answer
from scripts.demo_steps import Failed
from tests.documents import ROOT

_BLOCK = re.compile(r"^`make demo` deploys.*?^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
TRUTH = Tensor("label", "INT64", np.array([[1], [0]]))


def shown() -> list[str]:
    """The lines of what README.md says that the demonstration prints."""
    found = _BLOCK.search((ROOT / "README.md").read_text())
    assert found
    return found[1].splitlines()


def test_the_readme_shows_every_heading_of_the_demonstration_in_its_order() -> None:
    lines = shown()
    headings = [line for before, line in zip(["", *lines], lines, strict=False) if line and not before]
    assert headings[:-1] == told("say")
    assert re.fullmatch(r"That was the whole life cycle, in \d+ s, and nothing of it runs any more\.", headings[-1])


def test_the_readme_shows_the_commands_of_the_demonstration_in_their_order() -> None:
    commands = [line.removeprefix("$ cohost local ") for line in shown() if line.startswith("$ ")]
    run = [command for command in told("operate", "preview_names_one_model", "cohost") if "limit" not in command]
    assert commands == run


def test_the_table_of_the_readme_has_equal_answers_of_both_clouds_for_every_model_of_the_catalog() -> None:
    lines = shown()
    (head,) = (index for index, line in enumerate(lines) if line.lstrip().startswith("MODEL") and "SAGEMAKER" in line)
    rows = [re.split(r" {2,}", line.strip()) for line in lines[head + 1 :]]
    rows = rows[: next(index for index, row in enumerate(rows) if len(row) != 6)]
    names = {folder.name for folder in (ROOT / "model_artifacts").iterdir() if (folder / "smoke.json").exists()}
    assert {row[0] for row in rows} == names | {demo_steps.LARGE}
    assert [row[1] for row in rows] == [row[3] for row in rows]


def test_answers_beside_each_other_that_are_the_same_pass(capsys: pytest.CaptureFixture[str]) -> None:
    demo_calls.beside_each_other({"m": answer([1, 0], 0.25)}, {"m": answer([1, 0], 0.25)})
    printed = capsys.readouterr().out
    assert "yes, no" in printed
    assert "all 1 models answer the same" in printed


@pytest.mark.parametrize("other", [[1, 1], [1]], ids=["another answer", "fewer rows"])
def test_answers_that_differ_fail_and_are_named(other: list[int]) -> None:
    with pytest.raises(Failed, match="differently: m"):
        demo_calls.beside_each_other({"m": answer([1, 0], 0.25)}, {"m": answer(other, 0.25)})


def test_other_floats_behind_the_same_label_fail_too() -> None:
    with pytest.raises(Failed, match="differently: m"):
        demo_calls.beside_each_other({"m": answer([1, 0], 0.25)}, {"m": answer([1, 0], 0.26)})


def test_a_model_that_only_one_cloud_has_fails() -> None:
    with pytest.raises(Failed, match="differently: lost"):
        demo_calls.beside_each_other({"m": answer([1], 0), "lost": answer([1], 0)}, {"m": answer([1], 0)})


def test_a_setting_is_in_the_stack_file_for_as_long_as_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_steps, "PROJECT", tmp_path)
    file = tmp_path / "Pulumi.gcp.yaml"
    file.write_text("config:\n  gcp:region: us-central1\n")
    with demo_steps.setting("gcp", "canary", {"weight": 10, "stable": "a" * 64}):
        assert file.read_text().endswith(f"  shared-endpoint:canary:\n    weight: 10\n    stable: {'a' * 64}\n")
    assert file.read_text() == "config:\n  gcp:region: us-central1\n"


def answer(labels: list[int], score: float) -> Answer:
    label = np.array([[label] for label in labels])
    test = SmokeTest((), (TRUTH,), 1e-4, answer="label", truth=(1, 0), labels=("no", "yes"))
    return Answer(replace(test, truth=test.truth[: len(labels)]), {"label": label, "score": np.array([score])}, 1.0)


def told(*functions: str) -> list[str]:
    """What the story hands to functions of its steps, in the order in which it is told, as it is printed."""
    tree = ast.parse(Path(demo_story.__file__).read_text())
    bodies = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    # `tell` tells both halves before what it says itself.
    order = [bodies[name] for name in ("on_sagemaker", "on_vertex", "tell")]
    calls = [node for body in order for node in sorted(calls_in(body), key=lambda call: call.lineno)]
    return [printed(call, demo_story) for call in calls if name_of(call) in functions]


def calls_in(body: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(body) if isinstance(node, ast.Call)]


def name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def printed(call: ast.Call, module: ModuleType) -> str:
    values = [eval(compile(ast.Expression(argument), "story", "eval"), vars(module)) for argument in call.args]
    if name_of(call) == "preview_names_one_model":
        return f"{Operation.PREVIEW} {values[0]}"
    if name_of(call) == "operate":
        return f"{values[1]} {values[0]}"
    return " ".join(values).removeprefix("local ")
