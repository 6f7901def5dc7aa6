from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cohost import catalog, validation
from cohost.cli.main import main
from cohost.client import smoke
from cohost.folder import scan
from cohost.model_check import ModelCheck
from cohost.modelconfig import Signature, TensorSpec
from cohost.smoke_fit import misfits
from tests.unit.model_folders import CONFIG, FLOAT, INT64, SMOKE, model, write, write_catalog, write_model

ROOT = Path(__file__).resolve().parents[2]
SMOKE_SCHEMA = json.loads((ROOT / "cohost" / "schemas" / "smoke.schema.json").read_text())
ENSEMBLE = ROOT / "model_artifacts" / "handwriting"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def found(folder: Path, name: str = "m") -> list[tuple[str, str, str]]:
    """(file within the folder, key, message) of each problem."""
    check = ModelCheck(scan(folder), name)
    check.run()
    rows = [
        (problem.file.removeprefix(str(folder)).lstrip("/"), problem.key, problem.message) for problem in check.problems
    ]
    return sorted(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "m")


def test_a_good_folder_has_no_problem(folder: Path) -> None:
    assert found(folder) == []


def config(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: write(folder / "config.pbtxt", CONFIG.replace("{name}", "m").replace(old, new))


def answer(**changes: Any) -> Callable[[Path], object]:
    return lambda folder: write(folder / "smoke.json", json.dumps({**SMOKE, **changes}))


def onnx(**tensors: tuple[int, Any]) -> Callable[[Path], object]:
    """A model with the tensors x1, x2… as inputs and y1, y2… as outputs."""
    inputs = {name: value for name, value in tensors.items() if name.startswith("x")}
    outputs = {name: value for name, value in tensors.items() if name.startswith("y")}
    return lambda folder: write(folder / "1" / "model.onnx", model([], inputs, outputs).SerializeToString())


def tensor(**changes: Any) -> list[dict[str, Any]]:
    return [{**SMOKE["expected"][0], **changes}]


GOOD = {"x": (FLOAT, ["n", 3]), "y": (FLOAT, ["n", 3])}
BAD: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "no config": (lambda m: (m / "config.pbtxt").unlink(), "config.pbtxt", "", "is missing: Triton needs one"),
    "empty config": (lambda m: write(m / "config.pbtxt", ""), "config.pbtxt", "backend", "is missing"),
    "no text": (lambda m: write(m / "config.pbtxt", b"\xff"), "config.pbtxt", "", "not a Triton model configuration"),
    "no model": (lambda m: (m / "1" / "model.onnx").rename(m / "1" / "modle.onnx"), "1/model.onnx", "", '"modle.onnx"'),
    "no version": (lambda m: (m / "1").rename(m / "v1"), "1", "", "a model needs a version folder"),
    "no smoke test": (lambda m: (m / "smoke.json").unlink(), "smoke.json", "", "is missing"),
    "other name": (config('name: "m"', 'name: "n"'), "config.pbtxt", "name", 'is "n", the model is "m"'),
    "misspelt key": (config("backend", "backnd"), "config.pbtxt", "", '2:1 : Message type'),
    "no backend": (config('backend: "onnxruntime"', ""), "config.pbtxt", "backend", "is missing"),
    "unknown input": (config('"x"', '"z"'), "config.pbtxt", "input", 'lacks the model\'s input "x"'),
    "unknown output": (config('"y"', '"z"'), "config.pbtxt", "output", 'the model has no output "z"'),
    "other type": (config("TYPE_FP32 dims: [ 3 ] } ]\no", "TYPE_FP64 dims: [ 3 ] } ]\no"), "config.pbtxt",
                   "input x.data_type", "is FP64, the model has FP32"),
    "other shape": (config("[ 3 ]", "[ 4 ]"), "config.pbtxt", "output y.dims", "are [4], the model has [3]"),
    "fixed, not open": (config("[ 3 ]", "[ -1 ]"), "config.pbtxt", "input x.dims", "are [-1], the model has [3]"),
    "no batch": (onnx(x=(FLOAT, [1, 3]), y=(FLOAT, [1, 3])), "config.pbtxt", "input x.dims", "no open batch dimension"),
    "sequence": (onnx(**GOOD, y2=(TensorProto.COMPLEX64, [1])), "config.pbtxt", "output y2", "Triton does not serve"),
    "zero length": (config("[ 3 ]", "[ 0 ]"), "config.pbtxt", "input x.dims", "must be lengths of 1 or more"),
    "no dims": (config("dims: [ 3 ]", ""), "config.pbtxt", "input x.dims", "is missing: a scalar has"),
    "twice": (config("output", "input"), "config.pbtxt", "output", "is missing"),
    "bad reshape": (config("[ 3 ]", "[ 3 ] reshape { shape: [ 2 ] }"), "config.pbtxt", "input x.reshape", "as many"),
    "optional in batch": (config('"x"', '"x" optional: true'), "config.pbtxt", "input x.optional", "must not be set"),
    "empty onnx": (lambda m: write(m / "1" / "model.onnx", b""), "1/model.onnx", "", "is empty"),
    "cut onnx": (lambda m: os.truncate(m / "1" / "model.onnx", 60), "1/model.onnx", "", "or cut short"),
    "pointer": (lambda m: write(m / "1" / "model.onnx", POINTER), "1/model.onnx", "", "`git lfs pull`"),
    "pointer beside": (lambda m: write(m / "1" / "w.bin", POINTER), "1/w.bin", "", "is a Git LFS pointer"),
    "smoke pointer": (lambda m: write(m / "smoke.json", POINTER), "smoke.json", "", "is a Git LFS pointer"),
    "link out": (lambda m: (m / "labels").symlink_to("/etc/hostname"), "labels", "", "is a link out of the"),
    "link to folder": (lambda m: (m / "2").symlink_to("1"), "2", "", "is a link to a folder"),
    "broken link": (lambda m: (m / "labels").symlink_to("gone"), "labels", "", "is a link to what does not exist"),
    "pipe": (lambda m: os.mkfifo(m / "pipe"), "pipe", "", "is neither a file nor a folder"),
    "odd name": (lambda m: write(m / "a\nb", ""), "a\nb", "", "rename it"),
    "bytes for a name": (lambda m: write(m / os.fsdecode(b"\xff"), ""), "?", "", "rename it"),
    "loose accent": (lambda m: write(m / "e\u0301", ""), "e\u0301", "", "rename it: an accent"),
    "huge config": (lambda m: os.truncate(m / "config.pbtxt", 1 << 40), "config.pbtxt", "", "at most 4,194,304"),
    "huge smoke test": (lambda m: os.truncate(m / "smoke.json", 1 << 40), "smoke.json", "", "at most 67,108,864"),
    "no JSON": (lambda m: write(m / "smoke.json", "{"), "smoke.json", "", "is not JSON"),
    "deep JSON": (lambda m: write(m / "smoke.json", "[" * 100_000), "smoke.json", "", "is not JSON"),
    "no request": (answer(request=[]), "smoke.json", "request", "must be a V2 inference request"),
    "no input": (answer(request={"inputs": []}), "smoke.json", "request.inputs", 'lacks the input "x"'),
    "other tensor": (answer(expected=tensor(name="yy")), "smoke.json", "expected[0].name", 'did you mean "y"?'),
    "wrong type": (answer(expected=tensor(datatype="INT64")), "smoke.json", "expected[0].datatype", "must be FP32"),
    "wrong shape": (answer(expected=tensor(shape=[3])), "smoke.json", "expected[0].shape", "does not fit [-1, 3]"),
    "too many rows": (answer(expected=tensor(shape=[9, 3], data=[0] * 27)), "smoke.json", "expected[0].shape", "9"),
    "wrong count": (answer(expected=tensor(data=[1, 2])), "smoke.json", "expected[0].data", "2 values where the shape"),
    "wrong value": (answer(expected=tensor(data=[1, 2, "3"])), "smoke.json", "expected[0].data", 'value 2 is "3"'),
    "ragged": (answer(expected=tensor(data=[[1, 2], [3]])), "smoke.json", "expected[0].data", "lists of equal length"),
    "tolerance": (answer(tolerance=2), "smoke.json", "tolerance", "a number from 0 to 1, not 2"),
    "other answer": (answer(answer="z"), "smoke.json", "answer", "the name of an expected output"),
    "other truth": (answer(truth=1), "smoke.json", "truth", "must be a list"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_folder_is_named_with_file_and_key(case: str, folder: Path) -> None:
    change, file, key, message = BAD[case]
    change(folder)
    rows = found(folder)
    assert [row for row in rows if row[:2] == (file, key) and message in row[2]], rows


def test_a_folder_is_judged_whole_and_all_models_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_model(tmp_path / name, "other", onnx=b"")
        (tmp_path / name / "smoke.json").unlink()
    loaded = catalog.load(write_catalog(tmp_path / "catalog.yaml", ["a", "b"]))
    files = [(Path(problem.file).relative_to(tmp_path), problem.key) for problem in validation.validate(loaded)]
    assert [(str(file), key) for file, key in files] == [
        (f"{name}/{file}", key)
        for name in ("a", "b")
        for file, key in (("1/model.onnx", ""), ("config.pbtxt", "name"), ("smoke.json", ""))
    ]


def test_a_model_larger_than_the_disk_is_named_with_both_sizes(folder: Path) -> None:
    os.truncate(write(folder / "1" / "weights.bin", ""), 1 << 40)
    loaded = catalog.load(write_catalog(folder.parent / "catalog.yaml", ["m"]))
    assert validation.validate(loaded) == []
    (problem,) = validation.validate(loaded, max_bytes=1 << 39)
    assert "takes models of at most 549,755,813,888" in problem.message


def test_the_command_knows_the_disks_of_the_stacks_that_serve_the_catalog(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_model(tmp_path / "model_artifacts" / "m")
    write_catalog(folder.parent / "catalog.yaml", ["m"])
    for file in ("Pulumi.yaml", "Pulumi.aws.yaml"):
        shutil.copy(ROOT / file, tmp_path)
    assert main(["validate", "-C", str(tmp_path)]) == 0
    os.truncate(write(folder / "1" / "weights.bin", ""), 1 << 40)
    assert main(["validate", "-C", str(tmp_path)]) == 2
    assert "the endpoint's disk takes models of at most" in capsys.readouterr().err
    (tmp_path / "Pulumi.aws.yaml").unlink()
    assert main(["validate", "-C", str(tmp_path)]) == 0


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="needs another user to be")
def test_a_file_that_may_not_be_read_is_named_even_when_no_check_needs_it() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = write_model(Path(place) / "m")
        write(folder / "1" / "weights.bin", "").chmod(0)
        (folder / "2").mkdir(0)
        os.seteuid(65534)
        try:
            rows = found(folder)
        finally:
            os.seteuid(0)
    assert rows == [
        ("1/weights.bin", "", "cannot be read: Permission denied"),
        ("2", "", "cannot be read: Permission denied"),
    ]


def test_external_weights_must_be_beside_the_model(folder: Path) -> None:
    weights = helper.make_tensor("w", FLOAT, [1], [1.0])
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="./model.data")
    made = model([], GOOD, {"y": GOOD["y"]}, [weights])
    del made.graph.input[1]
    write(folder / "1" / "model.onnx", made.SerializeToString())
    assert found(folder) == [("1/model.onnx", "", 'its weights are in "./model.data", which is not beside it')]
    write(folder / "1" / "model.data", b"\0" * 4)
    assert found(folder) == []


def test_scalars_and_open_dimensions_are_declared_as_triton_wants_them(folder: Path) -> None:
    onnx(x=(FLOAT, ["n", "m"]), y=(INT64, ["n"]))(folder)
    tensors = 'input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] } ]\noutput [ { name: "y" data_type: TYPE_INT64 '
    head = 'backend: "onnxruntime"\nmax_batch_size: '
    write(folder / "config.pbtxt", f"{head}8\n{tensors}dims: [ 1 ] reshape {{ shape: [ ] }} }} ]")
    assert [row for row in found(folder) if row[0] == "config.pbtxt"] == []
    onnx(x=(FLOAT, ["n"]), y=(INT64, []))(folder)
    write(folder / "config.pbtxt", f"{head}0\n{tensors}dims: [ 1 ] }} ]")
    assert [row for row in found(folder) if row[0] == "config.pbtxt"] == []
    write(folder / "config.pbtxt", f"{head}0\n{tensors}dims: [ 1 ] reshape {{ shape: [ ] }} }} ]")
    assert [row[1] for row in found(folder) if row[0] == "config.pbtxt"] == ["output y.reshape"]


def test_inputs_that_triton_fills_itself_need_no_caller(folder: Path) -> None:
    onnx(**GOOD, x2=(FLOAT, ["n", 1]))(folder)
    assert [row[1] for row in found(folder)] == ["input"]
    control = 'control_input [ { name: "x2" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] } ]'
    config("output", f"sequence_batching {{ {control} }}\noutput")(folder)
    assert found(folder) == []


@pytest.fixture
def ensemble(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ENSEMBLE, tmp_path / "handwriting"))


def swapped(file: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        write(folder / file, text.replace(old, new))

    return change


TOP, STEP = "handwriting/config.pbtxt", "handwriting-classifier/config.pbtxt"
BAD_ENSEMBLES: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "no step": (lambda m: write(m / TOP, (m / TOP).read_text().split("ensemble_scheduling")[0]), TOP,
                "ensemble_scheduling", "has no step"),
    "unknown step": (swapped(TOP, '"handwriting-components"', '"handwriting-component"'), TOP,
                     "ensemble_scheduling.step[0].model_name", 'did you mean "handwriting-components"?'),
    "unknown tensor": (swapped(TOP, 'key: "image"', 'key: "picture"'), TOP, "ensemble_scheduling.step[0].input_map",
                       'the step has no tensor "picture"'),
    "input not mapped": (swapped(TOP, 'key: "image"', 'key: "picture"'), TOP, "ensemble_scheduling.step[0].input_map",
                         'lacks the step\'s input "image"'),
    "nobody reads": (swapped(TOP, 'value: "image"', 'value: "pixels"'), TOP, "input image", "is read by no step"),
    "nobody writes": (swapped(TOP, 'value: "label"', 'value: "labels"'), TOP, "output label", 'did you mean "labels"?'),
    "a circle": (swapped(TOP, 'value: "image"', 'value: "label"'), TOP, "ensemble_scheduling", "wait for one another"),
    "other type": (swapped(TOP, 'name: "label" data_type: TYPE_INT64', 'name: "label" data_type: TYPE_INT32'), TOP,
                   "label of handwriting-classifier", '"label" is INT64, in output label INT32'),
    "other shape": (swapped(TOP, "dims: [ 8, 8 ]", "dims: [ 64 ]"), TOP, "image of handwriting-components", "[8, 8]"),
    "smaller batch": (swapped(STEP, "max_batch_size: 64", "max_batch_size: 2"), TOP,
                      "ensemble_scheduling.step[1].model_name", "takes batches of 2, the ensemble of 64"),
    "instances": (swapped(TOP, "max_batch_size", "instance_group [ { count: 1 } ]\nmax_batch_size"), TOP,
                  "instance_group", "must not stand in an ensemble"),
    "two ensembles": (swapped(STEP, 'backend: "onnxruntime"', 'platform: "ensemble"'), "", "", "exactly one model"),
    "a file beside": (lambda m: write(m / "notes.txt", ""), "notes.txt", "", "only model folders and smoke.json"),
    "no version": (lambda m: shutil.rmtree(m / "handwriting" / "1"), "handwriting/1", "", "a model needs a version"),
    "broken step": (lambda m: write(m / STEP, "?"), STEP, "", "not a Triton model configuration"),
    "step's weights": (lambda m: write(m / "handwriting-classifier/1/model.onnx", b"x"),
                       "handwriting-classifier/1/model.onnx", "", "not an ONNX model"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ENSEMBLES)
def test_what_is_wrong_with_an_ensemble_is_named_with_file_and_key(case: str, ensemble: Path) -> None:
    change, file, key, message = BAD_ENSEMBLES[case]
    change(ensemble)
    rows = found(ensemble, "handwriting")
    assert [row for row in rows if row[:2] == (file, key) and message in row[2]], rows


def test_an_ensemble_is_named_as_its_model_and_its_steps_only_once_in_a_catalog(ensemble: Path) -> None:
    (row,) = found(ensemble, "writing")
    assert 'the ensemble\'s folder must be named "writing"' in row[2]
    write_model(ensemble.parent / "handwriting-classifier")
    names = ["handwriting", "handwriting-classifier"]
    (problem,) = validation.validate(catalog.load(write_catalog(ensemble.parent / "catalog.yaml", names)))
    assert 'is also the name of a model in "handwriting"' in problem.message


def test_no_step_of_an_ensemble_has_the_name_of_the_model_that_every_repository_has(ensemble: Path) -> None:
    (ensemble / "handwriting-classifier").rename(ensemble / "cohost-canary")
    for config in (ensemble / "cohost-canary" / "config.pbtxt", ensemble / "handwriting" / "config.pbtxt"):
        config.write_text(config.read_text().replace('"handwriting-classifier"', '"cohost-canary"'))
    (problem,) = validation.validate(catalog.load(write_catalog(ensemble.parent / "catalog.yaml", ["handwriting"])))
    assert problem.file.endswith("handwriting/cohost-canary/config.pbtxt")
    assert "cohost's own model" in problem.message


def test_an_ensemble_without_its_steps_is_refused(ensemble: Path) -> None:
    lonely = ensemble.parent / "lonely"
    shutil.copytree(ensemble / "handwriting", lonely)
    shutil.copy(ensemble / "smoke.json", lonely)
    assert [row[1] for row in found(lonely, "handwriting")] == ["platform"]


_ODD = [b"-1", b"99999999999", b'"\\377"', b"{ ", b" }", b"[", b"reshape { shape: [ ] }", b"TYPE_BF16", b'"y"']


@settings(max_examples=50)
@given(st.data())
def test_no_configuration_is_too_odd_to_be_refused_in_words(data: st.DataObject) -> None:
    content = bytearray(CONFIG.replace("{name}", "m").encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9) | st.sampled_from(_ODD))
    with tempfile.TemporaryDirectory() as place:
        rows = found(write_model(Path(place) / "m", config=bytes(content)))
    assert all(message for _, _, message in rows)


_SIGNATURE = Signature(
    (TensorSpec("x", "FP32", (3,)),), (TensorSpec("y", "INT64", (1,)), TensorSpec("z", "BYTES", (-1,))), 8
)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-300, 300)
    | st.floats(allow_nan=False)
    | st.sampled_from(["x", "FP32", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "inputs", "shape"]), inner),
    max_leaves=6,
)
_SHAPES = st.sampled_from([[1, 3], [2, 1], [1, 1], [1, 2], [3], [1, -1]])
_DATA = st.sampled_from(
    [[1, 2, 3], [[1, 2, 3]], [1.5, 2, 3], [1], [[2], [3]], ["a", "b"], [True], [1 << 63], ["\ud800"]]
)
_TENSOR = st.fixed_dictionaries(
    {
        "name": st.sampled_from("xyz"),
        "datatype": st.sampled_from(["FP32", "INT64", "BYTES"]),
        "shape": _SHAPES | _JSON,
        "data": _DATA | _JSON,
    }
)
_TENSORS = st.lists(_TENSOR, min_size=1, max_size=2) | _JSON
_GOOD_X = st.just([{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}])
_SMOKE = st.fixed_dictionaries(
    {"request": st.fixed_dictionaries({"inputs": _GOOD_X | _TENSORS}) | _JSON, "expected": _TENSORS},
    optional={"tolerance": st.just(0.01) | _JSON, "truth": st.just([1]) | _JSON, "answer": st.just("y") | _JSON},
)


@settings(max_examples=300)
@given(_SMOKE)
def test_a_smoke_test_that_fits_is_valid_by_its_schema_and_can_be_sent(document: dict[str, Any]) -> None:
    data = json.dumps(document).encode()
    faults = misfits(data, "smoke.json", _SIGNATURE, frozenset())
    if faults:
        assert all(fault.key.split(".")[0].split("[")[0] in SMOKE_SCHEMA["properties"] for fault in faults)
        return
    jsonschema.validate(document, SMOKE_SCHEMA)
    test = smoke.parse(data, "smoke.json")
    assert test.check({tensor.name: np.array(tensor.array) for tensor in test.expected}) is None


@pytest.mark.parametrize(
    ("datatype", "good", "bad"),
    [
        ("INT8", [-128, 127], [128, -129, 1.0, True, "1", None]),
        ("UINT8", [0, 255], [-1, 256]),
        ("INT64", [-(1 << 63), (1 << 63) - 1], [1 << 63]),
        ("UINT64", [(1 << 64) - 1], [1 << 64]),
        ("BOOL", [True, False], [1, "true"]),
        ("BYTES", ["", "é"], [1, "\ud800", None]),
        ("FP16", [1, -1.5], [True, "1", 10**400]),
    ],
)
def test_a_smoke_tests_values_are_those_of_its_datatype(datatype: str, good: list[Any], bad: list[Any]) -> None:
    signature = Signature((TensorSpec("x", datatype, (1,)),), (TensorSpec("y", datatype, (1,)),), 0)

    def faults(value: object) -> list[str]:
        tensors = [{"name": name, "datatype": datatype, "shape": [1], "data": [value]} for name in "xy"]
        document = {"request": {"inputs": tensors[:1]}, "expected": tensors[1:]}
        return [fault.key for fault in misfits(json.dumps(document).encode(), "smoke.json", signature, frozenset())]

    assert [faults(value) for value in good] == [[]] * len(good)
    assert [faults(value) for value in bad] == [["request.inputs[0].data", "expected[0].data"]] * len(bad)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "model_artifacts").glob("*/smoke.json")), ids=lambda path: path.parts[-2]
)
def test_the_committed_smoke_tests_are_valid_by_their_schema(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_bytes()), SMOKE_SCHEMA)
