from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cohost import catalog
from cohost.errors import InputError
from cohost.release import CANARY
from tests.unit.model_folders import write

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "model_artifacts" / "catalog.yaml"
SCHEMA = json.loads((ROOT / "cohost" / "schemas" / "catalog.schema.json").read_text())
DIGEST = "0123456789abcdef" * 4


def problems(path: Path) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        catalog.load(path)
    assert {problem.file for problem in caught.value.problems} == {str(path)}
    return [(problem.key, problem.message) for problem in caught.value.problems]


def test_the_committed_catalog_is_valid_by_its_schema_and_names_that_schema() -> None:
    text = COMMITTED.read_text()
    jsonschema.validate(yaml.safe_load(text), SCHEMA)
    named = re.match(r"# yaml-language-server: \$schema=(.*)", text)
    assert named
    assert json.loads((COMMITTED.parent / named[1]).read_text()) == SCHEMA


def test_models_come_sorted_with_their_folders_and_every_scalar_as_the_text_that_stands_there(tmp_path: Path) -> None:
    (tmp_path / "models" / "b").mkdir(parents=True)
    path = write(
        tmp_path / "catalog.yaml",
        f"""
models:
  - {{name: no, path: models/b, owner: 007, tags: {{gpu: yes, version: 1_0, none: }}}}
  - {{name: b, artifact: {DIGEST}, owner: null}}
""",
    )
    loaded = catalog.load(path)
    assert loaded.path == path
    assert loaded.models == (
        catalog.CatalogModel("b", "null", {}, None, DIGEST),
        catalog.CatalogModel(
            "no", "007", {"gpu": "yes", "version": "1_0", "none": ""}, tmp_path / "models" / "b", None
        ),
    )


def test_every_problem_is_reported_at_once_with_its_key(tmp_path: Path) -> None:
    write(tmp_path / "digits" / "config.pbtxt", "")
    path = write(
        tmp_path / "catalog.yaml",
        f"""
version: 1
models:
  - name: Digits_
    path: digist
    owner: Vision Team
    ownr: x
  - name: a
    path: digits
    owner: a
    tags: {{Framework: "scikit learn", list: [1]}}
  - name: a
    path: digits
    artifact: {DIGEST}
  - just text
  - name: 9lives
    artifact: ABC
    owner: ""
  - name: {"x" * 64}
    path: digits/config.pbtxt
    owner: a
    tags: [a]
""",
    )
    assert problems(path) == [
        ("models[0].name", '"Digits_" must be 1 to 63 of a-z, 0-9, - and _, the first a letter: '
         'did you mean "digits_"?'),
        ("models[0].owner", '"Vision Team" must be 1 to 63 of a-z, 0-9, - and _, as a Google label is: '
         'did you mean "vision-team"?'),
        ("models[0].ownr", 'is not a key of a model: did you mean "owner"?'),
        ("models[0].path", 'there is no folder "digist": did you mean "digits"?'),
        ("models[1].tags.Framework", '"Framework" must be 1 to 63 of a-z, 0-9, - and _, the first a letter'),
        ("models[1].tags.Framework", '"scikit learn" must be 1 to 63 of a-z, 0-9, - and _, as a Google label is: '
         'did you mean "scikit-learn"?'),
        ("models[1].tags.list", "must be a text"),
        ("models[2]", "must have either path (a folder) or artifact (a digest that was pushed)"),
        ("models[2].name", '"a" is already the name of models[1]'),
        ("models[2].owner", "is missing"),
        ("models[3]", "must be a mapping with name, owner and path or artifact"),
        ("models[4].artifact", "must be the 64 hex digits that `cohost push` printed"),
        ("models[4].name", '"9lives" must be 1 to 63 of a-z, 0-9, - and _, the first a letter: did you mean "lives"?'),
        ("models[4].owner", "must be a text"),
        ("models[5].name", f'"{"x" * 64}" must be 1 to 63 of a-z, 0-9, - and _, the first a letter: '
         f'did you mean "{"x" * 63}"?'),
        ("models[5].path", '"digits/config.pbtxt" is a file; a model is a folder with a config.pbtxt'),
        ("models[5].tags", "must be a mapping such as {framework: scikit-learn}"),
        ("version", "is not a key of the catalog; its only one is models"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("", "models", "must be a list"),
        ("models:", "models", "must be a list"),
        ("models: []", "models", "lists no model: `cohost add"),
        ("- a", "models", "must be a list"),
        ("models: [", "line 2, column 1", "is not YAML"),
        ("models: [a]\nmodels: [b]", "line 2, column 1", '"models" stands twice'),
        ("models: &all [*all]", "line 1, column 15", "*all stands for nothing"),
        ("? [a]\n: b", "line 1, column 5", "a key must be a text"),
        ("models: [a]\n---\nmodels: [b]", "line 2, column 1", "a second document"),
        ("models: " + "[" * 100_000, "line 1, column 24", "nested more than 16 deep"),
        (b"models: \xff", "", "is not YAML: unacceptable character"),
        (b"models: \x00", "", "is not YAML: unacceptable character"),
        ('models: [{name: a, owner: a, path: "\\0"}]', "models[0].path", "there is no folder"),
    ],
    ids=range(13),
)
def test_a_document_that_is_no_catalog_is_refused_at_its_place(
    text: str | bytes, key: str, message: str, tmp_path: Path
) -> None:
    (found,) = problems(write(tmp_path / "catalog.yaml", text))
    assert found[0] == key
    assert message in found[1]


@given(st.binary(max_size=80) | st.text("models:-[]{}&*!|>'\" \n\tna", max_size=80).map(str.encode))
def test_no_document_is_too_odd_to_be_refused_in_words(data: bytes) -> None:
    with pytest.raises(InputError):
        catalog.parse(data, Path("catalog.yaml"))


def test_a_catalog_that_is_missing_or_no_file_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path / "catalog.yaml") == [("", "does not exist: a catalog lists the models to deploy")]
    assert problems(tmp_path) == [("", "is not a file")]


@pytest.mark.parametrize("name", ["a", "a1", "iris-v2_b", "x" * 63])
def test_a_name_that_every_platform_takes_is_good(name: str) -> None:
    assert catalog.name_fault(name) is None


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a.b", "a/b", "a b", "ä", "a\n", "x" * 64, "x" * 1_000_000])
def test_a_name_that_a_platform_refuses_is_refused_with_what_is_right(name: str) -> None:
    fault = catalog.name_fault(name)
    assert fault is not None
    assert len(fault) < 400
    hint = re.search(r'did you mean "(.*)"', fault)
    assert hint is None or catalog.name_fault(hint[1]) is None


def test_the_name_of_the_model_that_every_repository_has_is_refused(tmp_path: Path) -> None:
    entry = f"{{name: cohost-canary, artifact: {DIGEST}, owner: a}}"
    (found,) = problems(write(tmp_path / "catalog.yaml", f"models: [{entry}]"))
    assert found[0] == "models[0].name"
    assert found[1].startswith('"cohost-canary" is the name of cohost\'s own model')


# Texts of which the schema and the reader could disagree; a scalar that is no text looks different to an editor.
_TEXT = st.sampled_from(
    ["a", "A", "", "a b", "é", "9", "-", "x" * 63, "x" * 64, CANARY, DIGEST, DIGEST[1:], "models/a"]
)
_VALUE: st.SearchStrategy[Any] = _TEXT | st.just([]) | st.just({})
_TAGS = st.dictionaries(_TEXT, _VALUE | st.booleans() | st.integers(0, 9), max_size=3) | _VALUE
_FIELDS = {
    "name": _VALUE,
    "owner": _VALUE,
    "path": st.just("models/a") | st.just([]),
    "artifact": _VALUE,
    "tags": _TAGS,
}
_ENTRY = st.fixed_dictionaries({"name": st.just("a"), "owner": st.just("a"), "path": st.just("models/a")}) | (
    st.fixed_dictionaries({}, optional={**_FIELDS, "other": _TEXT})
)
_DOCUMENT = st.fixed_dictionaries({}, optional={"models": st.lists(_ENTRY, max_size=1) | _VALUE, "other": _TEXT})


@given(_DOCUMENT)
def test_the_schema_and_the_reader_agree(document: dict[str, Any]) -> None:
    by_schema = jsonschema.Draft202012Validator(SCHEMA).is_valid(document)
    # JSON is YAML; `models/a` is a folder of this repository's tests.
    data = json.dumps(document).replace("models/a", "unit").encode()
    try:
        catalog.parse(data, ROOT / "tests" / "catalog.yaml")
    except InputError:
        assert not by_schema
    else:
        assert by_schema


def test_a_schema_cannot_see_duplicates_and_missing_folders_but_the_reader_does(tmp_path: Path) -> None:
    entry = {"name": "a", "owner": "a", "path": "gone"}
    jsonschema.validate({"models": [entry, entry]}, SCHEMA)
    keys = [key for key, _ in problems(write(tmp_path / "catalog.yaml", json.dumps({"models": [entry, entry]})))]
    assert keys == ["models[0].path", "models[1].name", "models[1].path"]
