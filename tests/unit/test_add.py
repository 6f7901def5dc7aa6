from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cohost import catalog, modelconfig, validation
from cohost.add import Added
from cohost.add import add as add_model
from cohost.add.entry import with_entry
from cohost.catalog_yaml import parse
from cohost.cli.main import main
from cohost.client import smoke
from cohost.errors import CohostError, InputError
from tests.unit.model_folders import FLOAT, INT64, STRING, identity, model, write, write_catalog, write_model

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted((ROOT / "model_artifacts").glob("*/1/model.onnx"))
node = helper.make_node


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A catalog of one model."""
    write_model(tmp_path / "models" / "old")
    return write_catalog(tmp_path / "models" / "catalog.yaml", ["old"])


def saved(listed: Path, made: onnx.ModelProto | bytes, name: str = "new.onnx") -> Path:
    data = made if isinstance(made, bytes) else made.SerializeToString()
    return write(listed.parent.parent / name, data)


def add(listed: Path, file: Path, name: str = "new", owner: str = "a-team") -> Added:
    return add_model(file, name=name, owner=owner, catalog=listed)


def answers(folder: Path) -> None:
    """Asks the model its smoke test as Triton would."""
    test, signature = smoke.load(folder / "smoke.json"), catalog.signature(folder)
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx")
    ranks = {tensor.name: len(tensor.shape) for tensor in session.get_inputs()}
    inputs = {name: array.reshape(array.shape[: ranks[name]]) for name, array in test.inputs().items()}
    texts = {name: array.astype(str).astype(object) for name, array in inputs.items() if array.dtype == object}
    names = [tensor.name for tensor in session.get_outputs()]
    outputs: dict[str, Any] = {}
    for name, value in zip(names, session.run(names, {**inputs, **texts}), strict=True):
        array = np.asarray(value)
        array = array if array.ndim > bool(signature.max_batch_size) else array.reshape(*array.shape, 1)
        outputs[name] = np.char.encode(array.astype(str)).astype(object) if array.dtype.kind in "OU" else array
    assert test.check(outputs) is None
    assert {tensor.name for tensor in test.expected} == set(names)


@pytest.mark.parametrize("file", COMMITTED, ids=lambda path: path.parts[-3])
def test_a_trained_model_gets_the_configuration_that_it_was_committed_with(file: Path, listed: Path) -> None:
    added = add(listed, file)
    assert added == Added(listed.parent / "new", batched=True, note="")
    made = modelconfig.read(added.folder)
    assert made.name == "new"
    made.name = file.parts[-3]
    assert made == modelconfig.read(file.parents[1])
    assert validation.validate(catalog.load(listed)) == []
    answers(added.folder)


FP16, BOOL, UINT8 = TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.UINT8
MADE: dict[str, tuple[onnx.ModelProto, str]] = {
    "fixed": (identity(FLOAT, [1, 3]), "max_batch_size: 0 x FP32 [1, 3] y FP32 [1, 3]"),
    "scalar": (identity(INT64, []), "max_batch_size: 0 x INT64 [1] y INT64 [1]"),
    "open": (identity(FLOAT, ["n", "height", 2]), "max_batch_size: 64 x FP32 [-1, 2] y FP32 [-1, 2]"),
    "one value a row": (identity(STRING, ["n"]), "max_batch_size: 64 x BYTES [1] reshape y BYTES [1] reshape"),
    "half": (identity(FP16), "max_batch_size: 64 x FP16 [3] y FP16 [3]"),
    "truth": (identity(BOOL, ["n", 2]), "max_batch_size: 64 x BOOL [2] y BOOL [2]"),
    "an odd name": (
        model([node("Identity", ['"\\ü'], ["y"])], {'"\\ü': (UINT8, ["n", 1])}, {"y": (UINT8, ["n", 1])}),
        'max_batch_size: 64 "\\ü UINT8 [1] y UINT8 [1]',
    ),
    "two inputs": (
        model([node("Add", ["x", "z"], ["y"])], {"x": (FLOAT, ["n", 2]), "z": (FLOAT, [1])}, {"y": (FLOAT, ["n", 2])}),
        "max_batch_size: 0 x FP32 [-1, 2] z FP32 [1] y FP32 [-1, 2]",
    ),
    "inferred": (
        model([node("Flatten", ["x"], ["y"])], {"x": (FLOAT, ["n", 2, 2])}, {"y": (FLOAT, None)}),
        "max_batch_size: 64 x FP32 [2, 2] y FP32 [4]",
    ),
}


@pytest.mark.parametrize("case", MADE)
def test_any_signature_becomes_a_configuration_that_passes_and_answers(case: str, listed: Path) -> None:
    made, expected = MADE[case]
    folder = add(listed, saved(listed, made)).folder
    config = modelconfig.read(folder)
    words = [
        f"{tensor.name} {modelconfig.datatype_of(tensor)} {list(tensor.dims)}" + " reshape" * tensor.HasField("reshape")
        for tensor in (*config.input, *config.output)
    ]
    assert f"max_batch_size: {config.max_batch_size} {' '.join(words)}" == expected
    assert config.HasField("dynamic_batching") == (config.max_batch_size > 0)
    assert validation.validate(catalog.load(listed)) == []
    answers(folder)


AXIS = helper.make_tensor("axis", INT64, [1], [0])
ONE_ROW = helper.make_tensor("shape", INT64, [2], [1, 3])
NOT_BATCHED = {
    "rows that share a softmax": model(
        [node("Softmax", ["x"], ["y"], axis=0)], {"x": (FLOAT, ["n", 3])}, {"y": (FLOAT, ["n", 3])}
    ),
    "an output that counts": model(
        [node("NonZero", ["x"], ["i"]), node("Transpose", ["i"], ["y"])],
        {"x": (FLOAT, ["n", 3])},
        {"y": (INT64, ["k", 2])},
    ),
    "one row alone": model(
        [node("Reshape", ["x", "shape"], ["z"]), node("Add", ["z", "x"], ["y"])],
        {"x": (FLOAT, ["n", 3])},
        {"y": (FLOAT, ["n", 3])},
        [ONE_ROW],
    ),
}


@pytest.mark.parametrize("case", NOT_BATCHED)
def test_an_open_first_dimension_that_is_no_batch_is_not_batched(case: str, listed: Path) -> None:
    added = add(listed, saved(listed, NOT_BATCHED[case]))
    assert not added.batched
    assert "no batching" in added.note
    assert modelconfig.read(added.folder).max_batch_size == 0
    assert validation.validate(catalog.load(listed)) == []
    answers(added.folder)


def test_the_same_file_gives_the_same_folder(listed: Path) -> None:
    first, second = (add(listed, COMMITTED[0], name).folder for name in ("one", "two"))
    assert (first / "smoke.json").read_bytes() == (second / "smoke.json").read_bytes()


def test_weights_in_other_files_come_along(listed: Path) -> None:
    source = listed.parent.parent / "source"
    weights = helper.make_tensor("w", FLOAT, [3], np.array([1, 2, 3], np.float32).tobytes(), raw=True)
    made = model([node("Mul", ["x", "w"], ["y"])], {"x": (FLOAT, ["n", 3])}, {"y": (FLOAT, ["n", 3])}, [weights])
    source.mkdir()
    (source / "data").mkdir()
    onnx.save(made, source / "net.onnx", save_as_external_data=True, location="data/w.bin", size_threshold=0)
    folder = add(listed, source / "net.onnx").folder
    assert (folder / "1" / "data" / "w.bin").read_bytes() == (source / "data" / "w.bin").read_bytes()
    assert validation.validate(catalog.load(listed)) == []
    answers(folder)
    (source / "data" / "w.bin").unlink()
    with pytest.raises(InputError, match=r"data/w\.bin: is missing: weights of net\.onnx are in it"):
        add(listed, source / "net.onnx", "other")


def picky() -> onnx.ModelProto:
    """A model of two rows or more by five columns, whose columns are places in a table of four."""
    table = helper.make_tensor("table", FLOAT, [4], [0.5, 1.5, 2.5, 3.5])
    two = helper.make_tensor("two", INT64, [2], [-1, 5])
    nodes = [node("Reshape", ["x", "two"], ["z"]), node("Gather", ["table", "z"], ["y"])]
    return model(nodes, {"x": (INT64, ["rows", "columns"])}, {"y": (FLOAT, ["rows", 5])}, [table, two])


def test_where_made_up_input_is_refused_the_message_says_what_to_write_and_that_works(listed: Path) -> None:
    file = saved(listed, picky())
    with pytest.raises(InputError, match="a made-up input does not do for its smoke test") as caught:
        add(listed, file)
    advice = re.search(r"write real input as (\S+) and run this again: (.*)", str(caught.value))
    assert advice
    request = json.loads(advice[2])
    request["request"]["inputs"][0].update(shape=[2, 5], data=[0, 1, 2, 3, 0, 3, 2, 1, 0, 1])
    write(Path(advice[1]), json.dumps(request))
    folder = add(listed, file).folder
    assert json.loads((folder / "smoke.json").read_text())["expected"][0]["data"][:4] == [0.5, 1.5, 2.5, 3.5]
    assert validation.validate(catalog.load(listed)) == []
    answers(folder)


def test_a_given_request_may_be_text_and_is_refused_in_onnx_runtimes_words(listed: Path) -> None:
    file = saved(listed, identity(STRING, ["n"]))
    given = {"name": "x", "datatype": "BYTES", "shape": [2, 1], "data": ["yes", "no"]}
    request = write(file.with_suffix(".smoke.json"), json.dumps({"request": {"inputs": [given]}}))
    assert '"data": ["yes", "no"]' in (add(listed, file).folder / "smoke.json").read_text()
    write(request, json.dumps({"request": {"inputs": [{**given, "name": "z"}]}}))
    with pytest.raises(InputError, match=r"new\.smoke\.json: does not do for a smoke test: .*\['x'\]"):
        add(listed, file, "other")
    write(request, "{")
    with pytest.raises(InputError, match=r"request\.inputs: must be a V2 inference request"):
        add(listed, file, "other")


def sequence() -> onnx.ModelProto:
    made = model([node("SequenceConstruct", ["x"], ["y"])], {"x": (FLOAT, ["n", 3])}, {"y": (FLOAT, None)})
    made.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("y", FLOAT, None))
    return made


REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto | bytes], str]] = {
    "text": (lambda: b"not a model", "not an ONNX model"),
    "empty": (lambda: b"", "is empty"),
    "cut": (lambda: COMMITTED[0].read_bytes()[:400], "cut short"),
    "pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "unknown operator": (lambda: identity(operator="Nonsense"), "ONNX Runtime cannot load it"),
    "sequence": (sequence, 'output "y" is seq(tensor(float)): Triton serves tensors'),
    "bfloat16": (lambda: identity(TensorProto.BFLOAT16), 'input "x" is tensor(bfloat16)'),
    "no shape": (lambda: identity(FLOAT, None), 'input "x" has no fixed number of dimensions'),
    "no input": (lambda: model([node("Constant", [], ["y"], value_float=1.0)], {}, {"y": (FLOAT, [])}), "has no input"),
    "chance": (lambda: identity(operator="RandomNormalLike"), "answers the same input differently each time"),
    "no number": (
        lambda: model([node("Div", ["x", "x"], ["a"]), node("Sub", ["a", "a"], ["b"]), node("Div", ["x", "b"], ["y"])],
                      {"x": (FLOAT, ["n", 3])}, {"y": (FLOAT, ["n", 3])}),
        'output "y" holds what is not a number',
    ),
    "weights elsewhere": (lambda: elsewhere("../w.bin"), "they must be beside it"),
    "weights at a path": (lambda: elsewhere("/etc/hostname"), "they must be beside it"),
}  # fmt: skip


def elsewhere(location: str) -> onnx.ModelProto:
    weights = helper.make_tensor("w", FLOAT, [1], [1.0])
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    return model([], {"x": (FLOAT, [1])}, {"x": (FLOAT, [1])}, [weights])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_of_which_no_model_can_be_made_is_refused_and_nothing_is_written(case: str, listed: Path) -> None:
    made, message = REFUSED[case]
    before = tree(listed.parent)
    with pytest.raises(InputError) as caught:
        add(listed, saved(listed, made()))
    assert message in str(caught.value)
    assert tree(listed.parent) == before


def test_everything_wrong_is_said_at_once_and_nothing_is_written(listed: Path) -> None:
    write(listed.parent / "taken" / "file", "")
    before = tree(listed.parent)
    for name, owner, expected in (
        ("old", "A Team", ["--name", "--owner", "absent.onnx", "old"]),
        ("taken", "a-team", ["absent.onnx", "taken"]),
        ("Bad Name", "a-team", ["--name", "absent.onnx"]),
    ):
        with pytest.raises(InputError) as caught:
            add(listed, listed.parent / "absent.onnx", name, owner)
        assert sorted(problem.key or Path(problem.file).name for problem in caught.value.problems) == expected
    assert tree(listed.parent) == before


def test_the_name_of_an_ensembles_step_is_taken(listed: Path) -> None:
    (listed.parent / "old").rename(listed.parent / "step")
    (listed.parent / "old").mkdir()
    (listed.parent / "step").rename(listed.parent / "old" / "step")
    with pytest.raises(InputError, match='"step" is already the name of a step of "old"'):
        add(listed, COMMITTED[0], "step")


@pytest.mark.parametrize("text", [None, "", "models: []\n", "# ours\nmodels:\n"])
def test_a_catalog_without_models_gets_its_first(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    if text is not None:
        path.write_text(text)
    add(path, COMMITTED[0])
    assert [found.name for found in catalog.load(path).models] == ["new"]


@pytest.mark.parametrize("data", [b"models: {}", "models: []".encode("utf-16"), b"models: [{"])
def test_a_catalog_that_cannot_be_added_to_stays_as_it_is(data: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "catalog.yaml", data)
    with pytest.raises(InputError, match=r"catalog\.yaml"):
        add(path, COMMITTED[0])
    assert tree(tmp_path) == {"catalog.yaml": data}
    with pytest.raises(InputError, match=r"absent/catalog\.yaml"):
        add(tmp_path / "absent" / "catalog.yaml", COMMITTED[0])


def test_a_linked_catalog_is_changed_where_it_really_is_and_keeps_its_mode(listed: Path) -> None:
    real = listed.parent.parent / "real.yaml"
    listed.rename(real)
    real.chmod(0o640)
    listed.symlink_to(real)
    add(listed, COMMITTED[0])
    assert listed.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert [found.name for found in catalog.load(listed).models] == ["new", "old"]


_NAME = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
_COMMENT = st.sampled_from(["", "", "  # é", "   "])


@st.composite
def _catalogs(draw: st.DrawFn) -> str:
    """Catalogs as people write them."""
    indent = " " * draw(st.sampled_from([0, 2, 4]))
    gap = draw(st.sampled_from(["", "\n", "\n# between\n"]))
    entries = []
    for name in draw(st.lists(_NAME, min_size=1, max_size=3, unique=True)):
        if draw(st.booleans()):
            entries.append(f"{indent}- {{name: {name}, path: '{name}', owner: a}}{draw(_COMMENT)}\n")
            continue
        last = draw(
            st.sampled_from(
                ["owner: a", "tags: {a: b}", "tags:\n  {i}a: b", "owner: >-\n  {i}folded", 'owner: "a\n  {i}b"']
            )
        )
        lines = [f"- name: {name}{draw(_COMMENT)}", f"  path: {name}", f"  {last.replace('{i}', indent + '  ')}"]
        entries.append("".join(f"{indent}{line}\n" for line in lines))
    end = draw(st.sampled_from(["", "# the end\n", "\n\n", "...\n"]))
    text = f"{draw(st.sampled_from(['', '# ours', '---']))}\nmodels:{draw(_COMMENT)}\n{gap.join(entries)}{end}"
    text = text.rstrip("\n") if draw(st.booleans()) else text
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@settings(max_examples=200)
@given(_catalogs())
def test_an_added_entry_leaves_every_line_of_the_catalog_as_it_was(text: str) -> None:
    entry = {"name": "added", "path": "added", "owner": "null"}
    changed = with_entry(text, entry, "catalog.yaml")
    before: Any = parse(text.encode(), "catalog.yaml")
    assert parse(changed.encode(), "catalog.yaml") == {"models": [*before["models"], entry]}
    rest = iter(changed.splitlines())
    assert all(line in rest for line in text.splitlines())
    assert ("\r\n" in changed) == ("\r\n" in text)


def test_a_kill_at_any_change_leaves_the_catalog_as_it_was_and_the_next_run_finishes(listed: Path) -> None:
    before = tree(listed.parent)
    after: dict[str, bytes] = {}
    for at in range(1, 100):
        command = [sys.executable, "-m", "tests.unit.killed_adder", str(COMMITTED[0]), str(listed), str(at)]
        ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert [found.name for found in catalog.load(listed).models] == ["old"]
        add(listed, COMMITTED[0], "added")
        assert validation.validate(catalog.load(listed)) == []
        after = after or tree(listed.parent)
        assert tree(listed.parent) == after
        shutil.rmtree(listed.parent / "added")
        write(listed, before["catalog.yaml"])
    assert tree(listed.parent) == after
    assert set(after) - set(before) == {"added/1/model.onnx", "added/config.pbtxt", "added/smoke.json"}


def test_models_that_are_added_at_once_are_all_there(listed: Path) -> None:
    names = [f"m{index}" for index in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: add(listed, COMMITTED[0], name), names))
    assert [found.name for found in catalog.load(listed).models] == [*names, "old"]
    assert validation.validate(catalog.load(listed)) == []


def test_without_onnx_runtime_one_line_says_how_to_get_it(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CohostError, match=r"ONNX Runtime is not installed: pip install 'cohost\[local\]'"):
        add(listed, COMMITTED[0])


def test_the_command_prints_one_document_by_its_schema(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["add", str(COMMITTED[0]), "--name", "new", "--catalog", str(listed), "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    jsonschema.validate(printed, json.loads((ROOT / "cohost" / "schemas" / "add.schema.json").read_text()))
    assert printed == {"model": "new", "path": str(listed.parent / "new"), "catalog": str(listed)}
    assert catalog.load(listed).models[0].owner == "unassigned"
    assert main(command) == 2
    assert '"new" is already in the catalog' in json.loads(capsys.readouterr().out)["error"]
    assert main(["validate", "--catalog", str(listed)]) == 0
    assert "2 models are good" in capsys.readouterr().out
