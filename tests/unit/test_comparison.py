from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from cohost.errors import InputError
from scripts.comparison import __main__ as command
from scripts.comparison.checks import OLD_DAYS, cell_sources, problems
from scripts.comparison.figures import Known, look_up
from scripts.comparison.load import DATA, ROOT, THEMES, Comparison, load
from scripts.comparison.models import PLATFORMS, Cell, Criterion, Figure, Kind, Reason
from scripts.comparison.pages import pages
from scripts.comparison.plans import PLANS, plan
from scripts.comparison.text import filled, references, stray_numbers

TODAY = date(2026, 11, 24)
# What a decision asks for, by the row that answers it.
ASKED = {
    "cost of one replica": "cost/one",
    "cost of several": "cost/many",
    "cost at low use": "cost/million-low",
    "surcharge": "cost/surcharge",
    "latency": "speed/warm",
    "latency on a GPU": "speed/warm-gpu",
    "cold start after an eviction": "speed/cold-evict",
    "cold start after scale-out": "speed/cold-scale",
    "cold start after a deployment": "speed/cold-deploy",
    "models on a GPU": "speed/models",
    "time to the first endpoint": "delivery/first",
    "time to a new version": "delivery/version",
    "time to a rollback": "delivery/rollback",
    "canary": "delivery/canary",
    "infrastructure as code": "delivery/iac",
    "autoscaling": "operation/autoscaling",
    "scale to zero": "operation/zero",
    "blast radius": "operation/blast",
    "observability of each model": "operation/metrics",
    "capture and drift for new customers": "operation/drift",
    "private path": "security/private",
    "keys": "security/keys",
    "granularity of access": "security/iam",
    "GPU families": "limits/gpus",
    "quotas": "limits/quota",
    "payload": "limits/payload",
    "time limits": "limits/time",
    "frameworks": "limits/frameworks",
    "licences": "ownership/licence",
    "exit": "ownership/exit",
    "people": "ownership/people",
    "ends of support": "ownership/support",
}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return load()


@pytest.fixture(scope="module")
def known(comparison: Comparison) -> dict[str, Known]:
    return look_up(comparison.figures)


def with_cell(comparison: Comparison, cell: Cell) -> Comparison:
    """The data with another first cell, that of SageMaker in the first row of costs."""
    theme = comparison.themes[0]
    row = theme.criteria[0]
    changed = Criterion(id=row.id, title=row.title, cells={**row.cells, "sagemaker": cell})
    themes = (theme.model_copy(update={"criteria": (changed, *theme.criteria[1:])}), *comparison.themes[1:])
    return replace(comparison, themes=themes)


def a_cell(**changes: object) -> Cell:
    standard = {"value": "yes", "kind": Kind.DOCUMENTED, "date": TODAY, "sources": ("prices",)}
    return Cell.model_validate(standard | changes)


def found(comparison: Comparison, known: dict[str, Known], today: date = TODAY) -> list[str]:
    return [str(problem) for problem in problems(comparison, known, today)]


def test_the_data_keep_every_rule_today_and_the_committed_pages_and_schemas_are_made_of_them() -> None:
    for name, text in command.made(date.today()).items():
        assert (DATA / name).read_text("utf-8") == text, f"{name}: run `python -m scripts.comparison`"


@pytest.mark.parametrize("name", PLANS)
def test_the_committed_plans_are_what_the_planner_says(name: str) -> None:
    committed = (DATA / "plans" / f"{name}.json").read_text("utf-8")
    assert plan(name) == committed, "run `python -m scripts.comparison`"


@pytest.mark.parametrize("asked", ASKED)
def test_every_question_of_a_decision_has_a_row(comparison: Comparison, asked: str) -> None:
    rows = {f"{theme.theme}/{criterion.id}" for theme in comparison.themes for criterion in theme.criteria}
    assert ASKED[asked] in rows


@pytest.mark.parametrize("name", [*THEMES, "sources", "figures", "conclusions"])
def test_the_files_keep_the_committed_schemas_which_an_editor_reads_too(name: str) -> None:
    text = (DATA / f"{name}.yaml").read_text("utf-8")
    schema = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    document = json.loads(json.dumps(yaml.safe_load(text), default=str))
    jsonschema.validate(document, json.loads((DATA / schema).read_text("utf-8")))


def test_every_cell_has_a_source_and_every_source_an_address_that_can_be_followed(
    comparison: Comparison, known: dict[str, Known]
) -> None:
    for theme in comparison.themes:
        for criterion in theme.criteria:
            assert all(cell_sources(cell, known) for cell in criterion.cells.values()), criterion.id
    for source in comparison.sources:
        assert source.address.startswith("https://") or (ROOT / source.address).is_file(), source.id


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (a_cell(sources=()), "has no source"),
        (a_cell(sources=("nobody",)), "sources.yaml: nobody: is named and not listed"),
        (a_cell(value="7 ms", kind=Kind.ESTIMATED), "states numbers by figures only: 7"),
        (a_cell(value="7 ms", kind=Kind.MEASURED), "states numbers by figures only: 7"),
        (a_cell(value="fast", kind=Kind.MEASURED), "says measured and names no measurement"),
        (a_cell(value="{{resnet_rate}}", kind=Kind.MEASURED, date=date(2023, 1, 1)), "names no measurement"),
        (a_cell(value="{{vertex_hour}}"), "names an estimate and says documented"),
        (a_cell(value="{{nothing}}"), "there is no figure nothing"),
        (a_cell(value="{{resnet_rate}}"), "is as old as its oldest figure: 2023-01-03"),
        (a_cell(date=TODAY - timedelta(OLD_DAYS + 1)), "look for something newer, or mark it `old: true`"),
        (a_cell(old=True), "is marked old and is not"),
        (a_cell(date=TODAY + timedelta(1)), "is of a day to come"),
    ],
)
def test_a_cell_that_breaks_a_rule_is_named_with_what_is_wrong(
    comparison: Comparison, known: dict[str, Known], cell: Cell, problem: str
) -> None:
    assert any(problem in line for line in found(with_cell(comparison, cell), known))


def test_an_old_cell_with_its_mark_is_right_and_one_grows_old_with_time(
    comparison: Comparison, known: dict[str, Known]
) -> None:
    old = with_cell(comparison, a_cell(date=date(2023, 1, 1), old=True))
    assert found(old, known) == []
    assert any("look for something newer" in line for line in found(comparison, known, date(2029, 1, 1)))


def test_a_conclusion_names_cells_that_there_are_and_states_no_number_of_its_own(
    comparison: Comparison, known: dict[str, Known]
) -> None:
    reason = Reason(text="it is 3 times faster", cells=("speed/nothing",))
    wrong = replace(comparison, conclusions=comparison.conclusions.model_copy(update={"changes": (reason,)}))
    assert found(wrong, known) == [
        "conclusions.yaml: changes: 3 stands in the text: make it a figure",
        "conclusions.yaml: changes: there is no cell speed/nothing",
    ]


def test_the_fixed_texts_of_the_pages_state_no_number_either(comparison: Comparison, known: dict[str, Known]) -> None:
    assert all(stray_numbers(text) == () for text in comparison.templates.values())
    wrong = replace(comparison, templates={**comparison.templates, "index": "It takes 5 minutes."})
    assert found(wrong, known) == ["templates/index.md: 5 stands in the text: make it a figure"]


def test_a_source_that_carries_nothing_is_a_problem(comparison: Comparison, known: dict[str, Known]) -> None:
    idle = comparison.sources[0].model_copy(update={"id": "idle"})
    wrong = replace(comparison, sources=(*comparison.sources, idle))
    assert found(wrong, known) == ["sources.yaml: idle: is listed and carries nothing"]


def test_a_figure_that_no_text_and_no_other_figure_names_is_a_problem(comparison: Comparison) -> None:
    figures = {**comparison.figures, "idle": a_figure("idle", value=1)}
    wrong = replace(comparison, figures=figures)
    assert found(wrong, look_up(figures)) == ["figures.yaml: idle: is named by nothing"]


@pytest.mark.parametrize(
    ("text", "stray"),
    [
        ("V2 on S3, an A10G in ml.g5.xlarge at p99, two L4s in g2-standard-8", ()),
        ("{{one}} of [here](page.md#part-2)", ()),
        ("40 % of 3,100 ms", ("40", "3,100")),
        ("about $12, in 2026", ("$12,", "2026")),
        ("4x", ("4x",)),
    ],
)
def test_a_number_in_a_text_is_found_and_a_name_that_holds_digits_is_none(text: str, stray: tuple[str, ...]) -> None:
    assert stray_numbers(text) == stray


def test_a_text_is_filled_with_its_figures() -> None:
    assert references("{{ a }} and {{b}}") == ("a", "b")
    assert filled("{{ a }} and {{b}}", {"a": "1", "b": "2"}) == "1 and 2"


def a_figure(name: str, **changes: object) -> Figure:
    stated = {"kind": "measured", "date": TODAY, "sources": ["benchmarks"]}
    return Figure.model_validate({"name": name, "about": "a test"} | stated | changes)


def looked_up(root: Path, *figures: Figure) -> dict[str, Known]:
    return look_up({figure.name: figure for figure in figures}, root)


def test_a_figure_follows_the_measurement_that_it_names(tmp_path: Path) -> None:
    table = a_figure("t", file="page.md", row="a call", column="measured")
    number = a_figure("n", file="data.json", pointer="/runs/1/p99", format="{:.0f} ms")
    for measured in ("1.2 ms", "3.4 ms"):
        (tmp_path / "page.md").write_text(f"| what | measured |\n|---|---|\n| a call | {measured} |\n")
        (tmp_path / "data.json").write_text(json.dumps({"runs": [{}, {"p99": float(measured[:3]) * 10}]}))
        known = looked_up(tmp_path, table, number)
        assert known["t"].text == measured
        assert known["n"].text == f"{float(measured[:3]) * 10:.0f} ms"


def test_a_calculated_figure_is_an_estimate_as_old_as_its_parts_and_carries_their_sources(tmp_path: Path) -> None:
    old = a_figure("old", value=2, date=date(2023, 1, 1), sources=["one"])
    new = a_figure("new", value=6, sources=["two"])
    total = Figure(name="total", about="a test", expression="(new - old) * 10 / old + 1")
    known = looked_up(tmp_path, old, new, total)["total"]
    assert (known.number, known.kind, known.date, known.sources) == (21, "estimated", date(2023, 1, 1), ("two", "one"))


@pytest.mark.parametrize(
    ("figure", "problem"),
    [
        (Figure(name="f", about="-"), "wants exactly one of value, price, expression and file"),
        (a_figure("f", value=1, price="a / b / c"), "wants exactly one of value, price, expression and file"),
        (Figure(name="f", about="-", value=1), "wants kind, date and sources"),
        (Figure(name="f", about="-", price="AmazonEC2 / g5.nano / us-east-1"), "there is no price"),
        (Figure(name="f", about="-", expression="f + 1"), "is calculated from itself"),
        (Figure(name="f", about="-", expression="g + 1"), "there is no figure g"),
        (Figure(name="f", about="-", expression="1 + 1"), "names no figure"),
        (Figure(name="f", about="-", expression="open('x')"), "cannot be calculated: open('x')"),
        (a_figure("f", file="none.json", pointer="/a"), "there is no file none.json"),
        (a_figure("f", file="data.json", pointer="/b"), "has nothing at /b"),
        (a_figure("f", file="data.json", pointer="/a"), "there is no number at /a"),
        (a_figure("f", file="page.md", row="b", column="measured"), "has no row 'b'"),
    ],
)
def test_a_figure_without_its_number_is_named_with_what_is_wrong(tmp_path: Path, figure: Figure, problem: str) -> None:
    (tmp_path / "data.json").write_text('{"a": "text"}')
    (tmp_path / "page.md").write_text("| what | measured |\n|---|---|\n| a | 1 |\n")
    with pytest.raises(InputError, match=r"figures\.yaml: f: ") as error:
        looked_up(tmp_path, figure)
    assert problem in str(error.value)


def test_everything_wrong_with_the_form_is_said_at_once(tmp_path: Path) -> None:
    for file in DATA.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"))
    (tmp_path / "cost.yaml").write_text("theme: cost\ntitle: Cost\nabout: x\ncriteria: []\ncolour: red\n")
    (tmp_path / "speed.yaml").unlink()
    with pytest.raises(InputError) as error:
        load(tmp_path)
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert any(line.startswith("cost.yaml: colour: ") for line in lines)
    assert any(line.startswith("cost.yaml: criteria: ") for line in lines)
    assert any("speed.yaml" in line and "does not exist" in line for line in lines)


def test_bad_data_end_the_command_with_2_and_a_line_each_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], comparison: Comparison, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "load", lambda: with_cell(comparison, a_cell(sources=(), old=True)))
    monkeypatch.setattr(command, "DATA", tmp_path)
    monkeypatch.setattr(command, "PLANS", ())
    assert command.main() == 2
    assert capsys.readouterr().err.splitlines() == [
        "cost.yaml: one.sagemaker: has no source",
        "cost.yaml: one.sagemaker: is marked old and is not",
    ]
    assert list(tmp_path.iterdir()) == []


def test_the_pages_say_of_every_cell_how_it_is_known_and_when(comparison: Comparison, known: dict[str, Known]) -> None:
    index = pages(comparison, known)["index.md"]
    rows = [line for line in index.splitlines() if line.startswith("| **")]
    assert len(rows) == sum(len(theme.criteria) for theme in comparison.themes)
    marks = [f"*{kind.value}, 20" for kind in Kind]
    assert all(sum(row.count(mark) for mark in marks) == len(PLATFORMS) for row in rows)


def test_the_conclusions_say_something_of_every_platform_and_every_situation(
    comparison: Comparison, known: dict[str, Known]
) -> None:
    page = pages(comparison, known)["conclusions.md"]
    assert {platform for situation in comparison.conclusions.situations for platform in situation.choose} == {
        *PLATFORMS
    }
    for situation in ("on AWS", "on GCP", "latency", "Hundreds of rarely used", "Regulated", "Cost above all"):
        assert any(line.startswith("### ") and situation in line for line in page.splitlines()), situation
